"""One table as text, Markdown and LaTeX."""
import re
import sys
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError
from common.files import whole_file


WIDEST = 400             # characters of a printed table


class Table(NamedTuple):
    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


# Output

def to_rich(table):
    import rich.table
    from rich.markup import escape
    out = rich.table.Table(title=escape(table.title), caption=escape('\n'.join(table.notes)),
                           caption_justify='left', title_justify='left')
    for i, column in enumerate(table.columns):
        out.add_column(escape(column), justify='right' if i else 'left', overflow='fold')
    for row in table.rows:
        out.add_row(*map(escape, row))
    return out


def turned(table):
    """The same table with its rows as columns."""
    (_, *columns), *rows = map(list, zip(table.columns, *table.rows))
    return table._replace(columns=[table.columns[0], *columns], rows=rows)


def show(table, file=None):
    """Prints a table: turned where only so it fits the terminal; as wide as it needs to be without one."""
    from rich.console import Console
    out = file or sys.stdout
    console = Console(file=out, width=None if out.isatty() else WIDEST)
    free = console.options.update(width=WIDEST)
    fits = [t for t in (table, turned(table))
            if console.measure(to_rich(t), options=free).maximum <= console.width]
    console.print(to_rich([*fits, table][0]))


def to_markdown(table):
    def line(cells):
        return '| ' + ' | '.join(re.sub(r'\s+', ' ', c).replace('|', r'\|') for c in cells) + ' |'
    rule = '|---' + '|---:'*(len(table.columns) - 1) + '|'
    notes = ''.join(f'\n{n}  ' for n in table.notes)
    lines = [line(table.columns), rule, *map(line, table.rows)]
    return '\n'.join([f'**{table.title}**', '', *lines, notes, ''])


LATEX = {'\\': r'\textbackslash{}', '&': r'\&', '%': r'\%', '$': r'\$', '#': r'\#', '_': r'\_', '{': r'\{',
         '}': r'\}', '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '±': r'$\pm$', '–': '--',
         '†': r'$^\dagger$', '<': '$<$', '>': '$>$'}


def to_latex(table):
    """A table environment that needs no package."""
    def escaped(text):
        return ''.join(LATEX.get(c, c) for c in re.sub(r'\s+', ' ', text))

    def line(cells):
        return '    ' + ' & '.join(map(escaped, cells)) + r' \\'
    notes = [r'  \par\smallskip ' + escaped(n) for n in table.notes]
    return '\n'.join([r'\begin{table}', r'  \centering', f'  \\caption{{{escaped(table.title)}}}',
                      f'  \\begin{{tabular}}{{l{"r"*(len(table.columns) - 1)}}}', r'    \hline',
                      line(table.columns), r'    \hline', *map(line, table.rows), r'    \hline',
                      r'  \end{tabular}', *notes, r'\end{table}', ''])


def fill(page, tables):
    """Puts tables of a tables.md into a page, each between `<!-- table: its title -->` and `<!-- end -->`.

    Errors: UserError for a title that the tables do not have.
    """
    with open(tables, encoding='utf-8') as f:
        parts = re.split(r'(?m)^(?=\*\*)', f.read())
    found = {part.split('**')[1]: part.strip('\n') for part in parts if part}

    def place(match):
        title = match[1]
        if title not in found:
            raise UserError(f'{tables} has no table {title!r}; it has {", ".join(found)}')
        return f'<!-- table: {title} -->\n{found[title]}\n<!-- end -->'
    with open(page, encoding='utf-8') as f:
        text = re.sub(r'(?s)<!-- table: (.*?) -->\n.*?<!-- end -->', place, f.read())
    with whole_file(page) as temporary, open(temporary, 'w', encoding='utf-8') as f:
        f.write(text)


def pages_with_tables(root):
    """{tables.md: pages that show its tables} of recorded results, as paths below `root`."""
    pages = sorted(Path(root).glob('results/**/README.md'))
    found = {str(page.parent/'tables.md'): [str(page)] for page in pages}
    found[str(Path(root, 'results', 'tables.md'))].insert(0, str(Path(root, 'README.md')))
    return found


def fill_all(root):
    """`make readme`: the recorded tables on all pages."""
    for tables, pages in pages_with_tables(root).items():
        for page in pages:
            fill(page, tables)

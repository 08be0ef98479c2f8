"""Tables as Markdown, LaTeX and on a terminal: no text breaks them."""
import io
import re

import pytest
from made_rows import results_of, rows_of

from report import formats, naming, tables
from report.naming import SIX

AWKWARD = formats.Table('A [b]title[/b] | 50 %', ['a|b', 'x_1 & y'], [['±1 – †', '<5 $\\alpha$\nnext']],
                         ['note #1'])


def test_markdown_keeps_its_columns():
    text = formats.to_markdown(AWKWARD)
    lines = [t for t in text.splitlines() if t.startswith('|')]
    assert len(lines) == 3 and all(t.replace(r'\|', '').count('|') == 3 for t in lines)
    assert r'a\|b' in text and 'note #1' in text


def test_latex_escapes_what_latex_would_read():
    text = formats.to_latex(AWKWARD)
    body = text[text.index(r'\hline'):]
    assert r'x\_1 \& y' in body and r'$\pm$1 -- $^\dagger$' in body
    assert r'note \#1' in body and r'50 \%' in text
    assert r'$<$5 \$\textbackslash{}alpha\$ next \\' in body
    assert text.count('{') == text.count('}') and text.count(r'\begin') == text.count(r'\end')
    assert all(ord(c) < 128 for c in text)


def test_rich_prints_every_cell_whole_and_takes_no_markup_from_rows():
    rows = [r for i, m in enumerate(naming.METHODS) for r in rows_of(m, {0: .9, 1: .95 + i/1000})]
    table, out = tables.accuracy_table(results_of(rows)), io.StringIO()
    formats.show(table, out)
    text = ' '.join(out.getvalue().split())
    assert all(c in text for r in table.rows for c in r) and all(c in text for c in table.columns)
    out = io.StringIO()
    formats.show(AWKWARD, out)
    assert '[b]title[/b]' in out.getvalue()


@pytest.mark.parametrize('columns, methods', [(80, ('baseline', 'proposal', 'textures')),
                                              (140, naming.METHODS), (60, naming.METHODS)])
def test_on_a_narrow_terminal_a_table_is_turned_or_folded_but_never_cut(columns, methods, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    monkeypatch.setenv('COLUMNS', str(columns))
    rows = [r for m in methods for r in rows_of(m, {0: .91})]
    out, table = Terminal(), tables.accuracy_table(results_of(rows, 'mnist'))
    formats.show(table, out)
    text = re.sub(r'\x1b\[[\d;]*m', '', out.getvalue())   # without its styles
    assert '…' not in text and max(map(len, text.splitlines())) <= columns
    if columns > 60:
        assert text.count('91.0') == 9*len(methods)
    if columns == 80:   # the rows of the demo as columns, whole
        assert all(any(c in t for t in text.splitlines()) for c in (*table.columns[1:], 'Textures'))


def test_published_numbers_agree_with_their_own_means():
    for methods in naming.PUBLISHED.values():
        for numbers in methods.values():
            assert len(numbers) == 2 + len(SIX)
            assert sum(numbers[1:-1])/6 == pytest.approx(numbers[-1], abs=0.06)

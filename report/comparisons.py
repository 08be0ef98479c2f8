"""Tables of differences: what one row has over another, paired over their common seeds."""
import math
from typing import NamedTuple

from report import statistics
from report.formats import Table
from report.naming import (ABLATION, ABLATION_NOTE, COMPARED, MEAN, MISSING, name_of, NO_HALO, SHORT,
                           UNEQUAL_NOTES, UNSEEN_MEAN, WORST)
from report.selection import over, unmarked, unseen_tests
from report.tables import cell, seeds_of, spread, steps_cells, steps_title

FEWEST_TEST = 5          # seeds for a p-value
OWN_FAMILIES = 'noise', 'real'   # rows that have seen families which no other row has
USUAL = 'proposal', 'best'
UNSEEN = {'unseen': '', 'unseen, no halo': NO_HALO}   # column: how its tests end


class Difference(NamedTuple):
    """a - b of two rows on one test. values: of each common seed, shares; p: corrected, or nan."""
    values: list
    p: float = math.nan

    def __str__(self):
        """'+0.52 ± 0.21 (p = 0.003)', in points; the mean alone of too few seeds."""
        if not self.values:
            return MISSING
        text = f'{100*statistics.interval(self.values)[0]:+.2f}'
        if len(self.values) < statistics.FEWEST_INTERVAL:
            return text
        text += spread(self.values, bounds=(-1, 1), digits=2)
        if math.isnan(self.p):
            return text
        return f'{text} (p {f"= {self.p:.3f}" if self.p >= 0.001 else "< 0.001"})'


def corrected(lines):
    """Lines of Differences with p-values from FEWEST_TEST seeds on, corrected over all of them (Holm)."""
    enough = [d for line in lines for d in line if len(d.values) >= FEWEST_TEST]
    ps = iter(statistics.holm([statistics.p_value(d.values) for d in enough]))
    return [[d._replace(p=next(ps)) if len(d.values) >= FEWEST_TEST else d for d in line] for line in lines]


def by_column(tests, columns, families):
    """{column: {seed: accuracy}} of one row. columns: {title: test}; families: of the unseen means."""
    found = {title: tests.get(test, {}) for title, test in columns.items()}
    for title in UNSEEN.keys() & columns.keys():
        found[title] = over(tests, unseen_tests(families, UNSEEN[title]))
    return found


def compared(a, b, columns, families):
    """The Differences of a line; a, b: {test: {seed: accuracy}} of two rows."""
    a, b = by_column(a, columns, families), by_column(b, columns, families)
    return [Difference(statistics.paired(a[c], b[c])) for c in columns]


def significance_note(lines):
    number = sum(not math.isnan(d.p) for line in lines for d in line)
    if not number:
        return f'No p-values below {FEWEST_TEST} common seeds.'
    return (f'p: paired t-test from {FEWEST_TEST} common seeds on, corrected for the {number} tests of this '
            'table (Holm 1979).')


POINTS_NOTE = ('points, mean ± half of the 95 % interval, paired over common seeds (Student t), the mean '
               f'alone below {statistics.FEWEST_INTERVAL} of them; it covers seeds, not the choice of test '
               'images.')


def differences_table(results):
    """How much one row is better than an equal one on each test, and how likely that is by chance."""
    columns = _columns(results)
    pairs = [(a, b) for a, b in COMPARED if a in results.methods and b in results.methods]
    lines = corrected([_difference(results, a, b, columns) for a, b in pairs])
    names = {m: name_of(m, results.photographs) for pair in pairs for m in pair}
    rows = [[f'{names[a]} – {names[b]}', *map(str, line), *_steps(results, a, b),
             seeds_of(d.values for d in line)] for (a, b), line in zip(pairs, lines)]
    shown = {m: note for m, note in UNEQUAL_NOTES.items() if m in names
             and not (m == 'real' and results.photographs)}
    notes = [POINTS_NOTE[0].upper() + POINTS_NOTE[1:], significance_note(lines),
             'Compared are rows of one length with the same masks.', *shown.values()]
    if set(UNSEEN) & set(columns):
        notes.append('Unseen: mean over the families that no compared row was trained on, '
                     f'{", ".join(families_of(results, *USUAL))}; in a line of Noise or Real also without '
                     'theirs.')
    return Table(f'{results.title}: differences', ['', *columns, *steps_title(results), 'seeds'], rows,
                 [*notes, *results.notes])


def _steps(results, a, b):
    """The cell of the steps of both rows; once where they are the same."""
    cells = [steps_cells(results, m) for m in (a, b)]
    return cells[0] if cells[0] == cells[1] else [' / '.join(c for [c] in cells)]


def _columns(results):
    """{title: test} of the columns of differences."""
    own = {t.removeprefix('test-'): t for t in results.own_tests}
    summaries = {MEAN: MEAN, **{c: UNSEEN_MEAN + ending for c, ending in UNSEEN.items()}, 'attack': 'attack'}
    return own | {title: test for title, test in summaries.items() if test in results.tests}


def families_of(results, a, b):
    """The unseen families of a line: the same in every line, but for rows of OWN_FAMILIES."""
    others = [m for pair in COMPARED for m in pair if m in results.methods and m not in OWN_FAMILIES]
    return unmarked((a, b, *others), results.photographs)


def _difference(results, a, b, columns):
    """The Differences a - b; what would not be between equals stays empty."""
    a_tests, b_tests = results.methods[a], results.methods[b]
    found = compared(a_tests, b_tests, columns, families_of(results, a, b))
    if 'real' in (a, b) and not results.photographs:
        return [d if column == MEAN else Difference([]) for d, column in zip(found, columns)]
    return found


def ablation_table(results):
    """The rows of ABLATION: the first as it is, then what changing one thing changes (paired over seeds)."""
    first, others = results.methods[SHORT], [m for m in ABLATION if m in results.methods and m != SHORT]
    wanted = {'original': 'original', WORST: WORST, **_columns(results)}
    columns = {title: test for title, test in wanted.items() if test in first}
    families = unmarked((SHORT, *others), results.photographs)
    lines = corrected([compared(results.methods[m], first, columns, families) for m in others])
    values = by_column(first, columns, families)
    top = [cell(by_seed, digits=2, least_and_largest=title == 'attack') for title, by_seed in values.items()]
    rows = [[ABLATION[SHORT], *top, seeds_of(values.values())]]
    for method, line in zip(others, lines):
        rows.append([ABLATION[method], *map(str, line), seeds_of(d.values for d in line)])
    notes = ['First line: accuracy in %, mean ± half of the 95 % interval over seeds, or [the least to the '
             f'largest of them]. Others: what changes against it, in {POINTS_NOTE}', significance_note(lines)]
    if set(UNSEEN) & set(columns):
        notes.append(f'Unseen: mean over what none of these rows was trained on ({", ".join(families)}).')
    return Table(f'{results.title}: what matters in Best', ['method', *columns, 'seeds'], rows,
                 [*notes, ABLATION_NOTE, *results.notes])

"""What backgrounds do to a network: the measures of the Backgrounds Challenge as a table of recorded rows."""
from report import statistics
from report.comparisons import Difference
from report.naming import in_order, name_of
from report.tables import cell, finished, seeds_of
from scoring import challenge

GAP = 'background gap'
NOTES = (
    'Of photographs with masks (Xiao et al. 2021). Without the object: its box black (Only-BG-B) or filled '
    'with tiles of the background (Only-BG-T), its shape black (No-FG): the less, the better. The object on '
    'black (Only-FG), and on the Only-BG-T background of another photograph: of its own class (Mixed-Same), '
    'of any class (Mixed-Rand), of the next class (Mixed-Next).',
    'Background gap: Mixed-Same - Mixed-Rand, in points; from three seeds on ± half of the 95 % interval '
    'over seeds (Student t).',
    f'Right on all: on every one of {challenge.DRAWS} backgrounds of other classes.')


def gap(tests):
    """The Difference Mixed-Same - Mixed-Rand of {test: {seed: accuracy}}, paired over seeds."""
    same, rand = (tests.get(name, {}) for name in challenge.MIXED[:2])
    return Difference(statistics.paired(same, rand))


def challenge_table(results):
    """Methods x measures, and the gap. results: selection.Results."""
    lines, last = [], challenge.ALL
    for method in in_order(m for m in results.methods if results.methods[m].keys() & set(challenge.MIXED)):
        tests = results.methods[method]
        lines.append([name_of(method, results.photographs), *(cell(tests.get(t)) for t in challenge.NAMES),
                      str(gap(tests)), cell(tests.get(last)),
                      seeds_of(tests.get(t) for t in (*challenge.NAMES, last))])
    columns = ['method', *challenge.NAMES.values(), GAP, 'right on all', 'seeds']
    return finished(f'{results.title}: Backgrounds Challenge', columns, lines, [*NOTES, *results.notes])

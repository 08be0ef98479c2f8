"""Tables of the scores of tasks other than that of classes, out of the rows of scores.csv alone."""

from common.tasks import Score, text
from report import statistics, tables
from report.formats import Table
from report.naming import in_order, MEAN, NO_HALO, row_names, SIX, title_of, WORST
from report.selection import newest, over, unmarked, unseen_tests
from report.tables import RANGE_NOTE, seeds_of, steps_text, STEPS_NOTE
from scoring import rowfile

UNSEEN, CLOSE, NOISES = 'unseen', 'unseen, no halo', 'noises'   # means over many tests
REFERENCES = 'constant', 'raw-otsu', 'unet'   # rows that train on no background
NOTE = ('Mean over seeds ± half of the 95 % interval (Student t); it covers seeds, not the choice of test '
        'images.')


def cell(by_seed, unit):
    """'5.23 ± 0.4' of {seed: value}; shares in %."""
    if unit == 'share' or not by_seed:
        return tables.cell(by_seed)
    values = list(by_seed.values())
    middle, half = statistics.interval(values)
    if len(values) < statistics.FEWEST_INTERVAL:
        ends = f' [{text(min(values), unit)} to {text(max(values), unit)}]'
        return text(middle, unit) + ends*(len(values) > 1)
    return f'{text(middle, unit)} ± {text(half, unit, 0)}'


def by_test(rows, less):
    """{test: {seed: value}} of the rows of one method and score, with summaries. less: is less better?"""
    tests = {}
    for r in rows:
        tests.setdefault(r['test'], {})[r['seed']] = r['value']
    found = tests | {MEAN: over(tests, SIX), WORST: over(tests, SIX, max if less else min)}
    return {test: by_seed for test, by_seed in found.items() if by_seed}


def table(rows, score, steps):
    """Methods x tests of one score. rows: of one data set and score. steps: see `tables_of`."""
    unit, less = rows[0]['unit'], rows[0]['unit'] != 'share'
    found, known, notes = {}, {}, []
    for method in dict.fromkeys(r['method'] for r in rows):
        mine, more = newest(rowfile.find(rows, method=method))
        found[method], notes = by_test(mine, less), notes + more
        known[method] = steps.get(mine[0]['settings'])
    monochrome = any(set(SIX) & set(tests) for tests in found.values())
    families = unmarked([m for m in found if m not in REFERENCES], not monochrome)
    known_tests = list(dict.fromkeys(t for tests in found.values() for t in tests))
    many = {UNSEEN: unseen_tests(families), CLOSE: unseen_tests(families, NO_HALO),
            NOISES: [t for t in known_tests if t.startswith('noise-')]}
    for tests in found.values():
        tests |= {title: over(tests, names) for title, names in many.items() if set(names) <= tests.keys()
                  and names}
    columns = [t for t in (*known_tests, *many) if not t.startswith(('unseen-', 'noise-'))
               and any(tests.get(t) for tests in found.values())]
    lines, names = [], row_names(not monochrome)
    for method in in_order(found):
        tests = found[method]
        taken = [steps_text(known[method])] if any(known.values()) else []
        lines.append([names.get(method, method), *(cell(tests.get(t), unit) for t in columns), *taken,
                      seeds_of(tests.get(t) for t in columns)])
    ranges = any('[' in cell for line in lines for cell in line)
    notes = [NOTE] + [RANGE_NOTE]*ranges + [STEPS_NOTE]*any(known.values()) + notes
    if {UNSEEN, CLOSE} & set(columns):
        notes.append(f'Unseen: mean over families of backgrounds that no row was trained on '
                     f'({", ".join(families)}), 2 pixels away from the object or (no halo) right up to it.')
    if NOISES in columns:
        notes.append(f'Noises: mean over salt and pepper at {len(many[NOISES])} rates.')
    heads = ['method', *(t.removeprefix('test-') for t in columns), *['steps']*any(known.values()), 'seeds']
    meaning = Score(score, unit, 'less' if less else 'more').meaning
    return Table(f'{title_of(rows[0]["dataset"])}: {meaning}', heads, lines, notes)


def tables_of(rows, dataset, steps=None):
    """The Tables of a data set, one for each score. rows: of scores.csv; steps: {(data set, settings): (2500,
    4000)}."""
    mine = rowfile.find(rows, dataset=dataset)
    known = {settings: value for (name, settings), value in (steps or {}).items() if name == dataset}
    return [table(rowfile.find(mine, score=score), score, known)
            for score in dict.fromkeys(r['score'] for r in mine)]

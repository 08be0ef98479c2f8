"""Tables out of rows alone, ours beside the published numbers."""
import math

from report import statistics
from report.formats import Table
from report.naming import (ABLATION, ATTENTION_NOTE, COMPARED, FEWEST, in_order, INTERVAL_NOTE, MEAN,
                           MISSING, name_of, PUBLISHED, PUBLISHED_DRONE, PUBLISHED_NOTE, row_names, SIX,
                           SUMMARIES, TESTS, title_of, UNSEEN_MEAN, WORST)
from scoring import rowfile, unseen

# From rows to values by seed

def select(rows, dataset, settings=None):
    """({method: {test: {seed: accuracy}}}, notes): rows of one settings fingerprint for each method.

    settings: {method: fingerprint}; a method that is not in it takes the fingerprint of its last row, and a
    note says so when there are others.
    """
    found, notes = {}, []
    rows = rowfile.find(rows, dataset=dataset)
    for method in dict.fromkeys(r['method'] for r in rows):
        mine, more = one_settings(rowfile.find(rows, method=method), (settings or {}).get(method))
        notes += more
        tests = found[method] = {}
        for r in mine:
            tests.setdefault(r['test'], {})[r['seed']] = r['accuracy']
        _summarise(tests)
    return found, notes


def one_settings(rows, chosen=None):
    """(the rows of one fingerprint, notes) out of the rows of one method; None chooses the last row's."""
    known = list(dict.fromkeys(r['settings'] for r in reversed(rows)))
    others, kept = [k for k in known if k != known[0]], chosen or known[0]
    notes = [f'{name_of(rows[0]["method"])}: rows of settings {kept}, not of {", ".join(others)}.'] \
        if others and chosen is None else []
    return rowfile.find(rows, settings=kept), notes


def _summarise(tests):
    """Adds mean and worst of the six patterns and the unseen means, for the seeds that have them all."""
    groups = {'': [f'unseen-{f}' for f in unseen.FAMILIES],
              '-nohalo': [f'unseen-{f}-nohalo' for f in unseen.FAMILIES]}
    derived = {MEAN: (SIX, _mean), WORST: (SIX, min)} | {
        UNSEEN_MEAN + k: (names, _mean) for k, names in groups.items()}
    for name, (parts, reduce) in derived.items():
        seeds = set.intersection(*(set(tests.get(t, {})) for t in parts))
        if seeds:
            tests[name] = {s: reduce([tests[t][s] for t in parts]) for s in sorted(seeds)}


def _mean(values):
    return math.fsum(values)/len(values)


def cell(by_seed, published=None, digits=1):
    """'99.1 ± 0.2 (97.3)' from {seed: share}; a plain number with one seed."""
    text = MISSING
    if by_seed:
        mean, half = statistics.interval(by_seed.values())
        text = f'{100*mean:.{digits}f}' + ('' if math.isnan(half) else f' ± {100*half:.{digits}f}')
    return text if published is None else f'{text} ({published:.1f})'


def seeds_of(tests, names):
    """How many seeds stand behind the cells of a line: '5', or '3 to 5'."""
    counts = sorted({len(tests[t]) for t in names if t in tests}) or [0]
    return str(counts[0]) if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'


# Tables

def accuracy_table(rows, dataset, published=True, settings=None, worst=False):
    """The paper's table: methods x (original, six patterns, their mean), ours beside the published numbers.

    worst: a column with the worst of the six patterns (the mean over seeds of each seed's worst).
    """
    found, notes = select(rows, dataset, settings)
    known = PUBLISHED.get(dataset, {}) if published else {}
    names, titles, lines = [*TESTS, MEAN], row_names(False), []
    for method in in_order(m for m in {**found, **known} if m in titles):
        tests, numbers = found.get(method, {}), known.get(method, [None]*len(names))
        line = [cell(tests.get(t), p) for t, p in zip(names, numbers)] + [cell(tests.get(WORST))]*worst
        if tests.keys() & set(names) or method in known:
            lines.append([titles[method], *line, seeds_of(tests, names)])
    notes = [INTERVAL_NOTE, *([PUBLISHED_NOTE] if known else []),
             *([ATTENTION_NOTE] if 'attention' in known else []), *notes]
    title = f'{title_of(dataset)}: accuracy by background'
    return Table(title, ['method', *names, *([WORST]*worst), 'seeds'], lines, notes)


def photograph_tests(found):
    """{test: its title} of a folder; what is like the training images comes first. {} of other sets."""
    tests = {t for tests in found.values() for t in tests if t.startswith('test')}
    return {t: t.removeprefix('test-') for t in sorted(tests, key=lambda t: ('studio' not in t, t))}


def case_study_table(rows, dataset, settings=None):
    """A folder of photographs: methods x its tests, beside the published drone study (another data set)."""
    found, notes = select(rows, dataset, settings)
    names, titles, lines = photograph_tests(found), row_names(True), []
    for method in in_order(m for m in {**PUBLISHED_DRONE, **found} if m in titles):
        tests = found.get(method, {})
        paper = f'{PUBLISHED_DRONE[method]:.1f}' if method in PUBLISHED_DRONE else MISSING
        lines.append([titles[method], *(cell(tests.get(t)) for t in names), paper, seeds_of(tests, names)])
    notes = [INTERVAL_NOTE, 'Drone study: published validation accuracy on insulators, which are other '
             'photographs; only the order of the methods is to be compared.', *notes]
    return Table(f'{title_of(dataset)}: trained in the studio, tested in the field',
                 ['method', *names.values(), 'paper: drone study', 'seeds'],
                 lines, notes)


def unseen_table(rows, dataset, settings=None, halo=True):
    """Methods x unseen families, their mean, and with halo the attack; a dagger where training saw one."""
    found, notes = select(rows, dataset, settings)
    photographs = bool(photograph_tests(found))
    titles, seen = row_names(photographs), unseen.SEEN_IN_COLOUR if photographs else unseen.SEEN
    ending, attacked = '' if halo else '-nohalo', halo and any('attack' in tests for tests in found.values())
    names = [f'unseen-{f}{ending}' for f in unseen.FAMILIES] + [UNSEEN_MEAN + ending] + ['attack']*attacked
    lines, marked = [], False
    for method in in_order(m for m in found if m in titles and found[m].keys() & set(names)):
        line = [cell(found[method].get(t)) for t in names]
        for i, family in enumerate(unseen.FAMILIES):
            if family in seen.get(method, ()) and line[i] != MISSING:
                line[i], marked = line[i] + ' †', True
        lines.append([titles[method], *line, seeds_of(found[method], names)])
    notes = [INTERVAL_NOTE, *['†: the row was trained on this family or the like of it.']*marked,
             *['Attack: a generator trained against each network, the strongest of four.']*attacked, *notes]
    columns = [*unseen.FAMILIES, 'mean', *(['attack']*attacked)]
    return Table(f'{title_of(dataset)}: backgrounds never trained on, '
                 + ('2-pixel halo' if halo else 'no halo'), ['method', *columns, 'seeds'], lines, notes)


def ablation_table(rows, dataset, settings=None):
    """The rows of ABLATION: the first as it is, then what changing one thing changes (paired over seeds)."""
    found, notes = select(rows, dataset, settings)
    first, *others = [m for m in ABLATION if m in found]
    names = {t: title for t, title in {'original': 'original', WORST: WORST, **SUMMARIES}.items()
             if t in found[first]}
    lines = [[ABLATION[first], *(cell(found[first][t], digits=2) for t in names),
              seeds_of(found[first], names)]]
    lines += [[ABLATION[m], *differences(found[m], found[first], names)] for m in others]
    notes = ['First line: accuracy in %, mean ± half of the 95 % interval over seeds. Others: what changes '
             'against it, in points, paired over seeds (t-test).', *notes]
    title = f'{title_of(dataset)}: what matters in Best'
    return Table(title, ['method', *names.values(), 'seeds'], lines, notes)


def masks_table(rows, dataset=None):
    """Mask scores: IoU, Dice, area and true area of each method and data set."""
    rows = [r for r in rows if dataset in (None, r['dataset'])]
    lines, notes = [], []
    for name, method in dict.fromkeys((r['dataset'], r['method']) for r in rows):
        mine, more = one_settings(rowfile.find(rows, dataset=name, method=method))
        notes += [f'{title_of(name)}, {note}' for note in more]
        cells = []
        for field in ('iou', 'dice', 'area', 'true_area'):
            mean, half = statistics.interval(r[field] for r in mine)
            cells.append(f'{mean:.3f}' + ('' if math.isnan(half) else f' ± {half:.3f}'))
        lines.append([title_of(name), method, *cells, str(mine[0]['n']), str(len(mine))])
    notes = ['Mean over test images ± half of the 95 % interval over seeds; areas are shares of the image.',
             *notes]
    columns = ['data set', 'masks', 'IoU', 'Dice', 'area', 'true area', 'images', 'seeds']
    return Table('Masks against the truth', columns, lines, notes)


def difference(a, b):
    """'+0.52 ± 0.21 (p = 0.003)' points, a - b paired over seeds; a, b: {seed: share}. Few seeds: no p."""
    mean, half, p = statistics.paired(a, b)
    if math.isnan(mean):
        return MISSING
    if len(set(a) & set(b)) < FEWEST:
        return f'{100*mean:+.2f}'
    return f'{100*mean:+.2f} ± {100*half:.2f} (p {f"= {p:.3f}" if p >= 0.001 else "< 0.001"})'


def differences(a, b, names):
    """Cells of a line, a - b on each test and the number of seeds that both have; a, b: {test: by seed}."""
    pairs = {t: (a.get(t, {}), b.get(t, {})) for t in names}
    common = {t: set(x) & set(y) for t, (x, y) in pairs.items()}
    return [*(difference(*pair) for pair in pairs.values()),
            seeds_of({t: seeds for t, seeds in common.items() if seeds}, names)]


def differences_table(rows, dataset, settings=None):
    """How much one method is better than another on each test, and how likely that is by chance."""
    found, notes = select(rows, dataset, settings)
    names = photograph_tests(found) | {
        t: title for t, title in SUMMARIES.items() if any(t in tests for tests in found.values())}
    pairs = [(a, b) for a, b in COMPARED if a in found and b in found]
    lines = [[f'{name_of(a)} – {name_of(b)}', *differences(found[a], found[b], names)] for a, b in pairs]
    notes = [f'Points, mean ± half of the 95 % interval, paired over seeds (t-test); no test below {FEWEST} '
             'seeds.', *notes]
    return Table(f'{title_of(dataset)}: differences', ['', *names.values(), 'seeds'], lines, notes)

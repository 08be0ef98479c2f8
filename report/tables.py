"""Tables of accuracies and of masks out of rows alone, ours beside the published numbers."""
import math

import mydatasets
from report import statistics
from report.formats import Table
from report.naming import (ATTENTION_NOTE, CASE_STUDIES, DRONE_NOTES, ELSEWHERE, ELSEWHERE_NOTE, in_order,
                           MEAN, MISSING, name_of, NO_HALO, PUBLISHED, PUBLISHED_DRONE, PUBLISHED_NOTE,
                           row_names, SIX, TESTS, title_of, UNSEEN_MEAN, WORST)
from report.selection import newest, over, seen, unmarked, unseen_tests
from scoring import adversary, climbing, pixels, rowfile, unseen, worst

INTERVAL_NOTE = ('Accuracy in %, mean ± half of the 95 % interval over seeds (Student t); it covers seeds, '
                 'not the choice of test images.')
RANGE_NOTE = ('[a to b]: the least and the largest of the seeds, where there are two, or where that interval '
              'would leave 0 to 100.')
STEPS_NOTE = 'Steps: batches that the classifier was trained on, phase 1 + the phase of the row.'
DAGGER_NOTE = '†: the row was trained on this family or the like of it.'
# measured on 20,000 (monochrome) and 6,000 (colour) textures, and on 5,000 and 1,000 backgrounds of the
# generators of eight seeds; plain is a deviation below 0.02 in every channel
PLAIN_NOTES = {
    False: 'Grey and white are plain, and so are 1.2 % of random textures, all nearly white or black; of the '
           'backgrounds of a generator that was never trained 0 to 0.6 %, of a redrawn one 0.3 %.',
    True: 'Grey (here any one colour) and white are plain, and so are 0.8 % of random textures and 20 % of '
          'the backgrounds of a generator that was never trained.'}
# worst cases: {title of a column: test}, and what each of them is
WORST_CASES = {'attack': 'attack', 'pixels': 'pixels', 'worst': 'worst', 'worst, no halo': 'worst-nohalo'}
WORST_NOTE = ('Accuracy in %, mean over seeds [the least to the largest of them]: upper bounds on robust '
              'accuracy, because a longer search, or a better one, can only leave less.')
ATTACK_NOTE = ('Attack: under the strongest of {number} generators trained against each network, which never '
               'see the image that they stand behind and are kept to a brightness of {low} to {high} as a '
               'mean over the batch.')
PIXELS_NOTE = ('Pixels: right as it is and behind every background on the way of ascent on its pixels, '
               'outside the object grown by 2 pixels: {steps} steps from each of {starts}, then {more} '
               'searches from what turned other images, each of twice as many steps for half as many images '
               '(those nearest to being turned), by {losses} in turn.')
EVERY_NOTE = ('Worst: right on every one of {backgrounds} backgrounds, 2 pixels away from the object or (no '
              'halo) right up to it: the families never trained on, {draws} draws of each, white once.')
UNSEEN_NOTE = ('Unseen, no halo: mean over all families of backgrounds never trained on, right up to the '
               'object, ± half of the 95 % interval over seeds (Student t), or [the least to the largest].')


# Cells

def spread(values, bounds=(0, 1), digits=1, least_and_largest=False):
    """' ± 0.2', half of the interval of shares in points; or ' [69.6 to 99.2]' if it leaves the bounds.

    '' for less than two values. least_and_largest: always the second, as for two values.
    """
    mean, half = statistics.interval(values)
    if math.isnan(half):
        return ''
    few = len(values) < statistics.FEWEST_INTERVAL
    if least_and_largest or few or mean - half < bounds[0] or mean + half > bounds[1]:
        return f' [{100*min(values):.{digits}f} to {100*max(values):.{digits}f}]'
    return f' ± {100*half:.{digits}f}'


def cell(by_seed, published=None, digits=1, least_and_largest=False):
    """'99.1 ± 0.2 (97.3)' from {seed: share}; a plain number with one seed."""
    text = MISSING
    if by_seed:
        values = list(by_seed.values())
        text = f'{100*statistics.interval(values)[0]:.{digits}f}'
        text += spread(values, digits=digits, least_and_largest=least_and_largest)
    return text if published is None else f'{text} ({published:.1f})'


def seeds_of(columns):
    """How many seeds stand behind the cells of a line, each a collection of seeds: '5', or '3 to 5'."""
    counts = sorted({len(seeds) for seeds in columns if seeds}) or [0]
    return str(counts[0]) if len(counts) == 1 else f'{counts[0]} to {counts[-1]}'


def steps_text(steps):
    """'2,500 + 4,000' of (2500, 4000)."""
    return ' + '.join(f'{s:,}' for s in steps) if steps else MISSING


def steps_cells(results, method):
    """The cell of a row in the column of steps, which there is where any are known."""
    return [steps_text(results.steps.get(method))] if results.steps else []


def steps_title(results):
    return ['steps'] if results.steps else []


def finished(title, columns, lines, notes):
    """The Table, and below it what its cells mean."""
    marks = set(''.join(c for line in lines for c in line))
    meant = [INTERVAL_NOTE if marks & set('±[') else 'Accuracy in %.']
    if '[' in marks:
        meant.append(RANGE_NOTE)
    if 'steps' in columns:
        meant.append(STEPS_NOTE)
    return Table(title, columns, lines, [*meant, *notes])


# Tables

def accuracy_table(results):
    """The paper's table: methods x (original, six patterns, their mean and worst), beside its own numbers.

    The worst is taken within each seed.
    """
    known, found, titles = PUBLISHED.get(results.dataset, {}), results.methods, row_names(False)
    names, lines = [*TESTS, MEAN, WORST], []
    for method in in_order(m for m in {**found, **known} if m in titles):
        tests, numbers = found.get(method, {}), [*known.get(method, [None]*len(TESTS + [MEAN])), None]
        if tests.keys() & set(names) or method in known:
            cells = [cell(tests.get(t), p) for t, p in zip(names, numbers)]
            lines.append([titles[method], *cells, *steps_cells(results, method),
                          seeds_of(tests.get(t) for t in names)])
    notes = [PUBLISHED_NOTE, ATTENTION_NOTE] if known else []
    columns = ['method', *names, *steps_title(results), 'seeds']
    return finished(f'{results.title}: accuracy by background', columns, lines, [*notes, *results.notes])


def tests_table(results):
    """A set without the six patterns: methods x its own tests; the drone study where it is to be compared."""
    names, titles, lines = results.own_tests, row_names(True), []
    drone = PUBLISHED_DRONE if results.dataset in DRONE_NOTES else {}
    for method in in_order(m for m in {**drone, **results.methods} if m in titles):
        tests = results.methods.get(method, {})
        paper = [f'{drone[method]:.1f}' if method in drone else MISSING] if drone else []
        if method in drone or tests.keys() & set(names):
            lines.append([titles[method], *(cell(tests.get(t)) for t in names), *paper,
                          *steps_cells(results, method), seeds_of(tests.get(t) for t in names)])
    others = ELSEWHERE.get(results.dataset, {}) if lines else {}
    for name, known in others.items():
        lines.append([name, *(f'{known[t]:.1f}' if t in known else MISSING for t in names),
                      *[MISSING]*len(steps_title(results)), MISSING])
    paper, notes = (['paper: drone study'], [DRONE_NOTES[results.dataset]]) if drone else ([], [])
    notes += [ELSEWHERE_NOTE] if others else []
    columns = ['method', *(t.removeprefix('test-') for t in names), *paper, *steps_title(results),
               'seeds']
    about = CASE_STUDIES.get(results.dataset, 'accuracy by test')
    return finished(f'{results.title}: {about}', columns, lines, [*notes, *results.notes])


def unseen_table(results, ending=''):
    """Methods x unseen families, and their means; a dagger where training saw one.

    ending: NO_HALO for backgrounds right up to the object.
    """
    found, photographs = results.methods, results.photographs
    titles, each = row_names(photographs), unseen_tests(unseen.FAMILIES, ending)
    names = [*each, UNSEEN_MEAN + ending]
    methods = in_order(m for m in found if m in titles and found[m].keys() & set(names))
    kept, lines = unmarked(methods, photographs), []
    for method in methods:
        tests, marks = found[method], seen(method, photographs)
        cells = [cell(tests.get(t)) + (' †' if f in marks and t in tests else '')
                 for f, t in zip(unseen.FAMILIES, each)]
        means = [tests.get(UNSEEN_MEAN + ending), over(tests, unseen_tests(kept, ending))]
        lines.append([titles[method], *cells, *map(cell, means), seeds_of(tests.get(t) for t in names)])
    columns = ['method', *unseen.FAMILIES, 'mean', 'mean without †', 'seeds']
    halo = 'no halo' if ending else '2-pixel halo'
    notes = _unseen_notes(lines, kept, photographs)
    return finished(f'{results.title}: backgrounds never trained on, {halo}', columns, lines,
                    [*notes, *results.notes])


def _unseen_notes(lines, kept, photographs):
    notes = [f'Photographs: crops of {len(unseen.COLOURED)} pictures of scikit-image.'] if photographs else \
        [f'Photographs: crops of {len(unseen.PHOTOGRAPHS)} pictures of scikit-image, in grey.']
    if any('†' in c for line in lines for c in line):
        notes += [DAGGER_NOTE, PLAIN_NOTES[photographs]]
    return [*notes, f'Mean without †: over what no row of this table was trained on ({", ".join(kept)}).']


def worst_table(results):
    """Methods x searches for the worst background, beside the mean over unseen families without a halo."""
    found, photographs = results.methods, results.photographs
    plain = {'original': 'original', 'six': MEAN}   # what it costs
    columns = {title: test for title, test in (plain | WORST_CASES).items() if test in results.tests}
    titles, last, lines = row_names(photographs), UNSEEN_MEAN + NO_HALO, []
    for method in in_order(m for m in found if found[m].keys() & set(WORST_CASES.values())):
        tests = found[method]
        cells = [cell(tests.get(t), least_and_largest=t not in plain.values()) for t in columns.values()]
        lines.append([titles.get(method, name_of(method, photographs)), *cells, cell(tests.get(last)),
                      seeds_of(tests.get(t) for t in (*columns.values(), last))])
    return Table(f'{results.title}: worst cases', ['method', *columns, 'unseen, no halo', 'seeds'], lines,
                 [WORST_NOTE, *_worst_notes(results), UNSEEN_NOTE, *results.notes])


def _worst_notes(results):
    """What each column is, and on how many images."""
    low, high = adversary.BRIGHTNESS
    effort, usual = pixels.USUAL, adversary.USUAL
    notes = {'attack': ATTACK_NOTE.format(number=len(usual.rates)*usual.restarts, low=low, high=high),
             'pixels': PIXELS_NOTE.format(steps=effort.steps, starts=listed(pixels.STARTS),
                                          more=effort.starts.count(pixels.OTHERS),
                                          losses=listed(climbing.LOSSES)),
             'worst': EVERY_NOTE.format(backgrounds=len(worst.SET), draws=worst.DRAWS)}
    which = {'pixels': ', evenly spaced' if results.photographs else ', the first of the set'}
    return [f'{note} On {results.images[test]:,} test images{which.get(test, "")}.'
            for test, note in notes.items() if test in results.images]


def listed(words):
    """'noise, black and textures'."""
    *most, last = words
    return f'{", ".join(most)} and {last}'


SUMMARISED = 'baseline', 'proposal', 'best'   # rows of the summary


def in_summary(results):
    """Has it the tests of the columns of the summary, and one of its rows?"""
    tests = bool(set(SIX) & set(results.tests)) or results.dataset in CASE_STUDIES
    return tests and bool(results.methods.keys() & set(SUMMARISED))


def summary_table(all_results):
    """A line for each data set and SUMMARISED row, beside the published numbers: the tests in three."""
    lines, known_steps = [], any(r.steps for r in all_results)
    kept = [f for f in unseen.FAMILIES
            if all(f in unmarked(SUMMARISED, r.photographs) for r in all_results)]
    for results in all_results:
        tests = ['original', MEAN] if set(SIX) & set(results.tests) else ['test-studio', 'test-field']
        for method in (m for m in SUMMARISED if m in results.methods):
            found, known = results.methods[method], PUBLISHED.get(results.dataset, {}).get(method)
            columns = [*(found.get(t) for t in tests), over(found, unseen_tests(kept))]
            paper = [known[0], known[-1], None] if known else [None]*3
            steps = [steps_text(results.steps.get(method))] if known_steps else []
            lines.append([results.title, row_names(results.photographs)[method],
                          *map(cell, columns, paper), *steps, seeds_of(columns)])
    notes = [PUBLISHED_NOTE,
             'Original: the test images as they are (hand signs: in the studio). Mean of six: on the six '
             'patterns (hand signs: in the field).',
             f'Unseen: mean over {len(kept)} families of backgrounds that none of these rows was trained on '
             f'({", ".join(kept)}), 2 pixels away from the object.']
    columns = ['data set', 'method', 'original / studio', 'mean of six / field', 'unseen',
               *(['steps'] if known_steps else []), 'seeds']
    return finished('Summary', columns, lines, notes)


# Masks

REFERENCE_NOTE = ('Reference masks of the hand signs: made by the distance of colours from the wall. `snap` '
                  'is a method of the same kind, so its score says how far the two agree.')


def truth_of(dataset):
    """What the masks of a data set are compared with."""
    if dataset in CASE_STUDIES:
        return 'reference masks'
    named = [mydatasets.label(name) for name in mydatasets.SOURCES]
    return 'x > 0' if dataset in named or dataset.startswith(('tfds-', 'emnist-')) else 'masks of the folder'


def masks_table(rows):
    """Mask scores: IoU, Dice, area and true area of each method and data set."""
    lines, notes = [], []
    for dataset, method in dict.fromkeys((r['dataset'], r['method']) for r in rows):
        mine, more = newest(rowfile.find(rows, dataset=dataset, method=method))
        notes += [f'{title_of(dataset)}, {note}' for note in more]
        cells = []
        for field in ('iou', 'dice', 'area', 'true_area'):
            mean, half = statistics.interval(r[field] for r in mine)
            cells.append(f'{mean:.3f}' + ('' if math.isnan(half) else f' ± {half:.3f}'))
        lines.append([title_of(dataset), method, truth_of(dataset), *cells, str(mine[0]['n']),
                      str(len(mine))])
    notes = [REFERENCE_NOTE, *notes] if any(r['dataset'] in CASE_STUDIES for r in rows) else notes
    notes = ['Mean over test images ± half of the 95 % interval over seeds, which it covers, not the '
             'choice of images; areas are shares of the image.',
             *notes]
    columns = ['data set', 'masks', 'truth', 'IoU', 'Dice', 'area', 'true area', 'images', 'seeds']
    return Table('Masks against the truth', columns, lines, notes)

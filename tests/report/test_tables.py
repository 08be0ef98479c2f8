"""Tables: every cell follows by hand from the rows, settings never mix."""
import math

import numpy as np
import pytest
from made_rows import line, results_of, rows_of

import mybackgrounds
import mymodels
from common.keys import Key
from common.quiet import keras, tf
from report import comparisons, formats, naming, pages, selection, tables
from report.naming import MEAN, TESTS, UNSEEN_MEAN, WORST
from report.tables import cell
from scoring.unseen import FAMILIES, PLAIN
from training import recipes


def test_cells_hold_mean_and_students_interval_beside_the_published_number():
    values = [0.90, 0.92, 0.97]
    rows = rows_of('proposal', dict(enumerate(values)))
    # t(0.975, 2) = 4.3027; deviation 0.036056
    half = 4.3027*math.sqrt(sum((v - 0.93)**2 for v in values)/2)/math.sqrt(3)
    assert 0.93 + half > 1
    found = line(tables.accuracy_table(results_of(rows)), 'Proposal')
    assert found['stripes'] == '93.0 [90.0 to 97.0] (92.3)'   # the interval would leave 100
    assert found['original'].endswith('(94.9)') and found[MEAN].endswith('(85.5)') and found['seeds'] == '3'
    lower = rows_of('proposal', {s: v - 0.2 for s, v in enumerate(values)})
    assert line(tables.accuracy_table(results_of(lower)), 'Proposal')['stripes'] == (
        f'73.0 ± {100*half:.1f} (92.3)') == '73.0 ± 9.0 (92.3)'


@pytest.mark.parametrize('values, text', [
    ([.972, .696, .992], '88.7 [69.6 to 99.2]'), ([.01, .03, .2], '8.0 [1.0 to 20.0]'),
    ([1., 1., 1.], '100.0 ± 0.0'), ([.5, .52], '51.0 [50.0 to 52.0]'), ([.5, .52, .51], '51.0 ± 2.5'),
    ([.5], '50.0'), ([], naming.MISSING)])
def test_an_interval_that_leaves_0_to_100_or_stands_on_two_seeds_gives_way(values, text):
    assert cell(dict(enumerate(values))) == text
    table = tables.accuracy_table(results_of(rows_of('best', dict(enumerate(values)), ['stripes'])))
    assert (tables.RANGE_NOTE in table.notes) == ('[' in text)
    assert any('covers seeds, not' in n for n in table.notes) == (len(values) > 1)


def test_one_seed_has_no_interval_and_missing_cells_say_so():
    table = tables.accuracy_table(results_of(rows_of('baseline', {0: 0.5}, ['original', 'clock'])))
    found = line(table, 'Baseline')
    assert found['original'] == '50.0 (97.3)' and found['board'] == '– (24.3)' and found[MEAN] == '– (31.3)'
    assert found['seeds'] == '1'
    assert line(table, 'Attention')['clock'] == '– (29.3)' and line(table, 'Attention')['seeds'] == '0'


def test_the_mean_of_six_is_taken_within_each_seed_and_needs_all_six():
    first, second = (1., .1, .2, .3, .4, .5, .6), (1., .2, .3, .4, .5, .6, .7)
    values = {0: dict(zip(TESTS, first)), 1: dict(zip(TESTS, second))}
    rows = rows_of('best', values) + rows_of('best', {2: 0.9}, TESTS[:4])
    results = results_of(rows)
    assert results.methods['best'][MEAN] == pytest.approx({0: 0.35, 1: 0.45}) and not results.notes
    assert results.methods['best'][WORST] == {0: .1, 1: .2}
    found = line(tables.accuracy_table(results), 'Best')
    assert found[WORST] == cell({0: .1, 1: .2}) and found['seeds'] == '2 to 3'


def test_methods_stand_in_the_papers_order_under_their_names():
    methods = ('best', 'real', 'textures', 'noise', 'black', 'proposal', 'attention', 'baseline', 'best-pool',
               'textures-long', 'untrained', 'redrawn', 'baseline-long', 'proposal-long', 'best-truth')
    rows = [r for m in methods for r in rows_of(m, {0: 0.9})]
    table = tables.accuracy_table(results_of(rows))
    assert [r[0] for r in table.rows] == [
        'Baseline', 'Attention', 'Proposal', 'Generator never trained', 'Generator redrawn at every step',
        'Black', 'Noise', 'Real (upper bound: the test patterns, true masks)', 'Textures', 'Baseline (long)',
        'Proposal (long)', 'Textures (long)', 'Best']
    assert table.columns == ['method', *TESTS, MEAN, WORST, 'seeds']
    assert any('not quite comparable' in n for n in table.notes)
    digits = tables.accuracy_table(results_of([{**r, 'dataset': 'digits'} for r in rows], 'digits'))
    assert '(' not in ''.join(c for r in digits.rows for c in r[1:]) and len(digits.rows) == 13


def test_every_row_that_can_be_trained_has_a_name_and_the_page_says_what_it_is():
    for method in recipes.METHODS:
        for photographs in (False, True):
            assert naming.name_of(method, photographs) != method or method.startswith('best-')
            if method in naming.row_names(photographs):
                assert naming.meaning_of(method, photographs)


def test_rows_of_different_settings_never_share_a_cell():
    rows = rows_of('best', {0: 0.9, 1: 0.9}, settings='old') + rows_of('best', {0: 0.8}, settings='new')
    table = tables.accuracy_table(results_of(rows))
    assert line(table, 'Best')['board'] == '80.0' and any('old' in n and 'new' in n for n in table.notes)
    table = tables.accuracy_table(results_of(rows[:-7]))
    assert line(table, 'Best')['board'] == '90.0 [90.0 to 90.0]' and not any('new' in n for n in table.notes)


def test_steps_are_shown_for_the_settings_that_are_known_to_have_them():
    rows = rows_of('baseline', {0: .9}, settings='b') + rows_of('best', {0: .9}, settings='other')
    steps = {('mnist', 'b'): (2500,), ('mnist', 'x'): (2500, 12000), ('digits', 'other'): (1,)}
    table = tables.accuracy_table(results_of(rows, steps=steps))
    assert line(table, 'Baseline')['steps'] == '2,500' and line(table, 'Best')['steps'] == naming.MISSING
    assert tables.STEPS_NOTE in table.notes
    assert tables.steps_text((2500, 12000)) == '2,500 + 12,000'
    assert 'steps' not in tables.accuracy_table(results_of(rows)).columns


# Sets without the six patterns

def test_hand_signs_stand_beside_the_drone_study_and_best_is_called_what_it_is():
    rows = rows_of('proposal', {0: .9, 1: .92}, ['test-field', 'test-studio'], dataset='signs') \
        + rows_of('best', {0: .9}, ['test-field'], dataset='signs') \
        + rows_of('best-short', {0: .8}, ['test-field'], dataset='signs')
    table = tables.tests_table(results_of(rows, 'signs'))
    assert table.title == 'hand signs: trained in the studio, tested in the field'
    assert table.columns == ['method', 'studio', 'field', 'paper: drone study', 'seeds']
    assert line(table, 'Proposal')['paper: drone study'] == '88.7'
    assert line(table, 'Proposal')['field'] == cell({0: .9, 1: .92})
    assert line(table, 'Real') == dict(zip(table.columns, ('Real', '–', '–', '93.8', '0')))
    assert line(table, 'Textures and adversary')['field'] == '80.0'
    assert line(table, 'Best (textures)')['field'] == '90.0'


@pytest.mark.parametrize('dataset, tests, columns', [
    ('parts', ['test-studio', 'test-field'], ['studio', 'field']), ('shoes', ['test'], ['test']),
    ('cifar10_stl10', ['cifar10', 'stl10'], ['cifar10', 'stl10']), ('cifar10', ['original'], ['original']),
    ('svhn_synthdigits', ['svhn', 'synthdigits'], ['svhn', 'synthdigits'])])
def test_published_numbers_stay_with_the_sets_that_they_were_published_for(dataset, tests, columns):
    rows = [r for m in ('baseline', 'best') for r in rows_of(m, {0: .9, 1: .92}, tests, dataset=dataset)]
    results = results_of(rows, dataset)
    found = pages.tables_of(results)
    assert [t.title for t in found] == [f'{dataset}: accuracy by test']
    assert found[0].columns == ['method', *columns, 'seeds']
    assert [r[0] for r in found[0].rows] == ['Baseline', 'Best (textures)']
    text = '\n'.join(map(formats.to_markdown, found))
    assert 'drone' not in text.lower() and 'published' not in text


def test_the_insulators_stand_beside_their_own_published_numbers():
    results = results_of(rows_of('baseline', {0: .9}, ['test-a', 'test-b'], dataset='prates'), 'prates')
    table = tables.tests_table(results)
    assert table.title == 'prates: accuracy by test'
    assert table.columns == ['method', 'a', 'b', 'paper: drone study', 'seeds']
    assert any('these insulators' in n for n in table.notes)


def test_published_rows_of_office_31_stand_below_ours_with_what_differs():
    rows = rows_of('best', {0: .67}, ['test-webcam', 'test-dslr', 'test-amazon'], dataset='office31-128')
    table = tables.tests_table(results_of(rows, 'office31-128'))
    ours, *others = table.rows
    assert ours[0] == 'Best (textures)' and all(r[0].startswith('published: ') for r in others)
    assert line(table, 'published: ResNet-50 (Transfer-Learning-Library)') == dict(zip(
        table.columns, ('published: ResNet-50 (Transfer-Learning-Library)', '75.8', '79.3', '–', '–')))
    assert naming.ELSEWHERE_NOTE in table.notes


def test_rows_of_imagenet_networks_carry_daggers_like_other_photographs():
    assert selection.seen('best-flood', True) == set(PLAIN) and not selection.seen('augment', True)


# Backgrounds never trained on

def test_unseen_table_marks_what_a_row_was_trained_on():
    tests = [f'unseen-{f}' for f in FAMILIES]
    methods = 'baseline', 'noise', 'real', 'textures', 'textures-long', 'proposal', 'best-short'
    rows = [r for m in methods for r in rows_of(m, {0: 0.75}, tests)]
    table = tables.unseen_table(results_of(rows))
    assert len(table.rows) == 6   # best-short belongs to the ablation
    marked = {r[0]: [f for f, c in zip(FAMILIES, r[1:]) if '†' in c] for r in table.rows}
    assert marked == {'Baseline': [], 'Proposal': [], 'Noise': ['gaussian'],
                      naming.UPPER_BOUND: ['patterns-shifted', 'patterns-inverted'],
                      'Textures': ['grey', 'white'], 'Textures (long)': ['grey', 'white']}
    assert line(table, 'Noise')['mean'] == '75.0'
    assert results_of(rows).methods['noise'][UNSEEN_MEAN] == {0: 0.75}
    assert tables.unseen_table(results_of(rows), naming.NO_HALO).rows == []


def test_the_second_mean_is_over_families_that_no_row_of_the_table_was_trained_on():
    tests = {f'unseen-{f}': (1. if f in ('grey', 'white', 'gaussian') else .5) for f in FAMILIES}
    rows = rows_of('baseline', {0: tests}, tests) + rows_of('textures', {0: tests}, tests)
    table = tables.unseen_table(results_of(rows))
    assert line(table, 'Baseline')['mean without †'] == f'{100*(6*.5 + 1)/7:.1f}'
    assert any('(photographs, gratings, crosses, text, gaussian,' in n for n in table.notes)
    with_noise = tables.unseen_table(results_of(rows + rows_of('noise', {0: tests}, tests)))
    assert line(with_noise, 'Baseline')['mean without †'] == '50.0'


def test_every_row_that_trains_on_textures_is_marked_on_plain_backgrounds():
    for photographs, plan in (False, recipes.MONOCHROME), (True, recipes.PHOTOGRAPHS):
        for method, phase in plan.items():
            if 'textures' in phase.argv:
                assert {'grey', 'white'} <= selection.seen(method, photographs), method
    assert 'grey' in selection.seen('proposal', True) and not selection.seen('proposal', False)


@pytest.mark.slow
def test_the_shares_of_plain_backgrounds_that_the_notes_name():
    """Random textures are plain in one of a hundred cases, an untrained head's seldom, in colour often."""
    def plain(draw, shape, n=1000):
        found = [draw(tf.zeros((n//4, *shape)), Key.of(3, i)).numpy().reshape(n//4, -1, shape[-1])
                 for i in range(4)]
        return np.mean(np.concatenate(found).std(1).max(1) < 0.02)

    keras.utils.set_random_seed(0)
    nets = {c: mymodels.generator((32, 32, c), 2) for c in (1, 3)}

    def untrained(x, key):
        net = nets[x.shape[-1]]
        logits = net(key.normal(len(x), net.input_shape[1:]))
        return mybackgrounds.tinted(mybackgrounds.threshold(logits, key.fold(1)), key.fold(2))
    assert 0.005 < plain(mybackgrounds.textures, (32, 32, 1)) < 0.025
    assert plain(untrained, (32, 32, 1)) < 0.008
    assert plain(untrained, (32, 32, 3)) > 0.1


def test_a_row_has_seen_what_the_network_that_it_began_as_had_seen():
    best = selection.seen('best', False)
    assert best and selection.seen('ascent', False) == best
    assert not selection.seen('baseline', False)


def test_worst_cases_show_the_least_and_the_largest_of_the_seeds_and_say_what_they_bound():
    tests = [*TESTS, 'attack', 'pixels', 'worst', 'worst-nohalo',
             *selection.unseen_tests(FAMILIES, naming.NO_HALO)]
    rows = [r for m in ('best', 'attention', 'best-short', 'real')
            for r in rows_of(m, {0: .9, 1: .91, 2: .92}, tests)] + rows_of('black', {0: .5})
    table = tables.worst_table(results_of(rows))
    assert table.title == 'MNIST: worst cases'
    assert table.columns == ['method', 'original', 'six', 'attack', 'pixels', 'worst', 'worst, no halo',
                             'unseen, no halo', 'seeds']
    assert [r[0] for r in table.rows] == ['Attention', naming.UPPER_BOUND, 'Best', 'Best (short)']
    found = line(table, 'Best')
    assert {found[c] for c in table.columns[3:7]} == {'91.0 [90.0 to 92.0]'}
    assert {found[c] for c in ('original', 'six', 'unseen, no halo')} == {'91.0 ± 2.5'}
    assert found['seeds'] == '3'
    text = '\n'.join(table.notes)
    for words in ('upper bounds', 'never see the image', '0.2 to 0.5', 'strongest of 4', '49 backgrounds',
                  '100 steps from each of noise, black and textures, then 5 searches from what turned other '
                  'images', 'by cross-entropy and margin in turn',
                  'On 1,000 test images, the first of the set.'):
        assert words in text


def test_worst_cases_have_a_table_only_where_there_are_such_rows_and_columns_only_for_those():
    assert [t.title for t in pages.tables_of(results_of(rows_of('best', {0: .9})))] == [
        'MNIST: accuracy by background']
    results = results_of(rows_of('best', {0: .9}, [*TESTS, 'pixels']) + rows_of('baseline', {0: .9}))
    table = tables.worst_table(results)
    assert table.title in [t.title for t in pages.tables_of(results)]
    assert table.rows == [['Best', '90.0', '90.0', '90.0', naming.MISSING, '1']]
    assert not any(n.startswith(('Attack', 'Worst')) for n in table.notes)
    photographs = rows_of('best', {0: .9}, ['test-studio', 'worst', 'pixels'], dataset='signs')
    results = results_of(photographs, 'signs')
    assert results.own_tests == ['test-studio'] and results.photographs
    table = tables.worst_table(results)
    assert table.rows[0][0] == 'Best (textures)' and any('evenly spaced' in n for n in table.notes)


def test_photographs_have_their_own_tests_names_and_daggers_on_unseen_backgrounds():
    tests = ['test-studio', *(f'unseen-{f}' for f in FAMILIES)]
    rows = [r for m in ('real', 'best-short', 'best') for r in rows_of(m, {0: 0.75}, tests, dataset='signs')]
    results = results_of(rows, 'signs')
    table = tables.unseen_table(results)
    assert [r[0] for r in table.rows] == ['Real', 'Best (textures)', 'Textures and adversary']
    assert 'attack' not in table.columns and any('5 pictures' in n for n in table.notes)
    assert line(table, 'Real')['photographs'] == '75.0 †' and line(table, 'Real')['text'] == '75.0'
    assert line(table, 'Best (textures)')['white'] == '75.0 †'
    assert tables.tests_table(results).columns[1:] == ['studio', 'paper: drone study', 'seeds']
    assert comparisons.differences_table(results).columns == ['', 'studio', 'unseen', 'seeds']


# Summary and masks

def test_the_summary_has_a_line_for_each_set_and_row_beside_the_published_numbers():
    tests = [*TESTS, *(f'unseen-{f}' for f in FAMILIES)]
    rows = [r for d in ('mnist', 'digits') for m in ('baseline', 'textures', 'best')
            for r in rows_of(m, {0: .9, 1: .92}, tests, dataset=d)]
    rows += rows_of('best', {0: .8}, ['test-studio', 'test-field', *tests[7:]], dataset='signs')
    table = tables.summary_table([results_of(rows, d) for d in ('mnist', 'digits', 'signs')])
    assert table.title == 'Summary'
    both = cell({0: .9, 1: .92})
    assert table.rows == [['MNIST', 'Baseline', f'{both} (97.3)', f'{both} (31.3)', both, '2'],
                          ['MNIST', 'Best', both, both, both, '2'],
                          ['digits', 'Baseline', both, both, both, '2'],
                          ['digits', 'Best', both, both, both, '2'],
                          ['hand signs', 'Best (textures)', '80.0', '80.0', '80.0', '1']]
    note = next(n for n in table.notes if n.startswith('Unseen'))
    assert 'grey' not in note and 'white' not in note and 'over 7 families' in note


def test_masks_say_what_they_are_compared_with():
    rows = [{'dataset': d, 'method': 'unet-otsu', 'seed': s, 'n': 10, 'iou': v, 'dice': .9,
             'area': .2, 'true_area': .15, 'settings': 'a'}
            for d in ('mnist', 'signs', 'shoes') for s, v in ((0, .75), (1, .77))]
    table = tables.masks_table(rows)
    # t(0.975, 1) = 12.7062, deviation 0.014142
    half = 12.7062*0.0141421/math.sqrt(2)
    assert table.rows[0] == ['MNIST', 'unet-otsu', 'x > 0', f'0.760 ± {half:.3f}', '0.900 ± 0.000',
                             '0.200 ± 0.000', '0.150 ± 0.000', '10', '2']
    assert [r[2] for r in table.rows] == ['x > 0', 'reference masks', 'masks of the folder']
    assert tables.REFERENCE_NOTE in table.notes
    assert tables.REFERENCE_NOTE not in tables.masks_table(rows[:2]).notes

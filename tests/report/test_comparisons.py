"""Differences: between equals alone, paired over seeds, p-values from five seeds on and corrected."""
import pytest
from made_rows import line, results_of, rows_of

import reproduce
from report import comparisons, naming, statistics
from report.naming import MEAN
from scoring.unseen import FAMILIES
from training import recipes

SIGNS = 'folder:../shared/signs'
FIVE = dict(zip(range(5), (.95, .951, .953, .949, .952)))
LOWER = dict(zip(range(5), (.93, .935, .931, .934, .929)))


def plan(dataset):
    return reproduce.Plan(reproduce.parse([dataset]), dataset, 0, dataset != SIGNS)


@pytest.mark.parametrize('dataset', ['mnist', SIGNS])
def test_only_rows_of_equal_steps_and_masks_are_compared(dataset):
    one, rows = plan(dataset), recipes.MONOCHROME if dataset == 'mnist' else recipes.PHOTOGRAPHS
    pairs = [(a, b) for a, b in naming.COMPARED if a in rows and b in rows]
    assert len(pairs) > 10
    for a, b in pairs:
        longest = [reproduce.steps(one, m)[-1] for m in (a, b)]   # of Baseline (long) all of them
        assert longest[0] == longest[1], (a, b)
        masks = [one.phases[m].argv[1:3] for m in (a, b) if one.phases[m].script == 'train3'] or ['']
        assert masks[0] == masks[-1] or (a, b) == ('best', 'real') and one.monochrome, (a, b)


def test_every_row_of_the_ablation_can_be_trained_and_all_but_best_have_one_length():
    assert set(naming.ABLATION) <= set(recipes.METHODS)
    one = plan('mnist')
    assert {reproduce.steps(one, m) for m in naming.ABLATION if m != 'best'} == {(2500, 4000)}
    assert reproduce.steps(one, 'best') == (2500, 12000) and reproduce.steps(one, 'baseline-long') == (12000,)


def test_steps_are_found_by_settings():
    found = reproduce.steps_by_fingerprint([plan('mnist'), plan(SIGNS)])
    assert found['mnist', '05eeed50'] == (2500, 4000) and found['signs', '4dae9bea'] == (1500, 3000)


def test_p_values_come_from_five_seeds_on_and_intervals_from_three():
    for seeds, end in (1, '+1.00'), (2, '+1.00'), (3, ' ± 0.00'), (4, ' ± 0.00'), (5, '(p < 0.001)'):
        few = {s: dict.fromkeys(naming.TESTS, .5 + s/8) for s in range(seeds)}
        more = {s: {t: v + 1/100 for t, v in tests.items()} for s, tests in few.items()}
        rows = rows_of('proposal', more) + rows_of('untrained', few)
        table = comparisons.differences_table(results_of(rows))
        found = line(table, 'Proposal – Generator never trained')
        assert found[MEAN].endswith(end) and found['seeds'] == str(seeds)
        assert any('No p-values' in n for n in table.notes) == (seeds < 5)


def test_p_values_are_corrected_for_all_tests_of_their_table():
    rows = rows_of('proposal', FIVE) + rows_of('untrained', LOWER) + rows_of('textures', LOWER) \
        + rows_of('black', dict(list(LOWER.items())[:3]))
    table = comparisons.differences_table(results_of(rows))
    # three pairs of five seeds, on original and mean of six; black has three seeds
    assert any('for the 6 tests of this table (Holm 1979)' in n for n in table.notes)
    found = statistics.paired(FIVE, LOWER)
    (mean, half), p = statistics.interval(found), statistics.p_value(found)
    assert 0.001 < 6*p < 0.05
    cells = [line(table, f'Proposal – {b}')['original'] for b in ('Generator never trained', 'Textures')]
    assert cells == [f'+{100*mean:.2f} ± {100*half:.2f} (p = {6*p:.3f})']*2
    assert line(table, 'Generator never trained – Textures')['original'] == '+0.00 ± 0.00 (p = 1.000)'
    assert 'p' not in line(table, 'Proposal – Black')['original']


def test_differences_are_paired_over_common_seeds():
    rows = rows_of('proposal', {0: .9, 1: .9, 5: .1}) + rows_of('textures', {0: .95, 1: .94, 2: .955}) \
        + rows_of('untrained', {7: .5})
    table = comparisons.differences_table(results_of(rows))
    assert line(table, 'Proposal – Textures')['mean of six'] == '-4.50'
    assert line(table, 'Proposal – Generator never trained')['mean of six'] == naming.MISSING
    assert table.columns == ['', 'original', 'mean of six', 'seeds']


def test_unequal_rows_are_not_compared():
    rows = [r for m in ('baseline', 'proposal', 'textures', 'best') for r in rows_of(m, FIVE)]
    assert [r[0] for r in comparisons.differences_table(results_of(rows)).rows] == ['Proposal – Textures']


def test_longer_baselines_say_what_differs():
    rows = rows_of('baseline-long', FIVE, settings='b') + rows_of('proposal-long', FIVE, settings='p')
    steps = {('mnist', 'b'): (12000,), ('mnist', 'p'): (2500, 12000)}
    table = comparisons.differences_table(results_of(rows, steps=steps))
    assert line(table, 'Proposal (long) – Baseline (long)')['steps'] == '2,500 + 12,000 / 12,000'
    assert naming.UNEQUAL_NOTES['baseline-long'] in table.notes


def test_real_is_compared_on_its_own_patterns_where_it_is_a_bound_and_everywhere_on_photographs():
    unseen = [f'unseen-{f}' for f in FAMILIES]
    rows = [r for m in ('best', 'real') for r in rows_of(m, FIVE, [*naming.TESTS, *unseen])]
    table = comparisons.differences_table(results_of(rows))
    found = line(table, 'Best – Real')
    assert found['mean of six'] != naming.MISSING and found['unseen'] == found['original'] == naming.MISSING
    assert naming.UNEQUAL_NOTES['real'] in table.notes
    rows = [r for m in ('best', 'real') for r in rows_of(m, FIVE, ['test-field', 'test-studio', *unseen],
                                                         dataset='signs')]
    table = comparisons.differences_table(results_of(rows, 'signs'))
    assert table.columns == ['', 'studio', 'field', 'unseen', 'seeds']
    assert naming.MISSING not in line(table, 'Best (textures) – Real').values()
    assert naming.UNEQUAL_NOTES['real'] not in table.notes


def test_unseen_differences_leave_out_what_either_row_was_trained_on():
    values = {f'unseen-{f}': (1. if f in ('grey', 'white') else .5) for f in FAMILIES}
    rows = rows_of('textures', {0: values}, values) + rows_of('proposal', {0: .25}, values)
    assert line(comparisons.differences_table(results_of(rows)), 'Proposal – Textures')['unseen'] == '-25.00'


def test_ablations_stand_in_a_table_of_their_own_against_the_short_best():
    rows = rows_of('best-pool', {0: .95, 1: .95, 2: .96}) + rows_of('best-short', {0: .98, 1: .97, 2: .99}) \
        + rows_of('textures', {0: .97, 1: .97, 2: .97, 3: .1}) + rows_of('noise', {0: .5})
    table = comparisons.ablation_table(results_of(rows))
    names = [naming.ABLATION[m] for m in ('best-short', 'textures', 'best-pool')]
    assert [r[0] for r in table.rows] == names
    assert line(table, names[0])['mean of six'] == '98.00 [97.00 to 99.00]'
    assert line(table, names[2])['mean of six'].startswith('-2.67 ± ')
    # of the fourth seed of Textures nothing is seen: the first line has none
    assert line(table, names[1])['original'].startswith('-1.00 ± ') and {r[-1] for r in table.rows} == {'3'}
    assert 'attack' not in table.columns and any('No p-values' in n for n in table.notes)

"""Tables: every cell follows by hand from the rows, settings never mix, no text breaks the formats."""
import io
import math

import pytest

from report import formats, naming, tables
from report.naming import MEAN, SIX, TESTS, UNSEEN_MEAN, WORST
from report.tables import cell
from scoring.unseen import FAMILIES
from training import recipes


def row(method, seed, test, accuracy, settings='a', dataset='mnist'):
    return {'dataset': dataset, 'method': method, 'seed': seed, 'test': test, 'n': 1000,
            'correct': round(1000*accuracy), 'accuracy': accuracy, 'settings': settings}


def rows_of(method, values, tests=TESTS, **more):
    """values: {seed: {test: accuracy} or one accuracy for all tests}."""
    return [row(method, s, t, v[t] if isinstance(v, dict) else v, **more)
            for s, v in values.items() for t in tests]


def line(table, name):
    return dict(zip(table.columns, next(r for r in table.rows if r[0] == name)))


def test_cells_hold_mean_and_students_interval_beside_the_published_number():
    values = [0.90, 0.92, 0.97]
    rows = rows_of('proposal', dict(enumerate(values)))
    # t(0.975, 2) = 4.3027; deviation 0.036056
    half = 4.3027*math.sqrt(sum((v - 0.93)**2 for v in values)/2)/math.sqrt(3)
    found = line(tables.accuracy_table(rows, 'mnist'), 'Proposal')
    assert found['stripes'] == f'93.0 ± {100*half:.1f} (92.3)' == '93.0 ± 9.0 (92.3)'
    assert found['original'].endswith('(94.9)') and found[MEAN].endswith('(85.5)') and found['seeds'] == '3'
    alone = tables.accuracy_table(rows, 'mnist', published=False)
    assert line(alone, 'Proposal')['stripes'] == '93.0 ± 9.0'


def test_one_seed_has_no_interval_and_missing_cells_say_so():
    table = tables.accuracy_table(rows_of('baseline', {0: 0.5}, ['original', 'clock']), 'mnist')
    found = line(table, 'Baseline')
    assert found['original'] == '50.0 (97.3)' and found['board'] == '– (24.3)' and found[MEAN] == '– (31.3)'
    assert found['seeds'] == '1'
    assert line(table, 'Attention')['clock'] == '– (29.3)' and line(table, 'Attention')['seeds'] == '0'


def test_the_mean_of_six_is_taken_within_each_seed_and_needs_all_six():
    first, second = (1., .1, .2, .3, .4, .5, .6), (1., .2, .3, .4, .5, .6, .7)
    values = {0: dict(zip(TESTS, first)), 1: dict(zip(TESTS, second))}
    rows = rows_of('best', values) + rows_of('best', {2: 0.9}, TESTS[:4])
    found, notes = tables.select(rows, 'mnist')
    assert found['best'][MEAN] == pytest.approx({0: 0.35, 1: 0.45}) and not notes
    assert found['best'][WORST] == {0: .1, 1: .2}
    assert line(tables.accuracy_table(rows, 'mnist', worst=True), 'Best')[WORST] == cell({0: .1, 1: .2})
    assert line(tables.accuracy_table(rows, 'mnist'), 'Best')['seeds'] == '2 to 3'


def test_methods_stand_in_the_papers_order_under_their_names():
    methods = 'best', 'real', 'textures', 'noise', 'black', 'proposal', 'attention', 'baseline', 'best-pool'
    rows = [r for m in methods for r in rows_of(m, {0: 0.9})]
    table = tables.accuracy_table(rows, 'mnist')
    assert [r[0] for r in table.rows] == ['Baseline', 'Attention', 'Proposal', 'Black', 'Noise',
                                          'Real (upper bound: the test patterns, true masks)', 'Textures',
                                          'Best']
    assert table.columns == ['method', *TESTS, MEAN, 'seeds']
    assert any('not quite comparable' in n for n in table.notes)
    digits = tables.accuracy_table([{**r, 'dataset': 'digits'} for r in rows], 'digits')
    assert '(' not in ''.join(c for r in digits.rows for c in r[1:]) and len(digits.rows) == 8


def test_rows_of_different_settings_never_share_a_cell():
    rows = rows_of('best', {0: 0.9, 1: 0.9}, settings='old') + rows_of('best', {0: 0.8}, settings='new')
    table = tables.accuracy_table(rows, 'mnist')
    assert line(table, 'Best')['board'] == '80.0' and any('old' in n and 'new' in n for n in table.notes)
    table = tables.accuracy_table(rows, 'mnist', settings={'best': 'old'})
    assert line(table, 'Best')['board'] == '90.0 ± 0.0' and not any('new' in n for n in table.notes)


def test_textures_and_adversary_stand_in_the_case_study_under_what_they_are():
    rows = rows_of('best', {0: .9}, ['test-field']) + rows_of('best-short', {0: .8}, ['test-field'])
    table = tables.case_study_table(rows, 'mnist')
    assert line(table, 'Textures and adversary')['field'] == '80.0'


def test_case_study_stands_beside_the_drone_study():
    rows = rows_of('proposal', {0: .9, 1: .92}, ['test-field', 'test-studio'], dataset='signs')
    table = tables.case_study_table(rows, 'signs')
    assert table.columns == ['method', 'studio', 'field', 'paper: drone study', 'seeds']
    assert line(table, 'Proposal')['paper: drone study'] == '88.7'
    assert line(table, 'Proposal')['field'] == cell({0: .9, 1: .92})
    assert line(table, 'Real') == dict(zip(table.columns, ('Real', '–', '–', '93.8', '0')))


def test_unseen_table_marks_what_a_row_was_trained_on():
    tests = [f'unseen-{f}' for f in FAMILIES]
    methods = 'baseline', 'noise', 'real', 'best-short'
    rows = [r for m in methods for r in rows_of(m, {0: 0.75}, [*tests, 'attack'])]
    table = tables.unseen_table(rows, 'mnist')
    assert len(table.rows) == 3   # best-short belongs to the ablation
    assert line(table, 'Noise')['gaussian'] == '75.0 †' and line(table, 'Baseline')['gaussian'] == '75.0'
    assert line(table, naming.UPPER_BOUND)['patterns-inverted'] == '75.0 †'
    assert line(table, 'Noise')['mean'] == line(table, 'Noise')['attack'] == '75.0'
    assert tables.select(rows, 'mnist')[0]['noise'][UNSEEN_MEAN] == {0: 0.75}
    assert tables.unseen_table(rows, 'mnist', halo=False).rows == []


def test_ablations_stand_in_a_table_of_their_own_against_the_short_best():
    rows = rows_of('best-pool', {0: .95, 1: .95, 2: .96}) + rows_of('best-short', {0: .98, 1: .97, 2: .99}) \
        + rows_of('textures', {0: .97, 1: .97, 2: .97, 3: .1}) + rows_of('noise', {0: .5})
    table = tables.ablation_table(rows, 'mnist')
    names = [naming.ABLATION[m] for m in ('best-short', 'textures', 'best-pool')]
    assert [r[0] for r in table.rows] == names
    assert line(table, names[0])['mean of six'] == '98.00 ± 2.48'
    assert line(table, names[2])['mean of six'].startswith('-2.67 ± ')
    # of the fourth seed of Textures nothing is seen: the first line has none
    assert line(table, names[1])['original'].startswith('-1.00 ± ') and {r[-1] for r in table.rows} == {'3'}
    assert 'attack' not in table.columns


def test_every_row_of_the_ablation_can_be_trained():
    assert set(naming.ABLATION) <= set(recipes.METHODS)


def test_differences_say_how_much_and_how_likely_by_chance():
    rows = rows_of('best', {0: .98, 1: .97, 2: .99, 5: .1}) + rows_of('textures', {0: .95, 1: .94, 2: .955}) \
        + rows_of('proposal', {0: .9, 1: .9}) + rows_of('baseline', {7: .5})
    table = tables.differences_table(rows, 'mnist')
    steady = line(table, 'Best – Textures')
    assert steady['mean of six'].startswith('+3.17 ± ') and steady['seeds'] == '3'
    assert float(steady['mean of six'].split('p = ')[1].rstrip(')')) < .05
    assert line(table, 'Best – Proposal')['mean of six'] == '+7.50'   # two seeds are too few for a test
    assert line(table, 'Proposal – Baseline')['mean of six'] == naming.MISSING   # no common seed
    assert table.columns == ['', 'mean of six', 'seeds'] and len(table.rows) == 3
    noisy = rows_of('best', {0: .9, 1: .99, 2: .9}) + rows_of('textures', {0: .98, 1: .9, 2: .9})
    chance = line(tables.differences_table(noisy, 'mnist'), 'Best – Textures')['mean of six']
    assert float(chance.split('p = ')[1].rstrip(')')) > .05


def test_differences_of_photographs_stand_by_test():
    rows = [r for m, a in (('best', .9), ('real', .95))
            for r in rows_of(m, dict.fromkeys(range(3), a), ['test-field', 'test-studio'], dataset='signs')]
    table = tables.differences_table(rows, 'signs')
    assert table.columns == ['', 'studio', 'field', 'seeds']
    assert table.rows == [['Best – Real', '-5.00 ± 0.00 (p < 0.001)', '-5.00 ± 0.00 (p < 0.001)', '3']]


def test_photographs_have_their_own_tests_names_and_daggers_before_unseen_backgrounds():
    tests = ['test-studio', *(f'unseen-{f}' for f in FAMILIES)]
    rows = [r for m in ('real', 'best-short', 'best') for r in rows_of(m, {0: 0.75}, tests, dataset='signs')]
    table = tables.unseen_table(rows, 'signs')
    assert [r[0] for r in table.rows] == ['Real', 'Best', 'Textures and adversary']
    assert 'attack' not in table.columns and len(table.notes) == 2
    assert line(table, 'Real')['photographs'] == '75.0 †' and line(table, 'Real')['text'] == '75.0'
    assert tables.case_study_table(rows, 'signs').columns[1:] == ['studio', 'paper: drone study', 'seeds']
    assert tables.differences_table(rows, 'signs').columns == ['', 'studio', 'unseen', 'seeds']


def test_masks_table():
    rows = [{'dataset': 'mnist', 'method': 'unet-otsu', 'seed': s, 'n': 10, 'iou': v, 'dice': .9,
             'area': .2, 'true_area': .15, 'settings': 'a'} for s, v in ((0, .75), (1, .77))]
    table = tables.masks_table(rows)
    # t(0.975, 1) = 12.7062, deviation 0.014142
    half = 12.7062*0.0141421/math.sqrt(2)
    assert table.rows == [['MNIST', 'unet-otsu', f'0.760 ± {half:.3f}', '0.900 ± 0.000', '0.200 ± 0.000',
                           '0.150 ± 0.000', '10', '2']]


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
    table, out = tables.accuracy_table(rows, 'mnist', worst=True), io.StringIO()
    formats.show(table, out)
    text = ' '.join(out.getvalue().split())
    assert all(c in text for r in table.rows for c in r) and all(c in text for c in table.columns)
    out = io.StringIO()
    formats.show(AWKWARD, out)
    assert '[b]title[/b]' in out.getvalue()


def test_published_numbers_agree_with_their_own_means():
    for methods in naming.PUBLISHED.values():
        for numbers in methods.values():
            assert len(numbers) == 2 + len(SIX)
            assert sum(numbers[1:-1])/6 == pytest.approx(numbers[-1], abs=0.06)

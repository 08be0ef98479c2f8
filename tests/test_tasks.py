"""Numbers instead of classes: angles and lists of values through all phases, rows, tables and commands."""
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import cutout
import evaluate
import evaluate_seg
import export
import look
import mydatasets
import mymodels
import predict
import reproduce
import toys
import train1
import train2
import train3
import train_att
from common import tasks
from common.errors import UserError
from common.keys import Key
from common.quiet import keras, tf
from mydatagen import Augmenter
from readers import angles, targets
from readers.reading import Reading
from report import pages
from scoring import rowfile
from training import options, probe, weightfiles

NUMBER = tasks.Number.of([0., 2., 4., 10.], 'a list')
FEW = ['--epochs', '2', '--steps-per-epoch', '8', '--batchsize', '32', '--quiet', '--deterministic']
SMALL = ['--width', '4', '--dense', '8']


# The task itself

def test_a_number_is_learnt_standardised_and_told_in_its_unit():
    y = np.array([0., 2., 4., 10.], np.float32)
    outputs = tf.constant((y - 4)/y.std(), tf.float32)[:, None]
    assert np.allclose(NUMBER.answers(outputs), y, atol=1e-5)
    assert np.allclose(NUMBER.loss(y, outputs), 0, atol=1e-5)
    off = NUMBER.loss(y, outputs + 1.)
    assert np.allclose(off, tasks.NATS*(1 - tasks.HUBER/2), atol=1e-4)
    assert np.allclose(NUMBER.measure(y, NUMBER.answers(outputs - 1.)), y.std(), atol=1e-4)


def test_to_know_nothing_costs_about_what_it_costs_a_classifier_of_ten_classes():
    angle = tasks.Number.angle(angles.MOST, angles.NEAR)
    y = tf.linspace(-45., 45., 1001)
    assert float(tf.reduce_mean(angle.loss(y, tf.zeros((1001, 1))))) == pytest.approx(np.log(10), rel=0.15)


def test_scores_have_a_unit_and_a_direction():
    angle = tasks.Number.angle(45., 10.)
    assert angle.scores == (('mae', 'degrees', 'less'), ('within-10', 'share', 'more'))
    sums = angle.sums(tf.constant([0., 0., 20.]), tf.constant([9., -11., 20.]))
    assert {k: float(v) for k, v in sums.items()} == {'mae': 20., 'within-10': 2.}
    assert tasks.Number.of(np.arange(0, 101), 'x').tolerance == 10
    assert tasks.of(3).scores == (('accuracy', 'share', 'more'),)


@pytest.mark.parametrize('change', [
    {'deviation': 0.}, {'deviation': float('nan')}, {'unit': ''}, {'unit': 'a\nb'}, {'unit': 3}, {'low': 50.},
    {'turned': 1}, {'more': 1}, {'mean': '0'}, {'tolerance': -1.}])
def test_a_sidecar_with_a_damaged_task_is_refused(change, tmp_path):
    task = tasks.Number.angle(45., 10.)
    model = mymodels.classifier(toys.SHAPE, task, width=4, dense=8)
    about = {'kind': 'regressor', 'shape': list(toys.SHAPE), 'classes': [],
             'network': {'width': 4, 'dense': 8}}
    weightfiles.save(model, tmp_path/'x', **about, **task.saved)
    assert weightfiles.load(tmp_path/'x')[0].task == task
    weightfiles.save(model, tmp_path/'x', **about, task={**task.saved['task'], **change})
    with pytest.raises(UserError, match='task must be') as e:
        weightfiles.read_sidecar(tmp_path/'x')
    assert '\n' not in str(e.value)


# Angles

def angle_of(x):
    """By how many degrees bars (n, h, w) lean to the left: the axis of their second moments."""
    v, u = np.mgrid[:x.shape[1], :x.shape[2]]
    found = []
    for one in np.asarray(x, float):
        weights = one/one.sum()
        du, dv = u - (weights*u).sum(), v - (weights*v).sum()
        cuv, cuu, cvv = ((weights*a).sum() for a in (du*dv, du*du, dv*dv))
        found.append(np.degrees(0.5*np.arctan2(2*cuv, cvv - cuu)))
    return np.array(found)


def bars(n=20):
    x = np.zeros((n, 33, 33, 1), np.uint8)
    x[:, 8:25, 14:19] = 255
    return x


def test_images_are_turned_counter_clockwise_by_the_angle_that_is_asked_for():
    wanted = angles.angles(0, 20)
    turned = angles.turned(bars(), wanted)[..., 0]
    assert np.abs(angle_of(turned) - wanted).max() < 1 and wanted.min() < -20 and wanted.max() > 20


def test_angles_are_a_function_of_split_and_row_and_fill_the_range():
    many = angles.angles(0, 5000)
    assert np.array_equal(many[:100], angles.angles(0, 100))
    assert not np.array_equal(many[:100], angles.angles(1, 100))
    assert abs(np.abs(many).mean() - 22.5) < 0.5 and np.abs(many).max() <= 45
    assert abs(many.std() - tasks.Number.angle(45., 10.).deviation) < 0.5


@pytest.mark.parametrize('flip', (False, True))
def test_augmentation_moves_the_angle_with_the_image(flip):
    """A bar that was turned by y looks, after augmentation, as if it had been turned by the moved y."""
    y, key = tf.constant(angles.angles(0, 20)), Key.of(0, 3)
    x = tf.constant(angles.turned(bars(), y.numpy())/255, tf.float32)
    augment = Augmenter(flip, task=tasks.Number.angle(45., 10.))
    moved = augment.target(y, key).numpy()
    assert np.abs(angle_of(augment(x, None, key)[0].numpy()[..., 0]) - moved).max() < 3
    assert np.abs(np.abs(moved) - np.abs(y)).max() > 5
    settled = Augmenter(flip, until=0, task=augment.task).target(y, key).numpy()
    assert np.allclose(np.abs(settled), np.abs(y)) and (flip or np.allclose(settled, y))


def test_images_with_any_other_number_are_shifted_but_neither_rotated_nor_mirrored(tmp_path, capsys):
    x, key = tf.constant(bars()/255, tf.float32), Key.of(0, 3)
    augment = Augmenter(task=NUMBER)
    warped = augment(x, None, key)[0].numpy()[..., 0]
    assert np.abs(angle_of(warped)).max() < 1 and not np.allclose(warped[0], x[0, ..., 0])
    assert np.array_equal(augment.target(tf.ones(20), key), np.ones(20))
    assert train1.main([gauges(tmp_path), *FEW, *SMALL, '--flip', 'yes', '--output', str(tmp_path/'x')]) == 2
    assert 'mirror' in capsys.readouterr().err


def test_an_angle_set_is_its_set_turned_on_the_same_split():
    plain, turned = (mydatasets.load(name) for name in ('digits', 'digits_angle'))
    assert len(plain.train) == len(turned.train) and turned.train.y.dtype == np.float32
    assert turned.classes == []
    small = np.argmin(np.abs(turned.train.y))
    assert np.abs(turned.train.x[small].astype(int) - plain.train.x[small]).mean() < 3
    few = mydatasets.load('digits_angle', limit=100)
    assert set(few.train.y) <= set(angles.angles(0, 1437)) and len(few.train) + len(few.validation) == 100
    assert len(mydatasets.load('digits_angle_backgrounds').tests) == 7


# A folder with numbers

def gauges(root, n=24, side=16, tests=('test',)):
    """A folder of bright bars whose height is the number; its name as a data set."""
    random = np.random.RandomState(0)
    for split in ('train', *tests):
        os.makedirs(root/split/'a', exist_ok=True)
        lines = ['path,value']
        for i in range(n):
            high = random.randint(2, side - 4)
            pixels = np.full((side, side, 3), 40, np.uint8)
            pixels[side - 2 - high:side - 2, 6:10] = random.randint(150, 255)
            pixels[0, 0] = i, random.randint(255), 0   # no two alike
            Image.fromarray(pixels).save(root/split/'a'/f'{i}.png')
            lines.append(f'a/{i}.png,{100 + 10*high}')
        (root/split/'targets.csv').write_text('\n'.join(lines) + '\n')
    return f'folder:{root}'


def test_a_folder_with_lists_brings_its_numbers(tmp_path):
    data = mydatasets.load(gauges(tmp_path, tests=('test', 'test-field')), Reading(size=16))
    lists = [(tmp_path/split/'targets.csv').read_text().split()[1:] for split in ('train', 'test')]
    values, others = ([float(line.split(',')[1]) for line in lines] for lines in lists)
    assert sorted([*data.train.y, *data.validation.y]) == sorted(values)
    assert data.task.mean == pytest.approx(np.mean(values))
    assert data.task.deviation == pytest.approx(np.std(values))
    assert (data.task.low, data.task.high) == (min(values), max(values))
    assert list(data.tests) == ['test', 'test-field'] and len(data.validation) == 2
    assert data.tests['test'].images().y.tolist() == others


def test_limit_and_validation_take_all_sizes_of_a_number():
    y = np.random.RandomState(0).permutation(100.*np.arange(200))
    parts = targets.strata(y)
    assert np.bincount(parts).tolist() == [20]*10 and y[parts == 9].min() > y[parts == 8].max()
    assert set(targets.strata(y[:3])) == {0}


def problem(root):
    with pytest.raises(UserError) as e:
        mydatasets.load(f'folder:{root}', Reading(size=16))
    return str(e.value)


def test_what_lists_say_wrongly_is_told_like_damaged_photographs(tmp_path, capsys):
    gauges(tmp_path)
    listed = tmp_path/'train'/'targets.csv'
    lines = listed.read_text().split()
    lines[2], lines[3] = 'a/1.png,nan', 'a/2.png,much'
    lines[4] = lines[4] + ',9'
    del lines[5]
    lines += ['a/6.png,300', 'a/none.png,120', '../test/a/1.png,120', ',120']
    listed.write_text('\n'.join(lines) + '\n')
    said = problem(tmp_path)
    assert '8 damaged files' in said.splitlines()[0] and '--skip-damaged' in said.splitlines()[0]
    for words in (r'line 3: a/1\.png has no finite', r'line 4: a/2\.png has no', r'line 5: a/3\.png has no',
                  r'a/4\.png: no line in', r'a/6\.png: 2 lines in', r'a/none\.png: no such file',
                  r'\.\./test/a/1\.png is no path inside', 'no path is no path inside'):
        assert len(re.findall(words, said)) == 1, (words, said)
    data = mydatasets.load(f'folder:{tmp_path}', Reading(size=16, skip_damaged=True))
    assert len(data.train) + len(data.validation) == 24 - 5
    assert capsys.readouterr().err.count('(skipped)') == 8


@pytest.mark.parametrize('text, words', [
    ('path,angle\na/0.png,1\n', 'first line is not path,value'), ('', 'first line is not path,value'),
    ('path,value\n', 'no photographs in its list'),
    ('path,value\n' + ''.join(f'a/{i}.png,5\n' for i in range(24)), 'all numbers are the same')])
def test_lists_of_another_form_are_refused(tmp_path, text, words):
    gauges(tmp_path)
    (tmp_path/'train'/'targets.csv').write_text(text)
    if 'no photographs' in words:
        shutil.rmtree(tmp_path/'train'/'a')
    assert words in problem(tmp_path)


def test_a_test_without_a_list_is_refused(tmp_path):
    gauges(tmp_path)
    os.remove(tmp_path/'test'/'targets.csv')
    assert 'test/targets.csv' in problem(tmp_path)


def test_a_list_with_other_values_is_another_data_set(tmp_path):
    plan = reproduce.Plan(reproduce.parse([gauges(tmp_path)]), f'folder:{tmp_path}', 0, False)
    before, listed = plan.digest, tmp_path/'test'/'targets.csv'
    listed.write_text(re.sub(r'(?m)^(a/0.png),.*', r'\1,95', listed.read_text()))
    assert plan.digest != before


# Phases and commands

@pytest.fixture(scope='module')
def chain(tmp_path_factory):
    """Weights of phases 1 to 3 on digits_angle, by a few steps."""
    folder = tmp_path_factory.mktemp('angle')
    f, u, t = (str(folder/name) for name in ('f', 'u', 't'))
    own = [*FEW, '--epochs', '3', '--steps-per-epoch', '40']
    assert train1.main(['digits_angle', *own, '--width', '8', '--dense', '32', '--output', f]) == 0
    assert train2.main(['digits_angle', f, *FEW, '--width', '4', '--area', '0.5', '--output', u]) == 0
    assert train3.main(['digits_angle', f, u, 'otsu', 'adv', 'textures', 'pixels', *FEW, '--pool', '16',
                        '--ascent-steps', '1', '--output', t]) == 0
    return f, u, t


def test_all_phases_train_a_regressor_and_validate_it_in_degrees(chain):
    f, u, t = map(weightfiles.read_sidecar, chain)
    assert [a['kind'] for a in (f, u, t)] == ['regressor', 'unet', 'regressor']
    assert f['task'] == t['task'] == tasks.Number.angle(45., 10.).saved['task'] and 'task' not in u
    assert set(f['validation']) == {'val_error', 'val_shapes_error'}
    assert set(u['validation']) == {'val_area', 'val_masked_error'}
    assert f['validation']['val_error'] < 15
    with open(chain[2] + '.history.json') as h:
        assert {'huber', 'bright', 'gradient_back', 'error'} <= set(json.load(h)[0])


def test_evaluate_gives_errors_in_degrees_beside_always_the_same_answer(chain, tmp_path, capsys):
    out = str(tmp_path/'scores.csv')
    for _ in range(2):
        assert evaluate.main(['digits_angle_backgrounds', chain[0], chain[2], '--csv', out]) == 0
    rows = rowfile.read(out)
    assert len(rows) == 3*7*2 and {r['dataset'] for r in rows} == {'digits_angle'}
    data, model = mydatasets.load('digits_angle'), weightfiles.load(chain[0])[0]
    images = data.tests['original'].images()
    error = np.abs(model.task.answers(model(images.x/np.float32(255))).numpy() - images.y)
    mine = rowfile.find(rows, method='baseline', test='original')
    assert {r['score']: r['unit'] for r in mine} == {'mae': 'degrees', 'within-10': 'share'}
    assert [r['value'] for r in mine] == pytest.approx([error.mean(), (error <= 10).mean()], abs=1e-4)
    blind = rowfile.find(rows, method='constant', test='stripes', score='mae')[0]
    assert blind['value'] == pytest.approx(np.abs(images.y).mean(), abs=1e-4) and 20 < blind['value'] < 25
    printed = capsys.readouterr().out
    assert 'mean absolute error (degrees)' in printed and 'Always the same answer' in printed


def error_of(main, *words):
    """The one line with which a command refuses."""
    with contextlib.redirect_stderr(io.StringIO()) as e:
        assert main([*map(str, words)]) == 2
    line, = e.getvalue().splitlines()
    return line


def test_what_is_for_classes_alone_says_so_in_one_line(chain, tmp_path):
    f, x = chain[0], tmp_path/'x'
    assert 'classifiers' in error_of(train_att.main, 'digits_angle', '--global-classifier', f, '--output', x)
    assert 'classifiers' in error_of(train_att.main, 'digits_angle', *FEW, '--output', x)
    for test in ('attack', 'pixels', 'worst'):
        assert test in error_of(evaluate.main, 'digits_angle', f, '--tests', test)
        assert test in error_of(reproduce.main, 'digits_angle', '--tests', test, '--out', tmp_path/'r')
    assert 'attention' in error_of(reproduce.main, 'digits_angle', '--methods', 'attention', '--out', x)
    assert 'holds a regressor' in error_of(evaluate.main, 'digits', f)
    assert 'needed is classifier' in error_of(train2.main, 'digits', f, '--output', x)
    toys.parents(tmp_path)
    assert 'needed is regressor' in error_of(evaluate.main, 'digits_angle', tmp_path/'classifier')
    for option in (['--logits'], ['--check', tmp_path]):
        Image.new('L', (32, 32)).save(tmp_path/'a.png')
        assert 'regressor' in error_of(export.main, f, '--format', 'keras', *option)
    assert sorted(os.listdir(tmp_path)) == ['a.png', 'classifier.json', 'classifier.weights.h5', 'unet.json',
                                            'unet.weights.h5']


def test_predict_and_export_answer_in_the_unit(chain, tmp_path, capsys):
    images = mydatasets.load('digits_angle').tests['original'].images()
    model, _ = weightfiles.load(chain[0])
    wanted = model.task.answers(model(images.x[:3]/np.float32(255))).numpy()
    for i in range(3):
        Image.fromarray(images.x[i, ..., 0]).save(tmp_path/f'{i}.png')
    table = tmp_path/'p.csv'
    assert predict.main([chain[0], str(tmp_path), '--csv', str(table), '--explain', '--unet', chain[1],
                         '--sheet', str(tmp_path/'sheet.png')]) == 0
    lines = [line.split(',') for line in table.read_text().splitlines()]
    assert lines[0] == ['image', 'value', 'unit', 'mask', 'look_inside'] and lines[1][2] == 'degrees'
    assert [float(line[1]) for line in lines[1:]] == pytest.approx(wanted, abs=1e-3)
    assert 0 < float(lines[1][4]) <= 1   # it looks somewhere
    assert 'degrees' in capsys.readouterr().out
    assert export.main([chain[0], '--format', 'keras', '--output', str(tmp_path/'f.keras')]) == 0
    file = keras.models.load_model(tmp_path/'f.keras')
    assert file(images.x[:3].astype(np.float32)).numpy()[:, 0] == pytest.approx(wanted, abs=1e-2)
    assert '(n, 1), value (degrees)' in capsys.readouterr().out


def test_look_counts_ranges_of_a_number(tmp_path, capsys):
    assert look.main([gauges(tmp_path), '--size', '16', '--sheet', str(tmp_path/'sheet.png')]) == 0
    printed = capsys.readouterr().out
    assert '120 to 129' in printed and 'a number from 120' in printed


@pytest.mark.slow
def test_a_last_layer_for_numbers_is_fitted_by_ridge_regression(tmp_path):
    data = mydatasets.load(gauges(tmp_path, 40), Reading(size=32))
    model = mymodels.classifier(data.shape, data.task, 'MobileNetV3Small', 'none', head='pooled')
    found = probe.fit(model, data)
    outputs = model(data.validation.x/np.float32(255))
    answers = model.task.answers(outputs).numpy()
    assert found == pytest.approx(np.abs(answers - data.validation.y).mean(), rel=1e-2)
    assert found < 2*data.task.spread


@pytest.mark.slow
def test_reproduce_brings_a_folder_of_numbers_to_tables_and_figures(tmp_path, capsys):
    out = tmp_path/'runs'
    words = [gauges(tmp_path/'parts'), '--size', '16', '--batchsize', '8', '--quick', '--quiet', '--methods',
             'baseline', '--out', str(out), '--name', 'gauge']
    assert reproduce.main(words) == 0
    rows = rowfile.read(str(out/'scores.csv'))
    assert [(r['method'], r['score']) for r in rows] == [
        (m, s) for m in ('constant', 'baseline') for s in ('mae', f'within-{rows[1]["score"].split("-")[1]}')]
    assert 'gauge: mean absolute error (value)' in capsys.readouterr().out
    assert (out/'figures'/'gauge-answers.png').exists() and not (out/'accuracy.csv').exists()
    before = (out/'scores.csv').read_text()
    assert reproduce.main([*words, '--tables-only']) == 0 and reproduce.main(words) == 0
    assert (out/'scores.csv').read_text() == before


def test_half_of_a_tests_rows_do_not_count_as_done(tmp_path):
    made = reproduce.Plan(reproduce.parse(['digits_angle', '--out', str(tmp_path)]), 'digits_angle', 0, True,
                          task=tasks.Number.angle(45., 10.))
    unit = reproduce.Unit(made, 'baseline', {'original': None})
    row = {'dataset': 'digits_angle', 'method': 'baseline', 'seed': 0, 'test': 'original', 'n': 9,
           'score': 'mae', 'value': 22.5, 'unit': 'degrees',
           'settings': reproduce.fingerprint(made, 'baseline')}
    rowfile.append(str(tmp_path/'scores.csv'), row)
    assert reproduce.missing_tests(unit) == ['original']
    rowfile.append(str(tmp_path/'scores.csv'), {**row, 'score': 'within-10', 'value': 0.2, 'unit': 'share'})
    assert reproduce.missing_tests(unit) == [] and 'attention' not in made.methods


def test_tables_of_scores_follow_from_rows_alone(tmp_path):
    for seed in (0, 1, 2):
        for i, test in enumerate((*pages.naming.TESTS, 'noise-0', 'noise-0.1')):
            for method, value in (('baseline', 20.), ('best', 4.)):
                for score, found, unit in (('mae', value + i + seed, 'degrees'),
                                           ('within-10', 1 - value/100 - seed/100, 'share')):
                    rowfile.append(str(tmp_path/'scores.csv'), {
                        'dataset': 'mnist_angle', 'method': method, 'seed': seed, 'test': test, 'n': 9,
                        'score': score, 'value': found, 'unit': unit, 'settings': 's'})
    pages.write_tables(str(tmp_path), ['mnist_angle'])
    table = (tmp_path/'tables.md').read_text()
    assert '**MNIST, angle: mean absolute error (degrees), the less the better**' in table
    line = next(row for row in table.splitlines() if row.startswith('| Best')).split('|')
    assert line[2].split() == ['5.00', '±', '2.5']
    assert line[9].split()[0] == '8.50' and line[10].split()[0] == '11.0' and line[11].split()[0] == '12.5'
    shares = table.split('share of answers with an error of at most 10 (%), the more the better**')[1]
    cells = {row.split(' | ')[0]: row.split(' | ')[1] for row in shares.splitlines() if ' | ' in row}
    assert cells['| Baseline'] == '79.0 ± 2.5' and cells['| Best'] == '95.0 ± 2.5'


def test_a_score_may_leave_0_to_1_only_in_a_unit_of_its_own(tmp_path):
    row = {'dataset': 'd', 'method': 'm', 'seed': 0, 'test': 't', 'n': 1, 'score': 's', 'value': 30.,
           'unit': 'degrees', 'settings': ''}
    assert rowfile.append(str(tmp_path/'a.csv'), row)
    for wrong in ({'unit': 'share'}, {'value': float('inf')}, {'value': float('nan')}, {'value': -1.}):
        with pytest.raises(ValueError):
            rowfile.append(str(tmp_path/'b.csv'), {**row, **wrong})
    with pytest.raises(UserError, match='other fields'):
        rowfile.append(str(tmp_path/'a.csv'), {
            'dataset': 'd', 'method': 'm', 'seed': 0, 'test': 't', 'n': 1, 'correct': 1, 'accuracy': 1.,
            'settings': ''})


# The page

def commands():
    with open(os.path.join(toys.ROOT, 'docs', 'tasks.md'), encoding='utf-8') as f:
        text = f.read()
    return [line for block in re.findall(r'<!-- commands: a test runs these -->\n```\n(.*?)```', text, re.S)
            for line in block.splitlines() if line.startswith('python ')]


def test_the_commands_of_the_page_are_understood():
    """Their scripts take their words; the slow test runs them."""
    own = {m.__name__: m for m in (train1, train2, train3, cutout, evaluate, evaluate_seg, reproduce, predict,
                                   export)}
    found = commands()
    assert len(found) >= 6
    for line in found:
        script, *words = line.split()[1:]
        own[script.removesuffix('.py')].parse(words)


@pytest.mark.slow
def test_the_commands_of_the_page_work(tmp_path):
    for line in commands():
        words = [os.path.join(toys.ROOT, w) if w.endswith('.py') else w for w in line.split()[1:]]
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)


def test_recorded_settings_do_not_know_of_tasks():
    """The fingerprint of a phase is the same whatever is asked for: the data set stands beside it."""
    plain, angle = (train1.parse([name]) for name in ('mnist', 'mnist_angle'))
    assert options.phase1_fingerprint(plain) == options.phase1_fingerprint(angle)

"""Numbers instead of classes, through all phases, rows, tables and commands."""
import json
import os
import re
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
from common.quiet import keras
from readers.reading import Reading
from report import pages
from scoring import rowfile
from training import options, probe, weightfiles
from toys import error_of, gauges

FEW = ['--epochs', '2', '--steps-per-epoch', '8', '--batchsize', '32', '--quiet', '--deterministic']
SMALL = ['--width', '4', '--dense', '8']


# Phases and commands

@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Weights of phase 1 on digits_angle, by a few steps."""
    f = str(tmp_path_factory.mktemp('angle')/'f')
    own = [*FEW, '--epochs', '3', '--steps-per-epoch', '40']
    assert train1.main(['digits_angle', *own, '--width', '8', '--dense', '32', '--output', f]) == 0
    return f


def test_phase_1_trains_a_regressor_and_validates_it_in_degrees(trained):
    f = weightfiles.read_sidecar(trained)
    assert f['kind'] == 'regressor' and f['task'] == tasks.Number.angle(45., 10.).saved['task']
    assert set(f['validation']) == {'val_error', 'val_shapes_error'}
    assert f['validation']['val_error'] < 15


@pytest.mark.slow
def test_phases_2_and_3_go_on_with_it_and_predictions_are_explained(trained, tmp_path):
    u, t = str(tmp_path/'u'), str(tmp_path/'t')
    assert train2.main(['digits_angle', trained, *FEW, '--width', '4', '--area', '0.5', '--output', u]) == 0
    assert train3.main(['digits_angle', trained, u, 'otsu', 'adv', 'textures', 'pixels', *FEW, '--pool', '16',
                        '--ascent-steps', '1', '--output', t]) == 0
    f, mask, back = map(weightfiles.read_sidecar, (trained, u, t))
    assert [a['kind'] for a in (mask, back)] == ['unet', 'regressor']
    assert back['task'] == f['task'] and 'task' not in mask
    assert set(mask['validation']) == {'val_area', 'val_masked_error'}
    with open(t + '.history.json') as h:
        assert {'huber', 'bright', 'gradient_back', 'error'} <= set(json.load(h)[0])
    images, table = mydatasets.load('digits_angle').tests['original'].images(), tmp_path/'p.csv'
    Image.fromarray(images.x[0, ..., 0]).save(tmp_path/'0.png')
    assert predict.main([t, str(tmp_path/'0.png'), '--csv', str(table), '--explain', '--unet', u,
                         '--sheet', str(tmp_path/'sheet.png')]) == 0
    head, line = [line.split(',') for line in table.read_text().splitlines()]
    assert head == ['image', 'value', 'unit', 'mask', 'look_inside']
    assert 0 < float(line[4]) <= 1   # it looks somewhere


def test_evaluate_gives_errors_in_degrees_beside_always_the_same_answer(trained, tmp_path, capsys):
    out = str(tmp_path/'scores.csv')
    for _ in range(2):
        assert evaluate.main(['digits_angle_backgrounds', trained, '--csv', out]) == 0
    rows = rowfile.read(out)
    assert len(rows) == 2*7*2 and {r['dataset'] for r in rows} == {'digits_angle'}
    data, model = mydatasets.load('digits_angle'), weightfiles.load(trained)[0]
    images = data.tests['original'].images()
    error = np.abs(model.task.answers(model(images.x/np.float32(255))).numpy() - images.y)
    mine = rowfile.find(rows, method='baseline', test='original')
    assert {r['score']: r['unit'] for r in mine} == {'mae': 'degrees', 'within-10': 'share'}
    assert [r['value'] for r in mine] == pytest.approx([error.mean(), (error <= 10).mean()], abs=1e-4)
    blind = rowfile.find(rows, method='constant', test='stripes', score='mae')[0]
    assert blind['value'] == pytest.approx(np.abs(images.y).mean(), abs=1e-4) and 20 < blind['value'] < 25
    printed = capsys.readouterr().out
    assert 'mean absolute error (degrees)' in printed and 'Always the same answer' in printed


def test_what_is_for_classes_alone_says_so_in_one_line(trained, tmp_path):
    f, x = trained, tmp_path/'x'
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


def test_predict_and_export_answer_in_the_unit(trained, tmp_path, capsys):
    images = mydatasets.load('digits_angle').tests['original'].images()
    model, _ = weightfiles.load(trained)
    wanted = model.task.answers(model(images.x[:3]/np.float32(255))).numpy()
    for i in range(3):
        Image.fromarray(images.x[i, ..., 0]).save(tmp_path/f'{i}.png')
    table = tmp_path/'p.csv'
    assert predict.main([trained, str(tmp_path), '--csv', str(table)]) == 0
    lines = [line.split(',') for line in table.read_text().splitlines()]
    assert lines[0] == ['image', 'value', 'unit'] and lines[1][2] == 'degrees'
    assert [float(line[1]) for line in lines[1:]] == pytest.approx(wanted, abs=1e-3)
    assert 'degrees' in capsys.readouterr().out
    assert export.main([trained, '--format', 'keras', '--output', str(tmp_path/'f.keras')]) == 0
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

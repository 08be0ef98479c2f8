"""The evaluators through their main: names, order, rows, numbers; mistakes in one line."""
import os

import numpy as np
import pytest

import evaluate
import evaluate_seg
import mydatasets
import mymodels
import train1
from common import binarization
from common.errors import UserError
from common.quiet import keras, tf
from mydatagen import Images
from report import naming
from scoring import adversary, evaluation, overlap, rowfile, rows
from training import weightfiles

TESTS = naming.TESTS
TINY = ['--epochs', '1', '--steps-per-epoch', '6', '--batchsize', '32', '--quiet', '--precision', 'float32',
        '--width', '4', '--dense', '8']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('weights')


@pytest.fixture(scope='module')
def weights(folder):
    """A classifier of toy, a little trained, as train1.py leaves it."""
    path = str(folder/'baseline')
    assert train1.main(['toy', *TINY, '--seed', '3', '--output', path]) == 0
    return path


@pytest.fixture(scope='module')
def unet(folder, weights):
    path, data = str(folder/'unet'), mydatasets.load('toy')
    keras.utils.set_random_seed(0)
    weightfiles.save(mymodels.unet(data.shape, 4), path, kind='unet', dataset='toy', method='unet', seed=3,
                     network={'width': 4}, shape=list(data.shape), classes=data.classes, settings='0f0f0f0f')
    return path


def accuracies_by_hand(path, dataset):
    data = mydatasets.load(dataset)
    model, _ = weightfiles.load(path)
    found = {}
    for name, test in data.tests.items():
        batch = next(iter(test.batches(96)))
        found[name] = int((model(batch['x']).numpy().argmax(1) == batch['y'].numpy()).sum())
    return found


def test_evaluate_prints_a_table_and_appends_each_row_once(weights, tmp_path, capsys):
    csv = str(tmp_path/'accuracy.csv')
    for _ in range(2):
        assert evaluate.main(['toy_backgrounds', weights, '--csv', csv]) == 0
    rows, about = rowfile.read(csv), weightfiles.read_sidecar(weights)
    assert [r['test'] for r in rows] == TESTS
    assert {r['test']: r['correct'] for r in rows} == accuracies_by_hand(weights, 'toy_backgrounds')
    assert {(r['dataset'], r['method'], r['seed'], r['settings'], r['n']) for r in rows} == {
        ('toy', 'baseline', 3, about['settings'], 96)}
    assert all(r['accuracy'] == pytest.approx(r['correct']/96, abs=1e-6) for r in rows)
    out = capsys.readouterr().out
    six = sum(r['accuracy'] for r in rows[1:])/6
    shown = *TESTS, 'mean of six', f'{100*six:.2f}', f'{rows[3]["correct"]}/96', 'baseline'
    assert all(t in out for t in shown)


def test_several_weights_and_a_method_name_of_ones_own(weights, tmp_path, capsys):
    csv = str(tmp_path/'accuracy.csv')
    both = [weights, weights + '.weights.h5']
    assert evaluate.main(['toy', *both, '--csv', csv, '--method', 'best-pool']) == 0
    assert [(r['method'], r['test']) for r in rowfile.read(csv)] == [('best-pool', 'original')]
    assert capsys.readouterr().out.count('baseline') == 2


@pytest.mark.slow
def test_noises_and_unseen_backgrounds_have_a_line_each(weights, tmp_path, capsys):
    csv = str(tmp_path/'accuracy.csv')
    assert evaluate.main(['toy_noises', weights, '--csv', csv, '--unseen']) == 0
    tests = [r['test'] for r in rowfile.read(csv)]
    assert tests[:3] == ['noise-0', 'noise-0.01', 'noise-0.02'] and tests[19] == 'noise-1'
    assert len(tests) == 20 + 18 and tests[20] == 'unseen-photographs'
    out = capsys.readouterr().out
    assert [line.split('│')[1].strip() for line in out.splitlines() if '│' in line] == tests


def test_the_attack_is_a_test_like_the_others_and_its_winner_is_told(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('scoring.adversary.attack', lambda model, data, seed: adversary.Attack(
        10*seed, 96, 0.456, 1e-3, 'margin', 1))
    csv = str(tmp_path/'accuracy.csv')
    assert evaluate.main(['toy', weights, '--csv', csv, '--adversarial']) == 0
    assert [(r['test'], r['correct'], r['n']) for r in rowfile.read(csv)][1:] == [('attack', 30, 96)]
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith('attack on baseline: ')]
    assert len(told) == 1 and all(t in told[0] for t in ('0.456', '0.001', 'margin', 'restart 2', '31.25 %'))
    assert evaluate.main(['toy', weights, '--adversarial', '--quiet']) == 0
    assert not capsys.readouterr().out


def test_searches_for_the_worst_background_are_tests_like_the_others(weights, tmp_path, capsys):
    csv = str(tmp_path/'accuracy.csv')
    assert evaluate.main(['toy', weights, '--csv', csv, '--tests', 'worst', 'pixels']) == 0
    found = {r['test']: r for r in rowfile.read(csv)}
    assert list(found) == ['original', 'pixels', 'worst', 'worst-nohalo']
    assert {r['n'] for r in found.values()} == {96}
    assert found['pixels']['correct'] <= found['original']['correct']
    told = [line.split(':')[0] for line in capsys.readouterr().out.splitlines() if ' on baseline: ' in line]
    assert told == ['pixels on baseline', 'worst on baseline', 'worst-nohalo on baseline']


def test_the_older_options_ask_for_the_same_tests():
    def asked(*words):
        return evaluate.asked(evaluate.parse(['toy', 'w', *words]))
    assert asked('--unseen', '--adversarial') == asked('--tests', 'attack', 'unseen') == ['unseen', 'attack']
    assert asked('--unseen', '--tests', 'worst', 'unseen') == ['unseen', 'worst'] and asked() == []


def test_what_was_measured_beside_a_row_comes_with_it(weights, monkeypatch):
    winner = adversary.Attack(30, 96, 0.4, 1e-4, 'cross-entropy', 0)
    monkeypatch.setattr('scoring.adversary.attack', lambda model, data, seed: winner)
    model, about = weightfiles.load(weights)
    data, seen = mydatasets.load('toy'), []
    exam = evaluation.Exam(data, dict(data.tests), ['attack'], 'mine')
    found = evaluation.evaluate(model, about, exam, lambda row, beside: seen.append((row, beside)))
    assert found == [row for row, _ in seen] and [beside for _, beside in seen] == [None, winner]
    assert [(r['method'], r['test']) for r in found] == [('mine', 'original'), ('mine', 'attack')]
    assert all(set(r) == set(rowfile.ACCURACY) for r in found)


def test_accuracy_is_traced_once_for_all_tests_and_batch_sizes(weights):
    model, _ = weightfiles.load(weights)
    data = mydatasets.load('toy_backgrounds')
    found = [evaluation.total(model, data.task, test, 40) for test in data.tests.values()]   # 40, 40, 16
    assert [sums.n for sums in found] == [96]*7
    assert evaluation.adder(model, data.task).experimental_get_tracing_count() == 1
    assert found == [evaluation.total(model, data.task, test, 96) for test in data.tests.values()]


def test_precision_holds_inside_and_is_put_back():
    keras.config.set_dtype_policy('mixed_bfloat16')
    try:
        with evaluation.precision():
            assert keras.config.dtype_policy().name == 'float32'
            assert not tf.config.experimental.tensor_float_32_execution_enabled()
        assert keras.config.dtype_policy().name == 'mixed_bfloat16'
        assert tf.config.experimental.tensor_float_32_execution_enabled()
    finally:
        keras.config.set_dtype_policy('float32')


def test_names_of_rows():
    for name in 'mnist', 'mnist_backgrounds', 'mnist_noises':
        assert rows.row_dataset(name) == 'mnist'
    assert rows.row_dataset('folder:../shared/signs/') == 'signs'
    assert rows.row_dataset('folder:/data/my_noises') == 'my_noises'
    about = {'method': 'best', 'dataset': 'mnist', 'kind': 'classifier'}
    assert rows.row_method(about, 'mnist_noises') == 'best'
    assert rows.row_method(about, 'kmnist') == 'best@mnist'


def test_another_result_of_the_same_settings_is_said_not_written(weights, tmp_path, capsys):
    csv = str(tmp_path/'accuracy.csv')
    evaluate.main(['toy', weights, '--csv', csv, '--quiet'])
    row = rowfile.read(csv)[0]
    assert capsys.readouterr().err == ''
    rows.record(csv, {**row, 'correct': row['correct'] - 1, 'accuracy': (row['correct'] - 1)/96})
    assert 'keeps its other result of toy baseline 3 original' in capsys.readouterr().err
    assert rowfile.read(csv) == [row]


@pytest.mark.parametrize('argv, said', [
    (['toy', 'missing'], 'missing'), (['toys', '{weights}'], 'did you mean toy'),
    (['digits', '{weights}'], 'shape'), (['toy', '{unet}'], 'holds a unet'),
    (['toy', '{weights}', '--csv', '{weights}.json'], 'header'),
    (['toy', '{weights}', '--csv', '{weights}.json/a.csv'], 'cannot'),
    (['toy', '{weights}', '--method', 'two words'], 'two words'), (['toy'], 'weights')])
def test_mistakes_end_with_code_2_and_one_line(weights, unet, argv, said, capsys):
    try:
        code = evaluate.main([a.format(weights=weights, unet=unet) for a in argv])
    except SystemExit as e:   # of argparse
        code = e.code
    err = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(err) == 1 and said in err[0]


# Masks

def test_evaluate_seg_writes_rows_beside_the_baseline_and_a_figure(unet, tmp_path, capsys):
    csv, figures = str(tmp_path/'masks.csv'), str(tmp_path/'figures')
    for more in ['--imsave', figures], []:   # once more adds no row
        assert evaluate_seg.main(['toy', unet, '--csv', csv, *more]) == 0
    rows = rowfile.read(csv)
    assert [(r['dataset'], r['method'], r['seed'], r['n']) for r in rows] == [
        ('toy', 'unet-otsu', 3, 96), ('toy', 'raw-otsu', 0, 96)]
    assert rows[0]['settings'] == '0f0f0f0f' and rows[1]['iou'] > 0.9
    assert os.listdir(figures) == ['unet-otsu.png']
    out = capsys.readouterr().out
    assert f'{rows[0]["iou"]:.3f}' in out and 'raw-otsu' in out


@pytest.mark.parametrize('binarize', binarization.BINARIZE)
def test_all_binarisations(unet, tmp_path, binarize):
    csv = str(tmp_path/'masks.csv')
    assert evaluate_seg.main(['toy', unet, '--binarize', binarize, '--csv', csv, '--quiet']) == 0
    assert rowfile.read(csv)[0]['method'] == f'unet-{binarize}'


def test_scores_of_known_masks():
    m = np.zeros((3, 4, 4, 1), np.float32)
    t = m.copy()
    m[0, :2], t[0, 1:3] = 1, 1          # 4 of 12 cells in common
    m[1, 0], t[1, 0] = 1, 1             # equal; the third image: nothing where nothing is
    found = {k: v.numpy().tolist() for k, v in overlap.overlap(tf.constant(m), tf.constant(t)).items()}
    assert found['iou'] == pytest.approx([4/12, 1, 1]) and found['dice'] == pytest.approx([8/16, 1, 1])
    assert found['area'] == found['true_area'] == pytest.approx([8/16, 4/16, 0])


def test_scores_use_the_masks_of_the_images_where_they_have_some():
    x, m = np.full((5, 16, 16, 3), 200, np.uint8), np.zeros((5, 16, 16, 1), np.uint8)
    m[:, :4], x[:, :4] = 255, 30
    images = Images(x, np.zeros(5, np.int32), m)
    tests = {'test-field': mydatasets.Test(lambda: Images(x, images.y)),
             'test-studio': mydatasets.Test(lambda: images)}
    data = mydatasets.load('toy')._replace(shape=(16, 16, 3), name='folder:photos', tests=tests)
    name, test = mydatasets.with_truth(data)
    assert name == 'test-studio'
    found = overlap.scores(lambda x: tf.cast(x[..., :1] < 0.5, tf.float32), test, 2)
    assert found == {'n': 5, 'iou': 1, 'dice': 1, 'area': 0.25, 'true_area': 0.25}
    with pytest.raises(UserError, match='true masks of folder:photos'):
        mydatasets.with_truth(data._replace(tests={'test-field': data.tests['test-field']}))


def test_raw_otsu_takes_what_differs_from_the_border():
    x = np.full((2, 16, 16, 3), 0.9, np.float32)
    x[0, 5:9, 5:9] = 0.2                      # a dark object on a bright wall
    x[1] = 0.1
    x[1, 5:9, 5:9] = 0.8                      # and the reverse
    expected = np.zeros((2, 16, 16, 1))
    expected[:, 5:9, 5:9] = 1
    assert np.array_equal(overlap.raw_otsu(tf.constant(x)), expected)


def test_evaluate_seg_refuses_classifiers(weights, capsys):
    assert evaluate_seg.main(['toy', weights]) == 2
    assert 'holds a classifier' in capsys.readouterr().err

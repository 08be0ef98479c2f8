"""Numbers instead of classes: the task itself, angles, and folders with lists of values."""
import os
import re
import shutil

import numpy as np
import pytest

import mydatasets
import mymodels
import reproduce
import toys
import train1
from common import tasks
from common.errors import UserError
from common.keys import Key
from common.quiet import tf
from mydatagen import Augmenter
from readers import angles, targets
from readers.reading import Reading
from training import weightfiles
from toys import gauges

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

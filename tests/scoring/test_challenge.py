"""The Backgrounds Challenge: its images by hand, who lends a background to whom, what its measures tell."""
import numpy as np
import pytest

import evaluate
import mydatasets
import mymodels
import toys
from common.errors import UserError
from common.quiet import keras, tf
from mydatagen import Images, to_float
from report import measures, pages, selection, statistics
from scoring import challenge, evaluation

SIDE, CLASSES = 16, len(toys.COLOURS)
coloured = toys.coloured


def of(images, name='photos'):
    return mydatasets.load('toy')._replace(shape=(SIDE, SIDE, 3), name=name,
                                           tests={'test': mydatasets.Test(lambda: images)})


@pytest.fixture(scope='module')
def networks():
    """{what a network follows: network}."""
    found = {}
    for follows in ('ground', 'thing'):
        keras.utils.set_random_seed(1)
        net = mymodels.classifier((SIDE, SIDE, 3), CLASSES, width=4, dense=16)
        net.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        images = coloured(320, 1, **{follows: True})
        net.fit(images.x/np.float32(255), images.y, 32, 12, verbose=0)
        found[follows] = net
    return found


def test_the_tiles_are_those_of_the_largest_rectangle_beside_the_box():
    random = np.random.RandomState(0)
    x, m = random.rand(6, 8, 10, 3).astype(np.float32), np.zeros((6, 8, 10, 1), np.float32)
    m[0, 5:7, 2:4], m[1, 1:4, 3:8], m[2, 1:7, 7:9], m[3, 1:8, 1:5], m[4] = 1, 1, 1, 1, 1   # the last: none
    m[1, 1, 3] = 0   # the box counts, not the shape
    wanted = x.copy()
    wanted[0, 5:7, 2:4] = x[0, :2, 2:4]                       # 5 rows above it
    wanted[1, 1:4, 3:8] = x[1, 4:7, 3:8]                      # 4 rows below it
    wanted[2, 1:7, 7:9] = x[2, 1:7, :2]                       # 7 columns on its left
    wanted[3, 1:8, 1:5] = x[3, 1:8, 5:9]                      # 5 columns on its right
    wanted[4] = 0                                             # nothing is left of it
    assert np.allclose(challenge.tiled(tf.constant(x), tf.constant(m)), wanted)
    m[0], m[0, 1:, 1:] = 0, 1                                 # a row of background is repeated
    wanted[0] = x[0]
    wanted[0, 1:, 1:] = x[0, :1, 1:]
    assert np.allclose(challenge.tiled(tf.constant(x), tf.constant(m))[0], wanted[0])


def test_each_image_of_one_photograph_by_hand():
    x, m = np.full((1, 6, 6, 3), 0.5, np.float32), np.zeros((1, 6, 6, 1), np.float32)
    m[0, 1, 1] = m[0, 2, 2] = 1
    shape, square = m[0, ..., 0], np.zeros((6, 6))
    square[1:3, 1:3] = 1
    found = {k: make(tf.constant(x), tf.constant(m))[0, ..., 0] for k, make in challenge.ALONE.items()}
    assert np.array_equal(found['only-bg-b'], 0.5*(1 - square)) and np.all(found['only-bg-t'] == 0.5)
    assert np.array_equal(found['no-fg'], 0.5*(1 - shape)) and np.array_equal(found['only-fg'], 0.5*shape)


def test_backgrounds_come_from_another_photograph_of_the_class_that_the_name_says():
    images = coloured(80, 2, True, True)
    found, drawn = challenge.lenders(images), challenge.partners(images)
    own = np.arange(80)
    for name in challenge.MIXED:
        assert not np.any(found.rows[drawn[name]] == own)
    assert np.array_equal(found.y[drawn['mixed-same']], images.y)
    assert np.array_equal(found.y[drawn['mixed-next']], (images.y + 1) % CLASSES)
    assert set(found.y[drawn['mixed-rand']]) == set(range(CLASSES))
    every = drawn[challenge.ALL]
    assert every.shape == (80, 30) and np.all(found.y[every] != images.y[:, None])
    assert all(len(set(row)) == 30 for row in every)
    again = challenge.partners(coloured(80, 2, True, True))
    assert all(np.array_equal(drawn[k], again[k]) for k in drawn)


def test_an_object_that_fills_its_photograph_lends_no_background():
    images = coloured(40, 3, True, True)
    images.m[:4] = 255
    assert set(challenge.lenders(images).rows) == set(range(4, 40))
    images = coloured(8, 3, True, True)   # unless its class has no two others
    images.m[:4] = 255
    assert len(challenge.lenders(images).rows) == 8


def test_the_tests_do_not_depend_on_the_batch_size():
    data = of(coloured(20, 4, True, True))
    for name, test in challenge.tests(data).items():
        whole, parts = (np.concatenate([b['x'] for b in test.batches(k)]) for k in (20, 7))
        assert np.array_equal(whole, parts), name


def test_the_measures_tell_a_network_that_follows_the_ground_from_one_that_does_not(networks):
    images = coloured(80, 5, True, True)
    data, right, standing = of(images), {}, {}
    for follows, net in networks.items():
        right[follows] = {name: evaluation.answers(net, test) == images.y
                          for name, test in (data.tests | challenge.tests(data)).items()}
        standing[follows] = challenge.turned(net, images) < 0
    ground, thing = right['ground'], right['thing']
    assert ground['test'].mean() > 0.95 and thing['test'].mean() > 0.95   # as they are both seem good

    def apart(a, b):
        """Is the mean of a above that of b by more than the interval?"""
        mean, half = statistics.interval(np.asarray(a, float) - np.asarray(b, float))
        return mean > 0.3 and mean > half
    assert apart(ground['only-bg-t'], thing['only-bg-t'])
    assert apart(thing['mixed-rand'], ground['mixed-rand'])
    assert apart(1.*ground['mixed-same'] - ground['mixed-rand'], 1.*thing['mixed-same'] - thing['mixed-rand'])
    assert apart(standing['thing'], standing['ground'])
    assert ground['mixed-next'].mean() < 0.1 and thing['mixed-next'].mean() > 0.9


def test_it_is_asked_for_like_the_other_tests_and_standing_is_by_hand(networks):
    images = coloured(24, 6, True, True)
    data, net = of(images), networks['ground']
    tests = evaluation.tests_of(data, ['mixed'])
    exam = evaluation.Exam(data, tests, evaluation.searches_of(['mixed']), 'mine')
    rows = {r['test']: r for r in evaluation.evaluate(net, {}, exam)}
    table = evaluate.table(['net'], [list(rows.values())], data.task)
    shown = dict(zip(table.columns, table.rows[0]))
    gap = 100*(rows['mixed-same']['correct'] - rows['mixed-rand']['correct'])/24
    assert shown['background gap'] == f'{gap:.2f}' and shown['only-bg-t'].endswith('/24')
    assert list(rows) == ['test', *challenge.ALONE, *challenge.MIXED, 'mixed-all']
    found, every = challenge.lenders(images), challenge.partners(images)['mixed-all']
    x, m = to_float(images.x), tf.cast(images.m > 0, tf.float32)
    standing = np.ones(24, bool)
    for k in range(every.shape[1]):
        z = m*x + (1 - m)*to_float(found.b[every[:, k]])
        standing &= np.argmax(net(z), 1) == images.y
    assert rows['mixed-all']['correct'] == standing.sum()
    assert every.shape[1] == 18   # as many as other photographs there are
    assert '18 backgrounds' in challenge.standing(net, data).line()


def test_the_table_has_the_gap_over_the_seeds():
    def row(test, seed, accuracy):
        return {'dataset': 'signs', 'method': 'baseline', 'seed': seed, 'test': test, 'n': 10, 'correct': 0,
                'accuracy': accuracy, 'settings': 's'}
    rows = [row(name, seed, 0.5 + 0.01*seed) for name in (*challenge.NAMES, 'mixed-all') for seed in range(3)]
    rows += [row('mixed-same', seed, 0.9 + 0.01*seed) for seed in range(3)]
    results = selection.select(rows, 'signs')
    table = measures.challenge_table(results)
    cells = dict(zip(table.columns, table.rows[0]))
    assert cells['background gap'] == '+40.00 ± 0.00' and cells['Mixed-Same'] == '91.0 ± 2.5'
    assert cells['right on all'] == '51.0 ± 2.5' and results.own_tests == []
    assert table in pages.tables_of(results)


def test_sets_that_cannot_have_it_are_refused_in_one_line():
    with pytest.raises(UserError, match='true masks of photos'):
        challenge.tests(toys.in_colour(masks=False))
    with pytest.raises(UserError, match='those of toy are black; leave it out'):
        evaluation.tests_of(mydatasets.load('toy'), ['mixed'])
    images = coloured(9, 0, True, True)
    alone = Images(images.x, np.array([0, 0, 0, 0, 1, 1, 1, 1, 2], np.int32), images.m)
    with pytest.raises(UserError, match='class 3 of the test has one photograph'):
        challenge.tests(of(alone))
    with pytest.raises(UserError, match='photographs of one class'):
        challenge.tests(of(Images(images.x, np.zeros(9, np.int32), images.m)))

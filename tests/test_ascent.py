"""Ascent on the pixels of a background: where it starts, how it steps, what is remembered of it."""
import numpy as np
import pytest

import train3
from common import pools
from common.ascent import ascend, Ascent, Steps
from common.keys import Key
from common.quiet import tf
from mybackgrounds import compose


def test_ascent_finds_worse_backgrounds_in_the_range_and_none_behind_the_object():
    x, m, start = (tf.constant(np.random.RandomState(i).uniform(size=(4, 8, 8, 1)).astype(np.float32))
                   for i in range(3))
    m = tf.round(m)

    def loss(b):
        return tf.reduce_sum(tf.square(compose(x, m, b) - 0.4), (1, 2, 3))
    few, many = (ascend(loss, start, 0.1, k).numpy() for k in (2, 20))
    assert (loss(start) < loss(few)).numpy().all() and (loss(few) < loss(many)).numpy().all()
    assert few.min() >= 0 and few.max() <= 1 and set(np.unique(many[m == 0])) <= {0, 1}
    assert np.array_equal(many[m == 1], start.numpy()[m == 1])


def test_ascent_leaves_the_rim_of_the_mask_as_it_starts():
    m = np.zeros((1, 9, 9, 1), np.float32)
    m[0, 4, 4] = 1
    start, loss = tf.fill(m.shape, 0.5), lambda b: tf.reduce_sum(b, (1, 2, 3))
    b = Ascent(None, Steps(3, 0.125, rim=2)).play(start, loss, Key.of(0), m).numpy()
    near = sum(abs(np.mgrid[:9, :9] - 4)**2) <= 4
    assert (b[0, ..., 0][near] == 0.5).all() and (b[0, ..., 0][~near] == 0.875).all()


@pytest.mark.parametrize('masks, back, apart', [
    ('otsu', ['textures', 'pixels'], [1, 3, 5]), ('otsu', ['textures', 'pixels', 'noise'], [1, 4]),
    ('none', ['pixels'], [0, 1, 2, 3, 4, 5]), ('otsu', ['textures'], [])])
def test_masks_are_grown_apart_for_ascent_alone(masks, back, apart):
    m = np.zeros((6, 9, 9, 1), np.float32)
    m[:, 4, 4] = 1
    words = ['--halo', '0', '--clean', '0', '--ascent-dilate', '2']
    args = train3.parse(['toy', 'f', 'u', masks, *back, *words])
    grown = train3.grow(tf.constant(m), args, Key.of(0)).numpy()[..., 0]
    disk = sum(abs(np.mgrid[:9, :9] - 4)**2) <= 4
    for i, found in enumerate(grown):
        assert np.array_equal(found, disk if i in apart else m[i, ..., 0])


def test_ascent_grows_to_all_its_steps_while_it_warms_up():
    bright, start = lambda b: tf.reduce_sum(b, (1, 2, 3)), tf.zeros((1, 2, 2, 1))
    source = Ascent(None, Steps(4, 0.125, warmup=8))
    reached = [source.play(start, bright, Key.of(0, step)).numpy().max()/0.125 for step in range(10)]
    assert reached == [1, 1, 2, 2, 3, 3, 4, 4, 4, 4]


def test_ascent_starts_from_the_worst_of_the_remembered_backgrounds_that_it_tries():
    pool = tf.Variable(tf.reshape(tf.range(512, dtype=tf.float16)/512, (512, 1, 1, 1)))
    half, bright = tf.fill((400, 1, 1, 1), 0.5), lambda b: tf.reduce_sum(b, (1, 2, 3))
    for tries, mean in ((1, 1/2), (3, 3/4), (9, 9/10)):   # of the largest of so many uniform numbers
        before = tf.Variable(pool)
        source = Ascent(None, Steps(1, 0., tries=tries), pool=before, fresh=4)
        b = source.play(half, bright, Key.of(0, 100)).numpy()[:, 0, 0, 0]
        assert (b[::4] == 0.5).all()                       # every fourth starts anew
        assert abs(np.delete(b, np.s_[::4]).mean() - mean) < 0.05


def test_steps_of_ascent_that_fall_begin_with_the_rate_and_end_near_none():
    bright, dark = lambda b: tf.reduce_sum(b, (1, 2, 3)), tf.zeros((1, 2, 2, 1))
    assert ascend(bright, dark, 0.25, 4).numpy().max() == 1
    assert ascend(bright, dark, 0.25, 4, falling=True).numpy().max() == 0.25*(1 + 3/4 + 2/4 + 1/4)
    assert Ascent(None, Steps(2, 0.5, falling=True)).play(dark, bright, Key.of(0)).numpy().max() == 0.75


def test_ascent_remembers_the_worst_of_every_so_many_and_recalls_it_as_it_is():
    def harm(b):
        return b[:, 0, 0, 0]   # of one corner, so that what is mirrored shows
    source = Ascent(None, Steps(1, 0., keep=4), pool=pools.empty(4, (2, 2, 1)), fresh=2)
    corner = tf.one_hot([0], 4, axis=0)
    b = tf.reshape(tf.constant([0.125, 0.5, 0.25, 0.375, 0.625, 0.125, 0.75, 0.25])*corner, (2, 2, 8))
    source.play(tf.transpose(b, (2, 0, 1))[..., None], harm, Key.of(0, 0))
    assert source.pool.numpy()[..., 0].tolist() == [[[v, 0], [0, 0]] for v in (0.5, 0.75)] + 2*[2*[[0, 0]]]
    shown = source.play(tf.zeros((8, 2, 2, 1)), harm, Key.of(0, 1)).numpy()[..., 0]
    assert not shown[::2].any()                                # every second starts anew
    assert set(shown[1::2, 0, 0]) <= {0.5, 0.75} and not shown[:, 1].any() and not shown[:, :, 1].any()


def test_ascent_goes_on_from_what_it_found_behind_other_images():
    source = Ascent(None, Steps(1, 0.125), pool=pools.empty(16, (4, 4, 1)), fresh=4)
    half, bright = tf.fill((8, 4, 4, 1), 0.5), lambda b: tf.reduce_sum(b, (1, 2, 3))
    first, second, third = (source.play(half, bright, Key.of(0, k)).numpy()[:, 0, 0, 0] for k in range(3))
    assert (first == 0.625).all()   # nothing is remembered yet
    assert second.tolist() == 2*[0.625, 0.75, 0.75, 0.75]
    assert (third[::4] == 0.625).all() and set(third) == {0.625, 0.75, 0.875}
    assert source.pool.numpy().max() == 0.875   # of the newest 16
    fresh = Ascent(None, Steps(1, 0.125), pool=pools.empty(16, (4, 4, 1)), fresh=1)
    assert [fresh.play(half, bright, Key.of(0, step)).numpy().max() for step in (0, 1)] == [0.625, 0.625]

"""Augmentation and batches: masks follow images, every pass is a permutation, any step can be the first."""
import numpy as np
import pytest

import mydatagen
import mydatasets
from common.errors import UserError
from common.keys import Key
from common.quiet import tf
from mydatagen import (Augmenter, batches, BRIGHTNESS, Images, in_order, MAX_ROTATION, MAX_SHIFT, some,
                       spread, to_float)

SIDE = 32


def disks(n=16, channels=1):
    """Disks off the centre, and their masks."""
    dy, dx = np.mgrid[:SIDE, :SIDE] - np.array([12, 19])[:, None, None]
    m = np.tile((dy**2 + dx**2 < 36).astype(np.float32)[None, ..., None], (n, 1, 1, 1))
    return tf.constant(np.repeat(0.5*m, channels, -1)), tf.constant(m)


# Augmentation

@pytest.mark.parametrize('channels', (1, 3))
@pytest.mark.parametrize('fill', ('constant', 'nearest'))
@pytest.mark.parametrize('flip', (False, True))
def test_a_mask_warped_by_the_key_of_its_image_stays_registered(flip, fill, channels):
    x, m = disks(channels=channels)
    warped, mask = Augmenter(flip, fill)(x, m, Key.of(0, 3))
    brightness = tf.reduce_max(warped, (1, 2, 3), keepdims=True)/0.5
    assert np.allclose(warped, 0.5*mask*brightness, atol=1e-5)
    assert abs(mask - m).numpy().max() > 0.5   # and did move
    alone, none = Augmenter(flip, fill)(x, None, Key.of(0, 3))
    assert none is None and np.allclose(alone, warped, atol=1e-5)


def test_each_image_gets_a_map_of_its_own_and_the_same_key_the_same_ones():
    x, m = disks()
    augment = tf.function(Augmenter(True))
    first, again, other = (augment(x, m, Key.of(0, step))[0].numpy() for step in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert len(np.unique(first.reshape(len(x), -1), axis=0)) == len(x)


def test_objects_move_and_turn_within_the_bounds():
    n = 300
    dy, dx = np.mgrid[:65, :65] - 32
    bar = ((abs(dy) < 2) & (abs(dx) < 20)).astype(np.float32)
    x = tf.constant(np.tile(bar[None, ..., None], (n, 1, 1, 1)))
    warped = Augmenter()(x, None, Key.of(0))[0].numpy()[..., 0]
    mass = warped.sum((1, 2))
    cy, cx = ((warped*d).sum((1, 2))/mass for d in (dy, dx))
    whole = warped[:, :, [0, -1]].max((1, 2)) == 0   # bars that are cut off lean elsewhere
    assert 0.7*MAX_SHIFT < abs(cy).max()/65 < MAX_SHIFT*1.3 and cy.min() < -5 < 5 < cy.max()
    assert 5 < abs(cx[whole]).max() < MAX_SHIFT*1.3*65
    yy = (warped*(dy - cy[:, None, None])**2).sum((1, 2))
    xx, xy = ((warped*(dx - cx[:, None, None])*d).sum((1, 2))
              for d in (dx - cx[:, None, None], dy - cy[:, None, None]))
    turns = abs(np.arctan2(2*xy, xx - yy)/2/(2*np.pi))[whole]
    assert 0.8*MAX_ROTATION < turns.max() < 1.05*MAX_ROTATION


def test_half_of_the_images_are_mirrored_only_when_asked():
    brighter_to_the_right = np.tile(np.linspace(0, 0.8, SIDE)[:, None], (200, SIDE, 1, 1))
    x = tf.constant(brighter_to_the_right, tf.float32)
    for flip, low, high in ((False, 0, 0), (True, 0.4, 0.6)):
        warped = Augmenter(flip, 'nearest')(x, None, Key.of(0))[0].numpy()
        mirrored = warped[:, :, :SIDE//2].mean((1, 2, 3)) > warped[:, :, SIDE//2:].mean((1, 2, 3))
        assert low <= mirrored.mean() <= high


def test_black_or_the_nearest_pixels_come_in_from_outside():
    x = tf.ones((50, SIDE, SIDE, 1))*0.5
    constant, nearest = (Augmenter(fill=f)(x, None, Key.of(0))[0].numpy() for f in ('constant', 'nearest'))
    assert (constant.min((1, 2, 3)) == 0).mean() > 0.9 and nearest.min() >= 0.5*BRIGHTNESS[0] - 1e-6


def test_from_a_step_on_images_are_as_they_are_or_mirrored():
    x = tf.constant(np.random.default_rng(0).random((20, 32, 32, 1), np.float32))
    m = tf.round(x)
    for step, same in ((6, 0), (7, 20)):
        moved, mask = Augmenter(until=7)(x, m, Key.of(0, step))
        assert sum(np.allclose(a, b, atol=1e-5) for a, b in zip(moved, x)) == same
        assert sum(np.allclose(a, b, atol=1e-4) for a, b in zip(mask, m)) == same
    mirrored = Augmenter(flip=True, until=0)(x, m, Key.of(0))[0]
    straight = [np.allclose(a, b, atol=1e-5) for a, b in zip(mirrored, x)]
    turned = [np.allclose(a, b[:, ::-1], atol=1e-5) for a, b in zip(mirrored, x)]
    assert 0 < sum(straight) < 20 and sum(straight) + sum(turned) == 20


def test_brightness_is_one_factor_an_image_and_never_leaves_the_range():
    x = tf.fill((200, SIDE, SIDE, 3), 0.5)
    factor = Augmenter(fill='nearest')(x, None, Key.of(0))[0].numpy().reshape(200, -1)/0.5
    assert np.ptp(factor, 1).max() < 1e-5
    assert BRIGHTNESS[0] <= factor.min() < 0.85 and 1.15 < factor.max() <= BRIGHTNESS[1]
    assert Augmenter(fill='nearest')(tf.ones_like(x), None, Key.of(0))[0].numpy().max() == 1


# Batches

def plain(batch, key):
    return {**batch, 'u': key.uniform(tf.shape(batch['y'])[0])}


def numbered(n=23, masks=False):
    x = np.arange(n, dtype=np.uint8)[:, None, None, None]*np.ones((1, 2, 2, 1), np.uint8)
    return Images(x, np.arange(n, dtype=np.int32), x if masks else None)


def collect(count, *args, **kwargs):
    return list(batches(*args, **kwargs).take(count).as_numpy_iterator())


def test_spread_takes_images_from_all_over_whatever_the_batch_holds():
    assert list(spread(numbered(), 3)['y'].numpy()) == [0, 11, 22]
    assert len(spread(numbered(), 30)['y']) == 30


@pytest.mark.parametrize('most, rows', ((40, [*range(10)]), (14, [0, 4, 9]), (1, [0])))
def test_some_images_from_all_over_keep_within_their_bytes(most, rows):
    assert list(some(numbered(10), most)[:, 0, 0, 0]) == rows


def test_every_pass_shows_every_image_at_most_once_in_another_order():
    found = collect(10, numbered(), plain, 4, 0)   # five batches of four out of 23
    passes = [np.concatenate([b['y'] for b in found[i:i + 5]]) for i in (0, 5)]
    assert all(len(set(p)) == 20 for p in passes) and list(passes[0]) != list(passes[1])
    assert all((b['x'][:, 0, 0, 0] == b['y']).all() for b in found)
    other = collect(5, numbered(), plain, 4, 1)
    assert list(np.concatenate([b['y'] for b in other])) != list(passes[0])


@pytest.mark.parametrize('first', (0, 1, 4, 5, 7, 12))
def test_a_run_continued_at_any_step_sees_what_it_would_have_seen(first):
    whole, rest = collect(14, numbered(), plain, 4, 0), collect(14 - first, numbered(), plain, 4, 0, first)
    for a, b in zip(whole[first:], rest, strict=True):
        assert all(np.array_equal(a[k], b[k]) for k in a) and set(a) == {'x', 'y', 'u', 'step', 'part'}


@pytest.mark.parametrize('first', (0, 3))
def test_the_slices_of_the_replicas_make_up_the_batch_of_one_device(first):
    whole = collect(4, numbered(), plain, 8, 0, first)
    # one process with two devices: slices in turn; then two processes
    both = collect(8, numbered(), plain, 8, 0, first, (2, slice(None)))
    one, two = (collect(4, numbered(), plain, 8, 0, first, (2, slice(i, i + 1))) for i in (0, 1))
    for i, batch in enumerate(whole):
        for pair in (both[2*i:2*i + 2], (one[i], two[i])):
            assert [int(b['part']) for b in pair] == [0, 1] and {int(b['step']) for b in pair} == {first + i}
            for k in ('x', 'y', 'u'):
                assert np.array_equal(np.concatenate([b[k] for b in pair]), batch[k])


def test_masks_ride_along():
    for batch in collect(3, numbered(masks=True), plain, 4, 0):
        assert np.array_equal(batch['x'], batch['m'])


def test_photographs_on_disk_give_the_batches_of_photographs_in_memory():
    x = np.random.RandomState(0).randint(0, 256, (9, 4, 4, 3), np.uint8)
    y = np.arange(9, dtype=np.int32)
    held = Images(x, y)
    streamed = Images([str(i) for i in range(9)], y, read=lambda path: x[int(path)], shape=(4, 4, 3))
    for a, b in zip(collect(4, held, plain, 4, 0), collect(4, streamed, plain, 4, 0)):
        assert all(np.array_equal(a[k], b[k]) for k in a)
    assert np.array_equal(np.concatenate([b['x'] for b in in_order(streamed, 4)]), x)


def test_in_order_shows_every_image_once_and_says_which_it_is():
    found = list(in_order(numbered(), 5).as_numpy_iterator())
    assert [len(b['y']) for b in found] == [5]*4 + [3]
    for k in ('i', 'y'):
        assert list(np.concatenate([b[k] for b in found])) == list(range(23))


def test_any_test_image_can_be_shown_whatever_the_batches_are(monkeypatch):
    data = mydatasets.load('toy_backgrounds')
    monkeypatch.setattr(mydatagen, 'MOST_PIXELS', 2*16*16)   # at 224: not all in one
    for name in ('original', 'stripes'):
        batch = next(iter(data.tests[name].batches(1)))
        first, y = data.tests[name].one(0)
        np.testing.assert_array_equal(first, batch['x'][0])
        assert y == batch['y'][0]
        last = list(data.tests[name].batches())[-1]
        np.testing.assert_array_equal(data.tests[name].one(int(last['i'][-1]))[0], last['x'][-1])


def test_test_images_come_in_smaller_batches_where_they_are_large(monkeypatch):
    test = mydatasets.load('toy').tests['original']
    monkeypatch.setattr(mydatagen, 'MOST_PIXELS', 10*16*16)
    assert [len(b['y']) for b in test.batches(512)][:2] == [10, 10]


def test_no_pipeline_has_a_tuner_for_whose_next_look_its_end_would_wait():
    data = mydatasets.load('toy_backgrounds')
    pipelines = [batches(data.train, lambda batch, key: batch, 8, 0), in_order(data.train),
                 data.tests['stripes'].batches()]
    assert [p.options().autotune.enabled for p in pipelines] == [False]*3


def test_pixels_become_numbers_from_0_to_1():
    assert list(to_float(np.array([0, 51, 255], np.uint8)).numpy()) == [0, np.float32(0.2), 1]


@pytest.mark.parametrize('batchsize, parts, word', [(24, 1, 'use at most 23'), (9, 2, 'replicas')])
def test_batches_that_cannot_be_made_are_refused(batchsize, parts, word):
    with pytest.raises(UserError, match=word):
        batches(numbered(), plain, batchsize, 0, 0, (parts, slice(None)))


# Another camera, another place

def test_zoomed_objects_are_larger_and_smaller_and_their_masks_with_them():
    x, m = disks(200)
    warped, mask = Augmenter(zoom=2.)(x, m, Key.of(0))
    brightness = tf.reduce_max(warped, (1, 2, 3), keepdims=True)/0.5
    assert np.allclose(warped, 0.5*mask*brightness, atol=1e-5)
    whole = mask.numpy()[:, [0, -1]].max((1, 2, 3)) + mask.numpy()[:, :, [0, -1]].max((1, 2, 3)) == 0
    areas = (mask.numpy().sum((1, 2, 3))/m.numpy().sum((1, 2, 3)))[whole]
    assert 0.2 < areas.min() < 0.35 and areas.max() > 2.5


@pytest.mark.parametrize('more', ({'strength': 1.}, {'share': 1.}), ids=('photometric', 'erase'))
@pytest.mark.parametrize('channels', (1, 3))
def test_further_changes_are_a_function_of_the_key_and_end_when_they_are_to_end(channels, more):
    x = tf.constant(np.random.default_rng(0).uniform(0.2, 0.8, (40, 16, 16, channels)).astype(np.float32))
    augment = Augmenter(until=2, **more)
    change = tf.function(lambda x, step: augment(x, None, Key.of(0, step))[0])
    plain = Augmenter(until=2)
    first, again, other, ended = (change(x, tf.constant(i)).numpy() for i in (0, 0, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert np.array_equal(ended, plain(x, None, Key.of(0, 2))[0])
    assert first.min() >= 0 and first.max() <= 1
    assert not np.allclose(first, plain(x, None, Key.of(0, 0))[0], atol=0.05)


def test_photometric_strength_bounds_what_changes_and_each_image_has_its_own_light():
    grey = tf.fill((300, 16, 16, 3), 0.5)
    means = {s: mydatagen.photometric(s)(grey, Key.of(1)).numpy().mean((1, 2)) for s in (0.1, 1.)}
    assert abs(means[0.1] - 0.5).max() < 0.1 < 0.25 < abs(means[1.] - 0.5).max()
    assert len(np.unique(means[1.].round(4), axis=0)) > 290
    assert np.std(means[1.][:, 0] - means[1.][:, 2]) > 0.05   # white balance: the channels differ


@pytest.mark.parametrize('channels', (1, 3))
def test_erased_images_lose_one_rectangle_of_a_bounded_size_each_its_own(channels):
    x = tf.fill((400, 32, 32, channels), 2.)   # no noise has this value
    z = mydatagen.erased(x, 0.75, Key.of(5)).numpy()
    gone = (z < 2).all(-1)
    hit = gone.any((1, 2))
    assert 0.68 < hit.mean() < 0.82   # 0.75 +- 3 deviations
    for one in gone[hit]:
        rows, cols = one.any(1), one.any(0)
        assert np.array_equal(one, rows[:, None] & cols)
        assert all(np.ptp(np.flatnonzero(line)) == line.sum() - 1 for line in (rows, cols))
    areas = gone[hit].mean((1, 2))
    assert 0.005 < areas.min() < 0.05 and 0.35 < areas.max() < 0.46
    assert len({one.tobytes() for one in gone[hit]}) > 0.95*hit.sum()
    assert 0.4 < z[gone].mean() < 0.6 and z[gone].std() > 0.25

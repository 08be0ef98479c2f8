"""Backgrounds: the composition, the paper's patterns as hand-checked facts, the sources of training."""
import numpy as np
import pytest

import mybackgrounds
from common import patterns
from common.errors import UserError
from common.geometry import dilate, dilate_between, feather, flood
from common.keys import Key
from common.quiet import tf
from training.validation import validation_shapes
from mybackgrounds import border_colour, compose, mixed

WHITE_AT_32 = {'stripes': 207, 'board': 512, 'border': 240, 'circles': 128, 'clock': 218, 'random': 256}


def images(n=8, side=16, channels=1, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(size=(n, side, side, channels)), tf.float32)


def test_a_mask_of_ones_keeps_the_image_and_a_mask_of_zeros_the_background():
    x, b = images(seed=1), images(seed=2)
    assert np.array_equal(compose(x, tf.ones((8, 16, 16, 1)), b), x)
    assert np.array_equal(compose(x, tf.zeros((8, 16, 16, 1)), b), b)


def test_half_a_mask_mixes_all_channels_alike():
    z = compose(tf.ones((1, 2, 2, 3)), tf.fill((1, 2, 2, 1), 0.25), tf.zeros((1, 2, 2, 3)))
    assert np.allclose(z, 0.25)


# The paper's patterns

@pytest.mark.parametrize('name', patterns.PATTERNS)
def test_patterns_have_the_published_number_of_white_pixels(name):
    pattern = patterns.PATTERNS[name](32)
    assert pattern.shape == (32, 32) and set(np.unique(pattern)) == {0, 1}
    assert pattern.sum() == WHITE_AT_32[name]


@pytest.mark.parametrize('side', (16, 24, 28, 32, 64, 128))
def test_patterns_exist_at_every_side(side):
    for name, pattern in patterns.PATTERNS.items():
        p = pattern(side)
        assert p.shape == (side, side) and 0 < p.mean() < 1, name


def test_stripes_are_diagonals_two_thick_with_period_ten():
    p = patterns.PATTERNS['stripes'](32)
    assert np.array_equal(p[:-10], p[10:]) and np.array_equal(p[:, :-10], p[:, 10:])
    assert np.array_equal(p[:-1, :-1], p[1:, 1:])
    assert p[0, 31] == 1 and p[1, 31] == 1 and p[2, 31] == 0   # the first begins at the top right corner


def test_board_has_squares_of_six_and_starts_inside_the_first():
    p = patterns.PATTERNS['board'](32)
    assert np.array_equal(p[:-12], p[12:]) and np.array_equal(p[:, :-12], p[:, 12:])
    assert np.array_equal(p, p.T) and np.array_equal(p[:-6], 1 - p[6:])
    assert list(p[0, :12]) == [0]*4 + [1]*6 + [0]*2


def test_border_is_two_pixels_wide_and_symmetric():
    p = patterns.PATTERNS['border'](32)
    assert p[:2].all() and p[-2:].all() and p[:, :2].all() and p[:, -2:].all() and not p[2:-2, 2:-2].any()


def test_circles_are_four_equal_outlines_around_their_centres():
    p = patterns.PATTERNS['circles'](32)
    first = p[2:15, 2:15]
    for row, column in ((8, 8), (8, 24), (24, 8), (24, 24)):
        part = p[row - 6:row + 7, column - 6:column + 7]
        assert np.array_equal(part, first) and p[row, column] == 0
        assert p[row - 6, column] and p[row + 6, column] and p[row, column - 6] and p[row, column + 6]
    assert np.array_equal(first, first.T) and np.array_equal(first, first[::-1]) and first.sum()*4 == p.sum()


def test_clock_has_a_round_dial_and_ticks_at_the_quarters():
    p = patterns.PATTERNS['clock'](32)
    assert np.array_equal(p, p.T)
    assert p[16, 1] and p[1, 16] and p[16, 31] and p[31, 16]       # the dial, radius 15 around (16, 16)
    assert p[:7, 15:18].all() and p[15:18, :7].all()               # ticks of 3 x 7 at the top and the left
    assert p[26:, 15:18].all() and p[15:18, 26:].all()             # 3 x 6 at the bottom and the right
    assert not p[9:23, 9:23].any()


def test_salt_and_pepper_is_one_fixed_draw_at_its_rate():
    p = patterns.PATTERNS['random'](32)
    assert np.array_equal(p, patterns.PATTERNS['random'](32))
    for rate in patterns.NOISE_RATES:
        assert patterns.salt_and_pepper(32, rate).sum() == round(rate*1024)
    assert len(patterns.NOISE_RATES) == len(set(patterns.NOISE_RATES)) == 20


# Masks

def test_dilation_is_scikit_images_disk():
    from skimage import morphology
    m = (np.random.RandomState(0).uniform(size=(4, 20, 20, 1)) < 0.05).astype(np.float32)
    for radius in (0, 1, 2, 3):
        ours = dilate(tf.constant(m), radius).numpy()
        for mine, mask in zip(ours, m):
            assert np.array_equal(mine[..., 0], morphology.dilation(mask[..., 0], morphology.disk(radius)))


def test_each_mask_is_dilated_by_a_radius_of_its_own():
    m = np.zeros((64, 15, 15, 1), np.float32)
    m[:, 7, 7] = 1
    areas = dilate_between(tf.constant(m), 0, 2, Key.of(0)).numpy().sum((1, 2, 3))
    assert set(areas) == {1, 5, 13}   # disks of radius 0, 1 and 2


def test_feathered_masks_fall_off_on_both_sides_of_the_edge_and_stay_where_they_touch_the_frame():
    m = np.zeros((1, 20, 20, 1), np.float32)
    m[:, :, 10:] = 1
    soft = feather(tf.constant(m), 2).numpy()[0, :, :, 0]
    assert np.allclose(soft, soft[:1]) and (np.diff(soft[0]) >= 0).all()
    assert soft[0, 5] == 0 and soft[0, -1] == 1 and np.isclose(soft[0, 9] + soft[0, 10], 1)
    assert np.array_equal(feather(tf.constant(m), 0), m)


def test_flood_reaches_what_an_image_library_reaches():
    from skimage import measure
    open_ = (np.random.RandomState(0).uniform(size=(6, 24, 24)) < 0.45).astype(np.float32)
    reached = flood(tf.constant(open_[..., None])).numpy()[..., 0]
    for mine, cells in zip(reached, open_):
        labels = measure.label(cells, connectivity=2)
        frame = set(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])) - {0}
        assert np.array_equal(mine, np.isin(labels, list(frame)))
    assert 0 < reached.sum() < open_.sum()


def test_border_colour_ignores_the_object_and_what_stands_on_the_bottom():
    x = np.full((2, 32, 32, 3), 0.25, np.float32)
    x[1] = [0.1, 0.2, 0.3]
    x[:, 10:, 8:24] = 1
    c = border_colour(tf.constant(x)).numpy()
    assert c.shape == (2, 1, 1, 3) and np.allclose(c[0], 0.25) and np.allclose(c[1], [0.1, 0.2, 0.3])


# Sources

PHOTOGRAPHS = np.random.RandomState(0).randint(0, 256, (3, 40, 40, 3), np.uint8)
SOURCES = {'black': mybackgrounds.black, 'noise': mybackgrounds.noise, 'textures': mybackgrounds.textures,
           'photographs': mybackgrounds.photographs(PHOTOGRAPHS),
           'pieces': mybackgrounds.pieces(PHOTOGRAPHS[:, :16, :16]),
           'patterns': mybackgrounds.patterns_source(16), 'shapes': validation_shapes}
CHANNELS = {'photographs': (3,), 'pieces': (3,), 'patterns': (1,)}


@pytest.mark.parametrize('name, channels', [(n, c) for n in SOURCES for c in CHANNELS.get(n, (1, 3))])
def test_sources_keep_shape_and_range_and_follow_their_key(name, channels):
    x, source = images(12, channels=channels), tf.function(SOURCES[name])
    b = source(x, Key.of(0, 5)).numpy()
    assert b.shape == x.shape and b.dtype == np.float32
    assert np.isfinite(b).all() and b.min() >= 0 and b.max() <= 1
    assert np.array_equal(b, source(x, Key.of(0, 5)))                        # the same key, the same picture
    if name != 'black':
        assert len(np.unique(b.reshape(12, -1), axis=0)) > 3                 # images differ among themselves
        for other in (Key.of(1, 5), Key.of(0, 6), Key.of(0, 5).fold(1)):     # and from those of other keys
            assert not np.array_equal(b, source(x, other))


def test_black_is_black():
    assert not mybackgrounds.black(images(), Key.of(0)).numpy().any()


@pytest.mark.parametrize('parts', (2, 4))
def test_replicas_draw_the_slices_of_the_numbers_that_one_device_draws(parts):
    x = images(8)
    digits = np.random.RandomState(0).randint(0, 256, (5, 16, 16, 1), np.uint8)
    pieces = mybackgrounds.pieces(digits)
    for source in (mybackgrounds.noise, mybackgrounds.textures, pieces, validation_shapes):
        whole = source(x, Key.of(3, 1)).numpy()
        n = 8//parts
        slices = [source(x[i*n:(i + 1)*n], Key.of(3, 1, i, parts)) for i in range(parts)]
        assert np.allclose(np.concatenate(slices), whole, atol=1e-3)   # edges are 50 times as steep


def test_a_texture_is_sparse_or_dense_coarse_or_fine_colour_or_grey():
    b = mybackgrounds.texture(images(200, channels=3), Key.of(0)).numpy()
    white = b.mean((1, 2, 3))
    assert white.min() < 0.2 and white.max() > 0.8
    edges = abs(np.diff(b, axis=1)).mean((1, 2, 3))
    assert edges.max() > 10*edges.min()
    differences = np.diff(b, axis=-1)   # channels of one noise differ by their thresholds alone: one way
    shared = ((differences >= -1e-4).all((1, 2)) | (differences <= 1e-4).all((1, 2))).all(1).mean()
    assert 0.3 < shared < 0.7


def test_colours_are_pale_and_vivid_near_and_far():
    b = mybackgrounds.textures(images(200, channels=3), Key.of(0)).numpy()
    assert b.min() >= 0 and b.max() <= 1
    saturation, contrast = np.ptp(b, -1).mean((1, 2)), b.std((1, 2)).mean(1)
    for found in (saturation, contrast):
        assert np.quantile(found, 0.1) < 0.12 and np.quantile(found, 0.9) > 0.3
    mean = b.mean((1, 2))
    for one, two in ((0, 1), (0, 2), (1, 2)):   # no hue is the usual one
        assert 0.3 < (mean[:, one] > mean[:, two]).mean() < 0.7


def test_monochrome_textures_are_one_texture_untinted():
    x, key = images(20), Key.of(3)
    assert np.array_equal(mybackgrounds.textures(x, key), mybackgrounds.texture(x, key))


def test_thresholded_logits_depend_on_neither_their_scale_nor_their_mean():
    logits, key = images(4, seed=3), Key.of(1)
    plain = mybackgrounds.threshold(logits, key)
    assert np.allclose(plain, mybackgrounds.threshold(100*logits - 7, key), atol=1e-3)


def test_photographs_are_crops_of_one_picture_each():
    flat = np.stack([np.full((40, 40, 3), v, np.uint8) for v in (10, 100, 200)])
    b = mybackgrounds.photographs(flat)(images(64, channels=3), Key.of(0)).numpy()*255
    assert set(np.round(b.max((1, 2, 3)))) == {10, 100, 200} and np.allclose(np.ptp(b, (1, 2, 3)), 0)


def test_photographs_smaller_than_the_image_are_refused():
    with pytest.raises(UserError, match='--backgrounds'):
        mybackgrounds.photographs(PHOTOGRAPHS)(images(side=64, channels=3), Key.of(0))


def test_pieces_are_enlarged_and_turned_inside_an_image_the_fuller_of_two_half_of_them_in_its_colours():
    ramp = np.linspace(0, 150, 64).astype(np.uint8)
    plain, rising = np.full((64, 64, 3), 10, np.uint8), np.stack([np.tile(ramp, (64, 1))]*3, -1)
    b = mybackgrounds.pieces(np.stack([plain, rising]))(images(400, 64, 3), Key.of(0)).numpy()*255
    own = (b.max((1, 2, 3)) < 151) & (np.ptp(b, -1).max((1, 2)) < 1)   # no colour, no light of another's
    assert 0.4 < own.mean() < 0.65
    flat = np.ptp(b, (1, 2)).max(1) < 0.5
    assert 0.15 < flat[own].mean() < 0.35                              # both drawn from the plain one
    down, right = (np.diff(b[own & ~flat], axis=axis).mean((1, 2, 3)) for axis in (1, 2))
    low, high = np.quantile(np.hypot(down, right)*63/150, (0.05, 0.95))
    assert 1/9 < low < 0.2 and 0.4 < high < 0.51                       # enlarged 2 to 8 times
    turned = np.arctan2(down, right)
    assert all((abs(turned - angle) < 0.5).any() for angle in np.linspace(-3, 3, 7))


@pytest.mark.parametrize('n', (1, 5, 6, 7))
def test_mixed_sources_take_turns_whatever_the_batch_size(n):
    sources = [lambda x, key, v=v: tf.fill(tf.shape(x), v) for v in (0.1, 0.2, 0.3)]
    b = mixed(sources)(images(n), Key.of(0)).numpy()
    assert np.allclose(b[:, 0, 0, 0], [(0.1, 0.2, 0.3)[i % 3] for i in range(n)])

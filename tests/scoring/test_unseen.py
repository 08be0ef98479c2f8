"""Unseen backgrounds: full contrast, one for every image, nothing depends on batches."""
import numpy as np
import pytest

import mydatasets
from common import patterns
from common.errors import UserError
from common.quiet import tf
from mydatagen import Images, to_float
from scoring import unseen
from scoring.unseen import CHUNK, FAMILIES

PLAIN = 'grey', 'white'


@pytest.fixture(scope='module')
def data():
    return mydatasets.load('toy')


@pytest.mark.parametrize('family', FAMILIES)
def test_backgrounds_are_in_range_of_full_contrast_and_differ(family):
    b = unseen.backgrounds(family, 32, np.arange(200))
    assert b.shape == (200, 32, 32, 1) and b.dtype == np.float32
    assert b.min() >= 0 and b.max() <= 1
    if family not in PLAIN:
        contrast = np.ptp(b, axis=(1, 2, 3))
        assert np.median(contrast) > 0.9 and contrast.min() > 0.5
    if family != 'white':
        kinds = len(np.unique(b.reshape(200, -1), axis=0))
        assert kinds > (60 if family.startswith('patterns') else 90)   # grey has some 130 levels


@pytest.mark.parametrize('family', FAMILIES)
def test_a_background_is_a_function_of_its_row_alone(family):
    rows = [3, CHUNK - 1, CHUNK, CHUNK + 7, 0]   # of two chunks, in any order
    some = unseen.backgrounds(family, 16, rows)
    unseen.bank.cache_clear()
    more = unseen.backgrounds(family, 16, np.arange(CHUNK + 40))
    assert np.array_equal(some, more[rows])
    if family != 'white':
        assert not np.array_equal(more[:40], more[CHUNK:])
        assert not np.array_equal(unseen.backgrounds(family, 16, np.arange(9), seed=1), more[:9])


def test_sides_that_tests_have_are_served():
    for side in (16, 28, 64):
        for family in FAMILIES:
            assert unseen.backgrounds(family, side, [0, 1]).shape == (2, side, side, 1)


def test_the_tests_do_not_depend_on_the_batch_size(data):
    images = data.tests['original'].images()
    for test in unseen.tests(data).values():
        small = np.concatenate([b['x'] for b in test.batches(7)])
        assert np.array_equal(small, test.paste(to_float(images.x), tf.range(len(images))))


def test_objects_stand_untouched_with_the_halo_that_the_name_says(data):
    tests = unseen.tests(data)
    assert list(tests)[:2] == ['unseen-photographs', 'unseen-photographs-nohalo']
    assert len(tests) == 2*len(FAMILIES)
    x = next(iter(data.tests['original'].batches(96)))['x'].numpy()
    b = unseen.backgrounds('white', 16, np.arange(96))
    near = tf.nn.max_pool2d(tf.cast(x > 0, tf.float32), 3, 1, 'SAME').numpy() > 0   # at most 1.5 away
    for name, kept in (('unseen-white', near), ('unseen-white-nohalo', x > 0)):
        z = next(iter(tests[name].batches(96)))['x'].numpy()
        assert np.array_equal(z[kept], x[kept])
    assert np.array_equal(z[x == 0], b[x == 0])   # without a halo all the rest is background
    assert (next(iter(tests['unseen-white'].batches(96)))['x'].numpy()[near & (x == 0)] == 0).all()


def test_the_patterns_are_never_those_of_the_test_sets():
    known = {p(32).tobytes() for p in patterns.PATTERNS.values()}
    b = unseen.backgrounds('patterns-shifted', 32, np.arange(400))[..., 0].astype(np.uint8)
    assert not known & {p.tobytes() for p in b}
    white = b.mean((1, 2))
    assert len(np.unique(b, axis=0)) > 100
    inverted = unseen.backgrounds('patterns-inverted', 32, np.arange(400)).mean((1, 2, 3))
    assert white.max() < 0.55 and inverted.min() > 0.45


def test_colour_sets_that_tell_nothing_of_their_objects_are_refused_in_one_line(data):
    colour = data._replace(shape=(16, 16, 3), name='photos')
    with pytest.raises(UserError, match='true masks of photos are not known'):
        unseen.tests(colour)


@pytest.mark.parametrize('family', FAMILIES)
def test_families_in_colour_have_the_shapes_of_the_grey_ones_and_hues_of_their_own(family):
    b = unseen.backgrounds(family, 32, np.arange(60), channels=3)
    assert b.shape == (60, 32, 32, 3) and b.min() >= 0 and b.max() <= 1
    hued = np.ptp(b, axis=-1).max((1, 2)) > 0.1   # by image
    assert hued.mean() > 0.8 or family == 'white' and (b == 1).all()
    if family in ('gratings', 'crosses', 'text', 'patterns-shifted'):   # between two colours lies a line
        grey = unseen.backgrounds(family, 32, np.arange(60))[..., 0]
        for shape, image in zip(grey, b):
            low, high = (image[shape == v].mean(0) for v in (shape.min(), shape.max()))
            wanted = low + (shape[..., None] - shape.min())/np.ptp(shape)*(high - low)
            assert np.abs(image - wanted).max() < 0.02


def test_photographs_stand_in_front_of_backgrounds_up_to_their_true_masks():
    random = np.random.RandomState(0)
    x, m = random.randint(0, 256, (9, 16, 16, 3)).astype(np.uint8), np.zeros((9, 16, 16, 1), np.uint8)
    m[:, 4:9, 5:11] = 255
    tests = {'test-field': mydatasets.Test(lambda: Images(x[:2], np.zeros(2, np.int32))),
             'test-studio': mydatasets.Test(lambda: Images(x, np.zeros(9, np.int32), m))}
    photos = mydatasets.load('toy')._replace(shape=(16, 16, 3), name='photos', tests=tests)
    tests = unseen.tests(photos)
    assert len(tests) == 2*len(FAMILIES)
    wide, tight, greys = (np.concatenate([b['x'] for b in tests[f'unseen-{name}'].batches(4)])
                          for name in ('white', 'white-nohalo', 'grey-nohalo'))
    assert np.array_equal(tight, np.where(m, x/np.float32(255), 1))
    grown = (tight != wide).any(-1).sum((1, 2))   # by a disk of 2 pixels: 5 x 6 -> 9 x 10 without its corners
    assert (grown == 90 - 12 - 30).all()
    colours = greys[:, 0, 0]
    assert np.array_equal(colours, unseen.backgrounds('grey', 16, np.arange(9), 3)[:, 0, 0])
    assert len(np.unique(colours, axis=0)) == 9


def test_of_many_photographs_the_later_ones_see_the_backgrounds_anew(monkeypatch):
    monkeypatch.setattr(unseen, 'COLOUR_ROWS', 4)
    x, m = np.zeros((6, 16, 16, 3), np.uint8), np.zeros((6, 16, 16, 1), np.uint8)
    onto = unseen.paste('grey', lambda: Images(x, np.zeros(6, np.int32), m), 0)
    z = onto(to_float(x), tf.range(6)).numpy()
    assert np.array_equal(z[4:], z[:2]) and not np.array_equal(z[1], z[2])

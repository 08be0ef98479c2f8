"""Photographs as a network knows images: sides, margins by what the sidecar says, batches."""
import numpy as np
import pytest
from PIL import Image

import toys
from common.errors import UserError
from readers import photographs
from readers.frames import Frame, frame_of, margin_of, pad32


@pytest.fixture
def wide(tmp_path):
    """A photograph of 70x50."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path/'x.png')
    return str(tmp_path/'x.png')


def test_photographs_are_read_as_a_folder_data_set_reads_them(wide):
    for fit in photographs.FITS:
        assert np.array_equal(Frame(16, 3, fit).read(wide), photographs.read_image(wide, 16, fit=fit))
    assert np.array_equal(Frame(16, 1).read(wide), photographs.read_image(wide, 16, 1))


def test_28_pixel_images_are_padded_as_their_sets_are_and_black_stays_black(tmp_path):
    digit = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1), np.uint8)
    for name, x in ('a', digit), ('b', 255 - digit):
        Image.fromarray(x[0, ..., 0]).save(tmp_path/f'{name}.png')
    frame, wanted = frame_of({'shape': [32, 32, 1]}, 'crop'), pad32(digit)[0]
    assert np.array_equal(frame.read(str(tmp_path/'a.png')), wanted)
    assert np.array_equal(frame._replace(invert=True).read(str(tmp_path/'b.png')), wanted)
    assert not frame.resizes(str(tmp_path/'a.png'))
    assert frame_of({'shape': [32, 32, 3]}, 'crop').read(str(tmp_path/'a.png'))[0, 0].any()   # not in colour


def test_other_sizes_are_read_onto_28_pixels_and_the_networks_own_is_taken_as_it_is(tmp_path):
    frame = frame_of({'shape': [32, 32, 1], 'dataset': 'mnist'}, 'crop')
    for size in (32, 32), (20, 20), (90, 60):
        path = str(tmp_path/f'{size[0]}.png')
        Image.new('L', size, 200).save(path)
        x, own = frame.read(path), size == (32, 32)
        assert x.shape == (32, 32, 1) and (x[2:-2, 2:-2] == 200).all() and frame.resizes(path) != own
        rim = np.concatenate([x[:2].ravel(), x[-2:].ravel(), x[:, :2].ravel(), x[:, -2:].ravel()])
        assert (rim == (200 if own else 0)).all()


@pytest.mark.parametrize('dataset, size, shape, margin', [
    ('mnist', None, 32, 2), ('fashionmnist_backgrounds', None, 32, 2), ('tfds:kmnist', None, 32, 2),
    ('mnist', 32, 32, 0), ('mnist', 28, 28, 0), ('mnist', 64, 64, 0), ('toy', None, 16, 0),
    ('digits', None, 32, 4), ('digits_backgrounds', 32, 32, 4), ('digits', 64, 64, 8)])
def test_the_margin_is_that_of_the_training_images(dataset, size, shape, margin):
    about = {'shape': [shape, shape, 1], 'dataset': dataset, 'arguments': {'size': size}}
    assert margin_of(about) == margin
    assert margin_of(about | {'shape': [shape, shape, 3]}) == 0
    if not dataset.startswith(('tfds', 'fashion', 'mnist')):   # those with data in reach: it is so
        x = toys.load(dataset, size=size).train.x
        assert x.shape[1] == shape
        first = np.flatnonzero(x.any((0, 1, 3)))[0]
        assert abs(first - margin) <= 1 or dataset == 'toy'   # enlarged, edges grow soft


def test_margins_that_cannot_be_are_refused():
    frame = frame_of({'shape': [32, 32, 1]}, 'crop', 15)
    assert frame.inner == 2 and frame.always
    with pytest.raises(UserError, match='at most 15'):
        frame_of({'shape': [32, 32, 1]}, 'crop', 16)
    with pytest.raises(UserError, match='in colour; leave it out'):
        frame_of({'shape': [64, 64, 3]}, 'crop', 2)
    assert frame_of({'shape': [64, 64, 3]}, 'crop', 0).margin == 0

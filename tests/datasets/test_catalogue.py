"""Pairs of data sets; tensorflow-datasets by its own mocking, and for real."""
import time

import numpy as np
import pytest

import mydatasets
import toys
from common.errors import UserError
from mydatasets import Source
from toys import load, needs_tfds, TFDS
from readers import catalogue


# Pairs

def fake(names, channels=3, side=8):
    def read(split, size, data_dir):
        y = np.arange(60, dtype=np.int32) % len(names)
        x = np.broadcast_to(y.astype(np.uint8)[:, None, None, None], (60, side, side, channels))
        return np.array(x), y, list(names)
    return Source(read)


CIFAR10 = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
STL10 = ['airplane', 'bird', 'car', 'cat', 'deer', 'dog', 'horse', 'monkey', 'ship', 'truck']


def test_pairs_match_classes_by_name_not_by_number(fresh, monkeypatch):
    monkeypatch.setitem(mydatasets.SOURCES, 'cifar10', fake(CIFAR10))
    monkeypatch.setitem(mydatasets.SOURCES, 'stl10', fake(STL10))
    for name, first, other in (('cifar10_stl10', CIFAR10, STL10), ('stl10_cifar10', STL10, CIFAR10)):
        data = load(name)
        assert len(data.classes) == 9 and not {'frog', 'monkey'} & set(data.classes)
        assert list(data.tests) == name.split('_')
        for images, names in ((data.train, first), (data.tests[name.split('_')[0]].images(), first),
                              (data.tests[name.split('_')[1]].images(), other)):
            for x, y in zip(images.x, images.y):   # pixels hold the number of the class in its own set
                assert names[x[0, 0, 0]].replace('car', 'automobile') == data.classes[y]


def test_pairs_of_other_sizes_or_without_common_classes_are_refused(fresh, monkeypatch):
    monkeypatch.setitem(mydatasets.SOURCES, 'cifar10', fake(CIFAR10))
    monkeypatch.setitem(mydatasets.SOURCES, 'stl10', fake(STL10, side=12))
    with pytest.raises(UserError, match='--size'):
        load('cifar10_stl10')
    mydatasets._read.cache_clear()
    monkeypatch.setitem(mydatasets.SOURCES, 'stl10', fake(['x', 'y']))
    with pytest.raises(UserError, match='common'):
        load('cifar10_stl10')


# tensorflow-datasets, by its own mocking: nothing is downloaded

MOCKED = {'cifar10': (64, 64, 3), 'stl10': (64, 64, 3), 'svhn': (32, 32, 3), 'dogsvscatsredux': (64, 64, 3),
          'gtsrb': (64, 64, 3), 'kmnist': (32, 32, 1), 'fashionmnist': (32, 32, 1),
          'emnist/letters': (32, 32, 1), 'tfds:horses_or_humans': (300, 300, 3), 'cifar10_stl10': (64, 64, 3),
          'kmnist_backgrounds': (32, 32, 1)}


@pytest.mark.parametrize('name', MOCKED)
def test_sets_of_tensorflow_datasets_arrive_in_our_shape(name, fresh, monkeypatch, tmp_path):
    import tensorflow_datasets as tfds
    monkeypatch.setattr(catalogue, '_demand_network', lambda name, builder: None)
    with tfds.testing.mock_data(num_examples=12, data_dir=str(tmp_path)):
        data = load(name, str(tmp_path))
        assert data.shape == data.train.x.shape[1:] == MOCKED[name] and data.train.x.dtype == np.uint8
        assert all(len(t.images()) == 12 for t in data.tests.values())
    assert len(data.train) + len(data.validation) == 12 and len(data.classes) >= 2
    assert set(np.unique(data.train.y)) <= set(range(len(data.classes)))


def test_size_brings_sets_of_tensorflow_datasets_to_that_side(fresh, monkeypatch, tmp_path):
    import tensorflow_datasets as tfds
    monkeypatch.setattr(catalogue, '_demand_network', lambda name, builder: None)
    with tfds.testing.mock_data(num_examples=12, data_dir=str(tmp_path)):
        assert load('kmnist', str(tmp_path), size=20).shape == (20, 20, 1)


def test_patterns_behind_colour_images_are_refused(fresh, monkeypatch):
    monkeypatch.setitem(mydatasets.SOURCES, 'cifar10', fake(CIFAR10))
    with pytest.raises(UserError, match='monochrome'):
        load('cifar10_backgrounds')


def test_a_set_neither_prepared_nor_in_reach_is_answered_within_five_seconds(fresh, monkeypatch, tmp_path):
    import socket

    def unreachable(*args, **kwargs):
        raise OSError('no network')
    monkeypatch.setattr(socket, 'create_connection', unreachable)
    import tensorflow_datasets  # noqa: F401  (its import is not what is measured)
    began = time.monotonic()
    with pytest.raises(UserError, match='no network.*digits'):
        load('cifar10', str(tmp_path))
    assert time.monotonic() - began < 5


@needs_tfds
@pytest.mark.parametrize('name', ('mnist', pytest.param('fashionmnist', marks=pytest.mark.slow)))
def test_the_real_sets_are_whole_padded_and_balanced_under_a_limit(name, fresh):
    data = load(name, TFDS)
    test = data.tests['original'].images()
    assert data.shape == (32, 32, 1) and len(test) == 10000
    assert len(data.train) + len(data.validation) == 60000
    assert abs(len(data.validation) - 6000) < 10   # rounded class by class
    for part in (data.train, test):
        assert not part.x[:, :2].any() and not part.x[:, :, -2:].any() and part.x.max() == 255
    assert data.flip == (name == 'fashionmnist') and np.bincount(test.y).min() > 800
    small = load(name, TFDS, limit=200)
    assert len(small.train) == 180 and (np.bincount(small.validation.y) == 2).all()


@pytest.mark.slow
def test_the_module_looks_at_a_data_set_when_run(tmp_path):
    process = toys.spawn('look', ['toy', '--sheet', tmp_path/'s.png'])
    out, err = process.communicate()
    assert process.returncode == 0 and not err and 'square' in out and (tmp_path/'s.png').is_file()

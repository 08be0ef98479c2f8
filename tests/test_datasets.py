"""Data sets by name: splits, limits, pairs, tests; tensorflow-datasets by its own mocking, and for real."""
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import look
import mydatasets
import mymodels
import toys
from common import geometry, patterns
from common.errors import UserError
from mydatagen import to_float
from mydatasets import limited, Source, split_rows
from toys import load
from readers import catalogue, photographs, sources
from report import sheets
from training import weightfiles

ROOT = toys.ROOT
TFDS = os.path.join(ROOT, '..', 'shared', 'tfds')
needs_tfds = pytest.mark.skipif(not os.path.isdir(TFDS), reason='../shared/tfds is not there')


@pytest.fixture
def fresh(monkeypatch):
    """Nothing read before counts, and nothing read here is kept."""
    monkeypatch.delenv('TFDS_DATA_DIR', raising=False)
    mydatasets._read.cache_clear()
    yield
    mydatasets._read.cache_clear()


# Splits

def test_validation_is_a_tenth_of_every_class_disjoint_and_always_the_same():
    y = np.random.RandomState(0).randint(0, 7, 5000)
    train, validation = split_rows(y)
    assert sorted([*train, *validation]) == list(range(5000))
    for c in range(7):
        assert abs((y[validation] == c).sum() - 0.1*(y == c).sum()) <= 0.5
    again = split_rows(y)
    assert np.array_equal(train, again[0]) and np.array_equal(validation, again[1])


def test_validation_has_every_class_even_of_tiny_sets():
    y = np.arange(20) % 10
    assert set(y[split_rows(y)[1]]) == set(range(10))


def test_equal_photographs_stay_on_one_side_of_the_split(tmp_path):
    toys.photographs(str(tmp_path), each=30)
    for name in ('cat', 'dog'):
        folder = tmp_path/'train'/name
        for i in range(15):
            (folder/f'{i}-again.png').write_bytes((folder/f'{i}.png').read_bytes())
    data = load(f'folder:{tmp_path}', size=16)
    assert len(data.train) + len(data.validation) == 90
    train, held = ({x.tobytes() for x in images.x} for images in (data.train, data.validation))
    assert len(held) >= 6 and not train & held


@pytest.mark.parametrize('limit', (20, 37, 100))
def test_limited_sets_are_that_large_keep_all_classes_and_grow_by_adding(limit):
    y = np.sort(np.random.RandomState(0).randint(0, 10, 1000))   # even when the file is sorted by class
    rows = limited(y, limit)
    assert len(set(rows)) == limit and np.bincount(y[rows]).min() >= limit//10
    assert set(rows) <= set(limited(y, 2*limit))


def test_limits_that_leave_less_than_two_images_a_class_are_refused():
    with pytest.raises(UserError, match='--limit 19.*use 20'):
        limited(np.arange(100) % 10, 19)


def test_the_limit_applies_before_the_split():
    data = load('toy', limit=30)
    assert len(data.train) + len(data.validation) == 30 and len(data.validation) == 3


# The sets that need nothing

@pytest.mark.parametrize('name, shape, classes', [('toy', (16, 16, 1), 3), ('digits', (32, 32, 1), 10)])
def test_built_in_sets_are_whole_and_the_same_every_time(name, shape, classes):
    first, again = load(name), load(name)
    assert first.shape == shape and len(first.classes) == classes and first.monochrome and not first.masks
    assert first.train.x.dtype == np.uint8 and first.train.x.shape[1:] == shape
    for part in (first.train, first.validation, first.tests['original'].images()):
        assert set(part.y) == set(range(classes))
    assert np.array_equal(first.train.x, again.train.x)
    assert np.array_equal(first.validation.y, again.validation.y)


def test_digits_are_split_80_to_20_and_no_image_is_in_two_parts():
    data = load('digits')
    parts = data.train, data.validation, data.tests['original'].images()
    assert sum(map(len, parts)) == 1797 and len(parts[2]) == 359
    keys = [{x.tobytes() for x in part.x} for part in parts]
    assert not keys[0] & keys[1] and not keys[0] & keys[2] and not keys[1] & keys[2]


def test_test_sets_stand_in_the_order_of_the_tables():
    assert list(load('toy').tests) == ['original']
    six = ['stripes', 'board', 'border', 'circles', 'clock', 'random']
    assert list(load('toy_backgrounds').tests) == ['original', *six]
    rates = list(load('toy_noises').tests)
    assert len(rates) == 20 and rates[0] == 'noise-0' and rates[-1] == 'noise-1' and 'noise-0.05' in rates


def test_patterns_are_pasted_outside_the_dilated_object_and_change_nothing_inside():
    data = load('toy_backgrounds')
    original = to_float(data.tests['original'].images().x).numpy()
    inside = geometry.dilate((original > 0).astype(np.float32), 2).numpy()
    for name in patterns.PATTERNS:
        z = np.concatenate([b['x'] for b in data.tests[name].batches(50)])
        pattern = patterns.PATTERNS[name](16)[None, :, :, None]
        assert np.array_equal(z, np.where(inside == 1, original, pattern)), name


def test_test_sets_are_not_read_before_they_are_asked_for(fresh, monkeypatch):
    splits = []

    def read(split, size, data_dir):
        splits.append(split)
        return sources.toy(split, size, data_dir)
    monkeypatch.setitem(mydatasets.SOURCES, 'spied', Source(read))
    data = load('spied_backgrounds')
    assert splits == ['train']
    assert len(data.tests['board'].images()) == 96 and splits == ['train', 'test']


def test_size_is_the_side():
    assert load('toy', size=24).shape == load('digits', size=24).shape == (24, 24, 1)
    assert (load('digits', size=64).train.x == 0).mean() > 0.5   # the ground stays black


# Names

@pytest.mark.parametrize('name, hint', [
    ('mnst', 'did you mean mnist'), ('cifar-10', 'cifar10'), ('qqq', 'known are'),
    ('toy_background', "'toy_background'"), ('cifar10_stl', 'cifar10_stl10')])
def test_unknown_names_are_answered_with_the_nearest_one(name, hint):
    with pytest.raises(UserError, match=hint):
        load(name)


@pytest.mark.parametrize('name', ('synthdigits', 'synsigns', 'prates'))
def test_sets_without_a_download_say_which_files_go_where(name, tmp_path):
    with pytest.raises(UserError, match=f'put .* under {tmp_path}/{name}') as e:
        load(name, str(tmp_path))
    assert '\n' not in str(e.value)


# Sets from files that the user puts in place, by their real readers

def photograph(path, seed, side=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 4, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def put_synthdigits(folder, n=40, side=32):
    """Files as SVHN's: X (h, w, 3, n) uint8, here full of its class; y (n, 1), 10 for the zero."""
    folder.mkdir()
    for split in 'train', 'test':
        y = np.arange(n) % 10
        x = np.broadcast_to(y.astype(np.uint8), (side, side, 3, n))
        y = np.where(y, y, 10)[:, None].astype(np.uint8)
        savemat(folder/f'synth_{split}_32x32.mat', {'X': x, 'y': y})


def put_synsigns(folder, n=86):
    """A list of images and classes, and images full of their class."""
    (folder/'train').mkdir(parents=True)
    for i in range(n):
        Image.new('RGB', (40, 40), (i % 43,)*3).save(folder/'train'/f'{i:06d}.png')
    lines = [f'train/{i:06d}.png {i % 43} 0' for i in range(n)]
    (folder/'train_labelling.txt').write_text('\n'.join(lines) + '\n')


def test_synthdigits_are_read_from_their_mat_files(fresh, tmp_path):
    put_synthdigits(tmp_path/'synthdigits')
    data = load('synthdigits', str(tmp_path))
    assert data.shape == (32, 32, 3) and data.classes == [str(i) for i in range(10)]
    for part in data.train, data.validation, data.tests['original'].images():
        assert np.array_equal(part.x[:, 5, 7, 1], part.y)
    assert len(data.train) + len(data.validation) == 40
    assert load('synthdigits', str(tmp_path), size=20).shape == (20, 20, 3)


@pytest.mark.parametrize('sub', ('', 'synthetic_data'))
def test_synsigns_are_read_by_their_list_and_split_75_to_25(fresh, tmp_path, sub):
    put_synsigns(tmp_path/'synsigns'/sub)
    data = load('synsigns', str(tmp_path))
    test = data.tests['original'].images()
    assert data.shape == (64, 64, 3) and len(data.classes) == 43
    assert len(data.train) + len(data.validation) == 64 and len(test) == 22
    for part in data.train, data.validation, test:
        assert np.array_equal(part.x[:, 5, 7, 1], part.y)


@pytest.mark.parametrize('text', ['', 'train/000000.png', 'train/000000.png 43 0', '../x.png 1 0', '\xff'])
def test_a_damaged_list_of_synsigns_is_one_line(fresh, tmp_path, text):
    (tmp_path/'synsigns').mkdir()
    (tmp_path/'synsigns'/'train_labelling.txt').write_bytes(text.encode('latin1'))
    with pytest.raises(UserError, match='train_labelling.txt: no lines') as e:
        load('synsigns', str(tmp_path))
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('found', [b'no mat file', {'X': np.zeros((32, 32, 3, 4)), 'y': np.ones((4, 1))},
                                   {'X': np.zeros((32, 32, 3, 4), np.uint8), 'y': np.ones((5, 1))},
                                   {'X': np.zeros((32, 32, 3, 4), np.uint8), 'y': np.full((4, 1), 77)},
                                   {'X': np.zeros((32, 32), np.uint8), 'y': np.ones((4, 1))}, {'z': 1}])
def test_a_damaged_mat_file_is_one_line(fresh, tmp_path, found):
    (tmp_path/'synthdigits').mkdir()
    path = tmp_path/'synthdigits'/'synth_train_32x32.mat'
    path.write_bytes(found) if isinstance(found, bytes) else savemat(path, found)
    with pytest.raises(UserError, match='synth_train_32x32.mat is damaged') as e:
        load('synthdigits', str(tmp_path))
    assert '\n' not in str(e.value)


@pytest.fixture
def insulators(tmp_path):
    """The folders of the paper's insulators, two photographs each and three backgrounds."""
    seed = iter(range(1000))
    for name in 'IPL', 'IPN', 'IPV', 'ISB':
        for number, n in (1, 4), (2, 1), (3, 2), (4, 1):
            for i in range(n):
                photograph(tmp_path/'prates'/'components'/f'data_{name}_{number}'/f'{i}.JPG', next(seed))
    for i in range(3):
        photograph(tmp_path/'prates'/'components'/'bg'/f'{i}.jpg', next(seed))
    return tmp_path


def test_prates_reads_the_papers_folders(insulators):
    data = load('prates', str(insulators), size=32)
    assert data.classes == ['IPL', 'IPN', 'IPV', 'ISB'] and data.shape == (32, 32, 3)
    assert list(data.tests) == ['test-a', 'test-b'] and data.flip and not data.masks
    assert len(data.train) == 12 and np.bincount(data.validation.y).tolist() == [1]*4
    for test in data.tests.values():
        assert np.bincount(test.images().y).tolist() == [2]*4
    assert data.backgrounds.shape == (3, 64, 64, 3)
    batch = next(iter(data.tests['test-b'].batches()))   # the second and the fourth folder of a class
    for n in 2, 4:
        x = photographs.read_image(insulators/'prates'/'components'/f'data_IPL_{n}'/'0.JPG', 32)
        assert (abs(batch['x'].numpy() - x/255).max((1, 2, 3)) < 1e-6).sum() == 1


def test_prates_is_224_pixels_wide_and_says_what_is_missing(insulators):
    assert load('prates', str(insulators)).shape == (224, 224, 3)
    mydatasets._checked.cache_clear()
    shutil.rmtree(insulators/'prates'/'components'/'data_IPV_2')
    with pytest.raises(UserError, match='data_IPV_2 under'):
        load('prates', str(insulators))


def test_pairs_with_sets_from_files_match_their_classes(fresh, monkeypatch, tmp_path):
    import tensorflow_datasets as tfds
    monkeypatch.setattr(catalogue, '_demand_network', lambda name, builder: None)
    put_synthdigits(tmp_path/'synthdigits')
    put_synsigns(tmp_path/'synsigns')
    wanted = {'svhn_synthdigits': (32, 10), 'synthdigits_svhn': (32, 10), 'gtsrb_synsigns': (64, 43)}
    with tfds.testing.mock_data(num_examples=100, data_dir=str(tmp_path)):
        for name, (side, classes) in wanted.items():
            data = load(name, str(tmp_path))
            assert data.shape == (side, side, 3) and len(data.classes) == classes
            assert list(data.tests) == name.split('_')
            for base, test in data.tests.items():
                images = test.images()
                assert len(images) and images.x.shape[1:] == data.shape
                if base.startswith('syn'):   # its pixels are its class
                    assert [data.classes[y] for y in images.y] == [str(v) for v in images.x[:, 5, 7, 1]]


# Looking at a data set

@pytest.mark.parametrize('name', ('toy', 'toy_backgrounds'))
def test_the_sheet_of_a_data_set_is_drawn_and_its_counts_are_printed(name, tmp_path, capsys):
    assert look.main([name, '--sheet', str(tmp_path/'s.png')]) == 0
    out = capsys.readouterr().out
    for words in 'train', 'validation', 'original', 'disk', 'square', 'cross', '96':
        assert words in out
    with Image.open(tmp_path/'s.png') as im:
        assert im.width == sheets.WIDTH and np.asarray(im).std() > 20
        height = im.height
    assert ('and 6 more' in out) == (name == 'toy_backgrounds') and (height > 1000) == (name != 'toy')


def test_the_sheet_of_prates_shows_every_split_class_and_the_backgrounds(insulators, monkeypatch, tmp_path):
    drawn = {}
    monkeypatch.setattr(look, 'save_sheet', lambda path, sections: drawn.update(sections))
    monkeypatch.setenv('TFDS_DATA_DIR', str(insulators))
    assert look.main(['prates', '--size', '16', '--each', '2']) == 0
    assert [t.split(':')[0] for t in drawn] == ['train', 'validation', 'test-a', 'test-b', 'backgrounds']
    assert [lines for _, lines in drawn['train: 12 images']] == [
        [f'{c}: 3'] for c in ('IPL', 'IPN', 'IPV', 'ISB')]
    assert all(len(pictures) == 2 for pictures, _ in drawn['test-a: 8 images'])


def test_the_sheet_shows_the_masks_of_images_on_the_least_plain_ground(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    photos, drawn = toys.photographs(tmp_path/'photos', side=16), {}
    hard = photos/'train'/'dog'/'hard.png'
    Image.fromarray(255*random.randint(0, 2, (16, 16, 3), np.uint8)).save(hard)
    weightfiles.save(mymodels.unet((16, 16, 3), 4), str(tmp_path/'u'), kind='unet', dataset='photos',
                     shape=[16, 16, 3], classes=['cat', 'dog'], network={'width': 4}, settings='u')
    monkeypatch.setattr(look, 'save_sheet', lambda path, sections: drawn.update(sections))
    words = [f'folder:{photos}', '--size', '16', '--unet', str(tmp_path/'u'), '--binarize', '0.5']
    assert look.main(words) == 0
    (first, kept), lines = next(cells for title, cells in drawn.items() if title.startswith('masks (0.5)'))[0]
    assert lines == ['1 dog'] and np.array_equal(first, np.asarray(Image.open(hard)))
    removed = np.all(kept == [255, 0, 255], -1)   # a mask that starts near 1 keeps nearly all
    assert kept.shape == first.shape and np.array_equal(kept[~removed], first[~removed])


def test_looking_at_an_unknown_set_is_a_mistake(capsys):
    assert look.main(['mnst', '--sheet', 'x.png']) == 2
    assert capsys.readouterr().err.count('\n') == 1


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
    import toys
    process = toys.spawn('look', ['toy', '--sheet', tmp_path/'s.png'])
    out, err = process.communicate()
    assert process.returncode == 0 and not err and 'square' in out and (tmp_path/'s.png').is_file()

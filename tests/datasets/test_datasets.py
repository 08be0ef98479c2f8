"""Data sets by name: splits, limits, tests, the sets that need nothing."""
import numpy as np
import pytest

import mydatasets
import toys
from common import geometry, patterns
from common.errors import UserError
from mydatagen import to_float
from mydatasets import limited, Source, split_rows
from toys import load
from readers import sources


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

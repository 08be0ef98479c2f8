"""Anything at all for input: only a UserError may come out."""
import contextlib
import functools
import io
import json
import pathlib
import re
import shutil
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

import toys
from common.errors import UserError
from damage import photos
from readers import photographs
from scoring import rowfile
from training import checkpoints, weightfiles

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(
                        st.text(max_size=8), inner, max_size=5),
                    max_leaves=15)
MODEST = settings(max_examples=150, deadline=None, derandomize=True,
                  suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
GOOD = {'kind': 'classifier', 'dataset': 'toy', 'method': 'x', 'shape': [16, 16, 1],
        'classes': ['a', 'b', 'c'],
        'network': {'width': 4, 'dense': 8}, 'seed': 0, 'settings': 'x'}
FIELDS = st.sampled_from([*GOOD, 'sha256', 'area'])
NETWORKS = st.dictionaries(st.sampled_from(['width', 'dense', 'depth', 'tau', 'backbone', 'bias']),
                           JSON | st.integers(1, 9) | st.just('VGG19'), max_size=4)


def only_user_errors(call):
    try:
        return call()
    except UserError as e:
        assert str(e) and '\n' not in str(e)


@MODEST
@given(st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_for_a_sidecar_are_answered_with_a_user_error(weights, content):
    shutil.copy(weights/'f.weights.h5', weights/'z.weights.h5')
    (weights/'z.json').write_bytes(content)
    only_user_errors(lambda: weightfiles.load(weights/'z'))


@MODEST
@given(st.dictionaries(FIELDS, JSON, max_size=3), st.none() | NETWORKS,
       st.sampled_from(['classifier', 'unet', 'attention']))
def test_any_values_in_a_sidecar_are_answered_with_weights_or_a_user_error(weights, changes, network, kind):
    about = {**GOOD, 'kind': kind, **({} if network is None else {'network': network}), **changes}
    shutil.copy(weights/'f.weights.h5', weights/'z.weights.h5')
    (weights/'z.json').write_text(json.dumps(about))
    only_user_errors(lambda: weightfiles.load(weights/'z'))


@settings(MODEST, max_examples=60)
@given(st.data())
def test_any_damage_to_weights_is_answered_with_weights_or_a_user_error(weights, data):
    content = bytearray((weights/'f.weights.h5').read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (weights/'z.weights.h5').write_bytes(content[:data.draw(st.integers(len(content)//2, len(content)))])
    (weights/'z.json').write_text(json.dumps(GOOD))
    only_user_errors(lambda: weightfiles.load(weights/'z'))


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    import tensorflow as tf
    output = str(tmp_path_factory.mktemp('fuzz')/'x')
    state = {'model': [tf.Variable([1., 2.]), tf.Variable(3.)]}
    checkpoints.write_checkpoint(toys.job(output), 7, state, {'history': [], 'seen': {}, 'attempt': 0,
                                                            'seconds': 1.})
    path = pathlib.Path(checkpoints.checkpoints(output)[0])
    return output, state, path, path.read_bytes()


@MODEST
@given(st.data())
def test_any_damage_to_a_checkpoint_is_passed_over_or_answered_with_a_user_error(checkpoint, data):
    output, state, path, sound = checkpoint
    content = bytearray(sound)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else len(content)
    path.write_bytes(content[:cut])
    found = only_user_errors(lambda: checkpoints.read_checkpoint(toys.job(output), state))
    assert found is None or found['step'] == 7 or content != sound


@MODEST
@given(st.dictionaries(st.sampled_from([*checkpoints.FIELDS]), JSON), JSON)
def test_whatever_a_checkpoint_says_is_passed_over_or_answered_with_a_user_error(checkpoint, changes, whole):
    output, state, path, _ = checkpoint
    about = {'settings': 's', 'precision': 'float32', 'history': [], 'seen': {}, 'attempt': 0, 'seconds': 1.,
             'step': 7, **changes}
    for said in (about, whole):
        file = io.BytesIO()
        arrays = {'model/0': np.ones(2, 'f4'), 'model/1': np.float32(1)}
        np.savez(file, about=np.array(json.dumps(said)), **arrays)
        path.write_bytes(file.getvalue())
        only_user_errors(lambda: checkpoints.read_checkpoint(toys.job(output), state))
        resumed = types.SimpleNamespace(output=output, resume=True)
        assert isinstance(checkpoints.attempts_used(resumed), int)
        assert checkpoints.kept_precision(output) in (None, 'float32', 'bfloat16', 'float16')


ROW = {'dataset': 'toy', 'method': 'x', 'seed': 0, 'test': 'original', 'n': 10, 'correct': 5, 'accuracy': 0.5,
       'settings': 's'}


@MODEST
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_for_rows_are_answered_with_rows_or_a_user_error(tmp_path_factory, content, headed):
    path = tmp_path_factory.mktemp('rows')/'r.csv'
    path.write_bytes((','.join(rowfile.ACCURACY).encode() + b'\n' if headed else b'') + content)
    rows = only_user_errors(lambda: rowfile.read(str(path)))
    assert rows is None or all(set(r) == set(rowfile.ACCURACY) and 0 <= r['accuracy'] <= 1 for r in rows)
    if only_user_errors(lambda: rowfile.append(str(path), ROW)):
        assert ROW in rowfile.read(str(path))


@functools.cache
def images():
    """The same picture in all formats."""
    im, found = Image.fromarray(np.random.RandomState(0).randint(0, 256, (20, 24, 3), np.uint8)), {}
    for form in photographs.FORMATS:
        file = io.BytesIO()
        im.save(file, form)
        found[form] = file.getvalue()
    return found


@pytest.mark.filterwarnings('ignore')   # of Pillow, which myfolder silences outside of pytest
@MODEST
@given(st.data())
def test_any_damage_to_an_image_is_answered_with_pixels_or_a_user_error(tmp_path_factory, data):
    content = bytearray(images()[data.draw(st.sampled_from(photographs.FORMATS))])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp()/'fuzzed'
    end = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else None
    path.write_bytes(content[:end])
    for read, channels in ((photographs.read_image, 3), (photographs.read_mask, 1)):
        pixels = only_user_errors(lambda read=read: read(str(path), 16))
        assert pixels is None or pixels.shape == (16, 16, channels)


NAMES = st.sampled_from(['cat', 'dog', 'CAT', 'x.png', 'x.jpg', 'y.png', '.png', 'a\nb', '\x1b[2J.png', ' ',
                         '-rf', '\udcff.png'])
PATHS = st.tuples(st.sampled_from(['train', 'test', 'test2', 'masks/train', 'backgrounds', '']), NAMES, NAMES)
CONTENTS = st.sampled_from(['image', 'junk', 'empty', 'folder', 'link', 'loop'])


@settings(MODEST, max_examples=100)
@given(st.dictionaries(PATHS, CONTENTS, max_size=8), st.booleans())
def test_any_folder_is_answered_with_a_data_set_or_a_user_error(tmp_path_factory, tree, skip_damaged):
    root = tmp_path_factory.mktemp('folder')
    photos(root)
    make = {'image': lambda p: shutil.copy(root/'train/cat/train0.png', p), 'empty': pathlib.Path.touch,
            'junk': lambda p: p.write_bytes(b'junk'), 'folder': pathlib.Path.mkdir,
            'link': lambda p: p.symlink_to('nowhere'), 'loop': lambda p: p.symlink_to('.')}
    for (split, name, file), content in tree.items():
        path = root/split/name/file
        with contextlib.suppress(OSError):   # a file stands where a folder would be
            path.parent.mkdir(parents=True, exist_ok=True)
            make[content](path)
    try:
        data = toys.load(f'folder:{root}', size=16, skip_damaged=skip_damaged)
    except UserError as e:   # below its first line, a report of all files
        lines = str(e).splitlines()
        assert all(re.match('  (damaged|error|warning): ', line) for line in lines[1:])
        assert all(line.isprintable() for line in lines)
        return
    assert len(data.classes) >= 2 and data.train.y.max() < len(data.classes)
    assert all(len(t.images()) for t in data.tests.values())

"""Weights on disk: the same network comes back, or one line says why not."""
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import toys
import mymodels
from common.errors import UserError
from common.quiet import keras
from common.tasks import Number
from training import weightfiles

ROOT = toys.ROOT
ABOUT = {'kind': 'classifier', 'dataset': 'toy', 'method': 'baseline', 'shape': [16, 16, 1],
         'classes': ['a', 'b', 'c'], 'network': {'width': 4, 'dense': 8}, 'seed': 0, 'settings': '12345678'}


@pytest.fixture
def saved(tmp_path):
    keras.utils.set_random_seed(1)
    model = mymodels.classifier((16, 16, 1), 3, width=4, dense=8)
    weightfiles.save(model, tmp_path/'w', **ABOUT)
    return model, str(tmp_path/'w')


@pytest.mark.slow
def test_weights_saved_here_give_equal_outputs_in_another_process(tmp_path):
    keras.utils.set_random_seed(2)
    x, models = np.random.RandomState(0).uniform(size=(3, 16, 16, 1)).astype(np.float32), {}
    for kind in weightfiles.BUILDERS:
        network = {'width': 4} if kind in weightfiles.MASKS else {'width': 4, 'dense': 8}
        asked = Number.angle(45., 10.).saved if kind == 'regressor' else {}
        about = {**ABOUT, 'kind': kind, 'network': network, **asked}
        models[kind] = weightfiles.BUILDERS[kind](about)
        weightfiles.save(models[kind], tmp_path/kind, **about)
    np.save(tmp_path/'x.npy', x)
    code = ('import sys, numpy as np\nfrom training import weightfiles\nx = np.load("x.npy")\n'
            'for kind in sys.argv[1:]:\n'
            '    np.save(kind, weightfiles.load(kind)[0](x).numpy())')
    subprocess.run([sys.executable, '-c', code, *models], cwd=tmp_path, check=True,
                   env={**os.environ, 'PYTHONPATH': ROOT})
    for kind, model in models.items():
        assert np.array_equal(np.load(tmp_path/f'{kind}.npy'), model(x).numpy()), kind


def test_the_sidecar_says_what_the_weights_are(saved):
    about = json.loads(pathlib.Path(saved[1] + '.json').read_text())
    assert about | ABOUT == about and {'tensorflow', 'keras', 'numpy', 'python'} <= set(about['versions'])
    assert len(about['sha256']) == 64 and about['date']
    assert sorted(os.listdir(os.path.dirname(saved[1]))) == ['w.json', 'w.weights.h5']   # nothing temporary


def test_weights_load_by_any_of_their_names(saved):
    for name in ('', '.weights.h5', '.json'):
        assert weightfiles.load(saved[1] + name)[1]['kind'] == 'classifier'


def like(**given):
    return {'like': weightfiles.Like(**{'shape': (16, 16, 1), **given})}


@pytest.mark.parametrize('asked, word', [
    ({'kind': 'unet'}, 'needed is unet'), ({'kind': ('unet', 'attention')}, 'unet or attention'),
    (like(shape=(32, 32, 1)), r'\(16, 16, 1\)'), (like(shape=(16, 16, 3)), '--size'),
    (like(classes=list('ab')), '3 classes'), (like(classes=list('abd')), 'other classes'),
    (like(classes=list('acb')), 'other classes'), (like(fit='pad'), '--fit crop')])
def test_weights_that_do_not_fit_what_is_asked_are_refused(saved, asked, word):
    with pytest.raises(UserError, match=word) as e:
        weightfiles.load(saved[1], **asked)
    assert '\n' not in str(e.value)


def test_weights_that_are_not_the_ones_of_the_sidecar_are_refused(saved, tmp_path):
    other = mymodels.classifier((16, 16, 1), 3, width=4, dense=8)
    weightfiles.save(other, tmp_path/'v', **ABOUT)
    os.replace(tmp_path/'v.weights.h5', saved[1] + '.weights.h5')
    with pytest.raises(UserError, match='is not the file'):
        weightfiles.load(saved[1])


def test_weights_of_a_wider_network_are_refused(saved):
    sidecar = pathlib.Path(saved[1] + '.json')
    about = json.loads(sidecar.read_text())
    del about['sha256']
    sidecar.write_text(json.dumps(about | {'network': {'width': 8, 'dense': 8}}))
    with pytest.raises(UserError, match='w.weights.h5'):
        weightfiles.load(saved[1])


def test_masks_of_large_photographs_are_found_on_smaller_copies(tmp_path):
    net = mymodels.unet((224, 224, 3), width=2, copy=64)
    assert net.get_layer('down0').output.shape[1:3] == (64, 64)   # copies of 64 pixels, whatever the side
    x = np.zeros((1, 224, 224, 3), np.float32)
    assert net(x).shape == (1, 224, 224, 1)
    about = {'kind': 'unet', 'network': {'width': 2, 'copy': 64}, 'shape': [224, 224, 3],
             'classes': ['a', 'b'], 'dataset': 'photos', 'method': 'unet', 'seed': 0}
    weightfiles.save(net, str(tmp_path/'u'), **about)
    assert np.allclose(weightfiles.load(str(tmp_path/'u'), 'unet')[0](x), net(x))

"""What several tests share: small runs on `toy`, photographs, and how a command refuses."""
import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from PIL import Image

import mydatasets
import mymodels
from common.quiet import keras
from mydatagen import Images
from readers.reading import Reading
from training import weightfiles

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TFDS = os.path.join(ROOT, '..', 'shared', 'tfds')
needs_tfds = pytest.mark.skipif(not os.path.isdir(TFDS), reason='../shared/tfds is not there')
SHAPE, CLASSES = (16, 16, 1), ['disk', 'square', 'cross']
FEW = ['--epochs', '2', '--steps-per-epoch', '2', '--batchsize', '12', '--quiet']
NETWORK = {'classifier': {'width': 4, 'dense': 8}, 'unet': {'width': 4}}
SCRIPTS = 'train1', 'train2', 'train3', 'train_att'


@functools.cache
def made():
    """{kind: weights} of a new mask network and a classifier that knows toy: phase 2 must see objects."""
    keras.config.set_dtype_policy('float32')
    keras.utils.set_random_seed(5)
    f, images = mymodels.classifier(SHAPE, 3, **NETWORK['classifier']), mydatasets.load('toy').train
    f.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    f.fit(images.x/np.float32(255), images.y, 48, 25, verbose=0)
    return {'classifier': f.get_weights(), 'unet': mymodels.unet(SHAPE, 4).get_weights()}


def parents(folder):
    """[classifier, mask generator]: names of weights of toy that now lie in the folder."""
    keras.config.set_dtype_policy('float32')
    builders = {'classifier': lambda n: mymodels.classifier(SHAPE, 3, **n),
                'unet': lambda n: mymodels.unet(SHAPE, **n)}
    for kind, weights in made().items():
        model = builders[kind](NETWORK[kind])
        model.set_weights(weights)
        weightfiles.save(model, os.path.join(folder, kind), kind=kind, dataset='toy', method=kind, seed=0,
                       shape=list(SHAPE), classes=CLASSES, network=NETWORK[kind], settings=kind)
    return [os.path.join(folder, kind) for kind in NETWORK]


def classifier():
    """A classifier that knows plain images of toy well and has never seen a background."""
    net = mymodels.classifier(SHAPE, 3, **NETWORK['classifier'])
    net.set_weights(made()['classifier'])
    return net


def in_colour(masks=True, n=9):
    """A Dataset whose only test is n photographs of 16 pixels, two classes by turns, their objects 5 x 6."""
    random = np.random.RandomState(0)
    x, m = random.randint(0, 256, (n, 16, 16, 3)).astype(np.uint8), np.zeros((n, 16, 16, 1), np.uint8)
    m[:, 4:9, 5:11] = 255
    test = mydatasets.Test(lambda: Images(x, np.arange(n, dtype=np.int32) % 2, m if masks else None))
    return mydatasets.load('toy')._replace(shape=(16, 16, 3), name='photos', tests={'test-studio': test})


COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]])


def coloured(n, seed, ground=None, thing=None):
    """Photographs of squares on a ground, and their masks: the colours are those of the class, or, where
    `ground` or `thing` is false, of a random one."""
    random = np.random.RandomState(seed)
    y = np.arange(n, dtype=np.int32) % len(COLOURS)
    grounds, things = (y if own else random.randint(len(COLOURS), size=n) for own in (ground, thing))
    m = np.zeros((n, 16, 16, 1), np.uint8)
    for one, (r, c) in zip(m, random.randint(1, 8, (n, 2))):
        one[r:r + 7, c:c + 7] = 255
    x = np.where(m > 0, 255 - COLOURS[things][:, None, None], COLOURS[grounds][:, None, None])
    return Images(np.clip(x + random.randint(-30, 31, x.shape), 0, 255).astype(np.uint8), y, m)


def folder_of(images, root, split, classes, masks=True):
    """Writes Images as one split of a folder data set, with their masks."""
    for i, (x, y, m) in enumerate(zip(images.x, images.y, images.m)):
        for part, pixels in ((split, x), *([(os.path.join('masks', split), m[..., 0])] if masks else [])):
            os.makedirs(os.path.join(root, part, classes[y]), exist_ok=True)
            Image.fromarray(pixels).save(os.path.join(root, part, classes[y], f'{i}.png'))


def load(name, data_dir=None, limit=None, **reading):
    """The Dataset of a name. reading: the other fields of a Reading."""
    return mydatasets.load(name, Reading(data_dir, **reading), limit)


def photographs(root, side=16, each=16, seed=0):
    """The root of a folder data set of noise, two classes, `each` training photographs of each."""
    random = np.random.RandomState(seed)
    for split, n in (('train', each), ('test', 2)):
        for name in ('cat', 'dog'):
            os.makedirs(os.path.join(root, split, name), exist_ok=True)
            for i in range(n):
                pixels = random.randint(0, 255, (side + seed, side, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(os.path.join(root, split, name, f'{i}.png'))
    return root


def job(output, fingerprint='s'):
    """As much of a training.start.Job as checkpoints ask for."""
    return types.SimpleNamespace(args=types.SimpleNamespace(output=str(output), precision='float32'),
                                 fingerprint=fingerprint, identity={'precision': 'float32'})


def argv(script, folder, output, *more):
    """The command line of a quick run of a trainer, its parents being in the folder."""
    f, u = (os.path.join(folder, kind) for kind in ('classifier', 'unet'))
    own = {'train1': ['--width', '4', '--dense', '8'], 'train2': [f, '--width', '4', '--binarize', 'none'],
           'train3': [f, u, 'otsu', 'adv', 'textures', '--pool', '8', '--fresh', '2'],
           'train_att': ['--global-classifier', f]}[script]
    return ['toy', *own, *FEW, '--output', os.path.join(folder, output), *map(str, more)]


def spawn(script, words, **options):
    """The script in a process of its own; its output as text in pipes."""
    return subprocess.Popen([sys.executable, os.path.join(ROOT, script + '.py'), *map(str, words)], cwd=ROOT,
                            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def result(output):
    """What finished runs are compared by, bit for bit: arrays, history without times, sidecar's figures."""
    import h5py
    arrays = {}
    with h5py.File(output + '.weights.h5') as f:
        f.visititems(lambda name, item: arrays.update(
            {name: item[()]} if isinstance(item, h5py.Dataset) else {}))
    with open(output + '.history.json') as f:
        history = [{k: v for k, v in line.items() if k != 'seconds'} for line in json.load(f)]
    with open(output + '.json') as f:
        about = json.load(f)
    return {'arrays': {k: (str(v.dtype), v.shape, v.tobytes()) for k, v in arrays.items()},
            'history': history, 'validation': about['validation'], 'settings': about['settings'],
            'area': about.get('area')}


def differences(a, b):
    """Names of what differs between two results; empty when they are equal bit for bit."""
    found = [k for k in sorted(a.keys() | b.keys()) if k != 'arrays' and a.get(k) != b.get(k)]
    names = a['arrays'].keys() | b['arrays'].keys()
    return found + [k for k in sorted(names) if a['arrays'].get(k) != b['arrays'].get(k)]


def values(*networks):
    """Copies of all weights."""
    return [np.array(v) for n in networks for v in n.variables]


def moved(before, *networks):
    """For each weight: has it changed?"""
    return [not np.array_equal(a, b) for a, b in zip(before, values(*networks), strict=True)]


def gauges(root, n=24, side=16, tests=('test',)):
    """A folder of bright bars whose height is the number; its name as a data set."""
    random = np.random.RandomState(0)
    for split in ('train', *tests):
        os.makedirs(root/split/'a', exist_ok=True)
        lines = ['path,value']
        for i in range(n):
            high = random.randint(2, side - 4)
            pixels = np.full((side, side, 3), 40, np.uint8)
            pixels[side - 2 - high:side - 2, 6:10] = random.randint(150, 255)
            pixels[0, 0] = i, random.randint(255), 0   # no two alike
            Image.fromarray(pixels).save(root/split/'a'/f'{i}.png')
            lines.append(f'a/{i}.png,{100 + 10*high}')
        (root/split/'targets.csv').write_text('\n'.join(lines) + '\n')
    return f'folder:{root}'


def error_of(main, *words):
    """The one line with which a command refuses, exit code 2: what is wrong; how to mend it."""
    with contextlib.redirect_stderr(io.StringIO()) as e:
        assert main([*map(str, words)]) == 2
    line, = e.getvalue().splitlines()
    assert line.startswith('error: ') and ';' in line, line
    return line


def text_of(name):
    with open(os.path.join(ROOT, name)) as f:
        return f.read()

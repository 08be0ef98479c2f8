"""Sets that tensorflow-datasets lacks: `digits` and `toy`, which need nothing, and those without a public
download, from files that the user puts in place."""
import functools
import os

import numpy as np

from common.errors import brief, UserError
from common.quiet import tf
from readers import folders, photographs
from readers.splits import SPLIT_SEED

SYNSIGNS_TRAIN, SYNSIGNS_CLASSES, SIGN_SIDE = 0.75, 43, 64   # the published code's share, and side of colours
CHUNK = 4096             # images resized at once
INSULATORS = 'IPL', 'IPN', 'IPV', 'ISB'
PRATES = {'train': (1,), 'test-a': (3,), 'test-b': (2, 4)}   # split: numbers of its folders
PRATES_SIDE = 224


@functools.lru_cache(maxsize=4)
def _digits():
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits
    small = load_digits()
    x = zoom(small.images/16, (1, 3, 3), order=3, grid_mode=True, mode='nearest').clip(0, 1)
    x[x < 0.05] = 0
    x = np.pad(np.round(x*255).astype(np.uint8), ((0, 0), (4, 4), (4, 4)))[..., None]
    order = np.random.RandomState(SPLIT_SEED).permutation(len(x))
    return x[order], small.target[order].astype(np.int32)


def digits(split, size, data_dir):
    """scikit-learn's 1,797 real digits, 8x8 brought to 24x24 by cubic splines and padded to 32x32."""
    x, y = _digits()
    cut = round(0.8*len(x))
    part = slice(cut) if split == 'train' else slice(cut, None)
    return _resized(x[part], size or 32), y[part], [str(i) for i in range(10)]


def toy(split, size, data_dir):
    """Disks, squares and crosses of random size, place and brightness, 16x16 by default: for tests."""
    side, n = size or 16, 320 if split == 'train' else 96
    random = np.random.RandomState(split == 'train')
    y = np.arange(n, dtype=np.int32) % 3
    r = side*random.uniform(0.14, 0.22, (n, 1, 1))
    cx, cy = side*random.uniform(0.4, 0.6, (2, n, 1, 1))
    dy, dx = abs(np.mgrid[:side, :side][:, None] + 0.5 - np.stack([cy, cx]))
    square = np.maximum(dx, dy) < r
    shapes = dx**2 + dy**2 < r**2, square, (np.minimum(dx, dy) < r/3) & square
    inside = np.choose(y[:, None, None], shapes)
    x = (inside*random.uniform(128, 255, (n, 1, 1))).astype(np.uint8)[..., None]
    return x, y, ['disk', 'square', 'cross']


def place(name, data_dir=None):
    """The folder of a set: beside those of tensorflow-datasets."""
    data_dir = data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
    return os.path.join(os.path.expanduser(data_dir), name)


def _missing(name, what, folder):
    return UserError(f'{name} has no public download; put {what} under {folder} (--data-dir or TFDS_DATA_DIR '
                     'sets the folder above it), or train/<class>/* and test/<class>/* and use '
                     f'folder:{folder}')


def synthdigits(split, size, data_dir):
    """Synthetic digits (Ganin and Lempitsky 2015) in SVHN's form: X uint8 (h, w, 3, n), y (n, 1)."""
    from scipy.io import loadmat   # late: half a second
    folder, file = place('synthdigits', data_dir), f'synth_{split}_32x32.mat'
    path = os.path.join(folder, file)
    if not os.path.isfile(path):
        raise _missing('synthdigits', 'synth_train_32x32.mat and synth_test_32x32.mat', folder)
    try:
        found = loadmat(path, variable_names=['X', 'y'])
        x, y = np.ascontiguousarray(np.moveaxis(found['X'], 3, 0)), found['y'].ravel().astype(np.int32)
        y[y == 10] = 0   # as SVHN counts
        if x.dtype != np.uint8 or x.shape[3] != 3 or len(x) != len(y) or not 0 <= y.min() <= y.max() <= 9:
            raise ValueError('it holds no uint8 X (h, w, 3, n) and y from 0 to 10')
    except Exception as e:   # damage makes the reader raise nearly anything
        raise UserError(f'{path} is damaged ({brief(e)}); copy it again') from e
    return _resized(x, size or 32), y, [str(i) for i in range(10)]


def _resized(x, side):
    if x.shape[1:3] == (side, side):
        return x
    out = np.empty((len(x), side, side, x.shape[3]), np.uint8)
    for i in range(0, len(x), CHUNK):
        part = tf.image.resize(x[i:i + CHUNK], (side, side), antialias=True)
        out[i:i + CHUNK] = tf.clip_by_value(tf.round(part), 0, 255)
    return out


def synsigns(split, size, data_dir):
    """Synthetic signs (Moiseev et al. 2013), numbered as GTSRB; 75 % of them are training images."""
    folder = place('synsigns', data_dir)
    found = [p for p in (folder, os.path.join(folder, 'synthetic_data'))
             if os.path.isfile(os.path.join(p, 'train_labelling.txt'))]
    if not found:
        raise _missing('synsigns', 'train_labelling.txt and the images that it lists', folder)
    listed = os.path.join(found[0], 'train_labelling.txt')
    try:
        with open(listed, encoding='utf-8') as f:
            lines = [line.split() for line in f if line.strip()]
        names, y = [line[0] for line in lines], np.array([int(line[1]) for line in lines], np.int32)
        if not 0 <= y.min() <= y.max() < SYNSIGNS_CLASSES:
            raise ValueError(f'classes must be 0 to {SYNSIGNS_CLASSES - 1}')
        if any(os.path.isabs(n) or '..' in n.split('/') for n in names):
            raise ValueError('images must lie beside it')
    except (OSError, ValueError, IndexError) as e:
        raise UserError(f'{listed}: no lines `image class` ({brief(e)}); copy it again') from e
    order = np.random.RandomState(SPLIT_SEED).permutation(len(y))
    cut = round(SYNSIGNS_TRAIN*len(y))
    rows = np.sort(order[:cut] if split == 'train' else order[cut:])
    side = size or SIGN_SIDE
    x = photographs.read_all([os.path.join(found[0], names[i]) for i in rows],
                          lambda path: photographs.read_image(path, side))
    return x, y[rows], [str(i) for i in range(SYNSIGNS_CLASSES)]


def prates(data_dir=None):
    """The paper's insulators as a Folder: trained on in the laboratory (1), tested outdoors (2 to 4)."""
    root = place('prates', data_dir)
    components = os.path.join(root, 'components')
    places = {split: [(os.path.join(components, f'data_{c}_{n}'), i) for n in numbers
                      for i, c in enumerate(INSULATORS)] for split, numbers in PRATES.items()}
    empty = [f for several in places.values() for f, _ in several if not folders.pictures_below(f)]
    if empty:
        raise _missing('prates', f'the photographs of components/{os.path.basename(empty[0])}'
                       + (f' and {len(empty) - 1} more folders' if len(empty) > 1 else ''), root)
    splits = {}
    for split, several in places.items():
        pairs = [(p, i) for f, i in several for p in folders.pictures_below(f)]
        splits[split] = folders.Files([p for p, _ in pairs], np.array([i for _, i in pairs], np.int32), None)
    return folders.Folder(root, list(INSULATORS), splits,
                           folders.pictures_below(os.path.join(components, 'bg')))

"""Data sets by name: training and validation images in memory (or on disk), and the named test sets."""
from mycommon import UserError  # first: it quietens TensorFlow

import difflib
import functools
import os
import sys
from typing import NamedTuple

import numpy as np
import tensorflow as tf

import mybackgrounds
from mydatagen import Images, in_order, to_float

SPLIT_SEED = 2020          # of the split into training and validation images, the same in all phases
VALIDATION_SHARE = 0.1
HALO = 2                   # pixels around the object that a test background leaves untouched
CROPS_SEED = 7


class Test(NamedTuple):
    """images(): the test images, read when they are first needed; paste: (x, rows) -> x on its background."""
    images: object
    paste: object = None

    def batches(self, batchsize=512):
        """tf.data of {'x' float32 [0, 1], 'y', 'i'[, 'm']}, composed batch by batch."""
        def finish(batch):
            x = to_float(batch['x'])
            return {**batch, 'x': x if self.paste is None else self.paste(x, batch['i'])}
        return in_order(self.images(), batchsize).map(finish, tf.data.AUTOTUNE, deterministic=True)


class Dataset(NamedTuple):
    name: str
    train: Images
    validation: Images
    tests: dict[str, Test]          # in the order of the tables
    classes: list[str]
    shape: tuple[int, int, int]
    flip: bool                      # may the objects be mirrored?
    masks: bool                     # do the training images bring masks?
    backgrounds: np.ndarray | None  # uint8 (k, H, W, c) photographs for `real`

    @property
    def monochrome(self):
        return self.shape[-1] == 1


class Source(NamedTuple):
    """Where a named set comes from. read(split, size, data_dir) -> (x uint8, y int32, classes)."""
    read: object
    splits: tuple = ('train', 'test')
    side: int | None = None         # None: as stored, 28 padded to 32
    flip: bool = False
    drop: tuple = ()                # classes left out (pairs)
    order: tuple | None = None      # classes brought to this order (pairs)


def pad32(x):
    """28x28 images zero-padded to 32x32."""
    return np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))) if x.shape[1] == 28 else x


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
    return x[part], y[part], [str(i) for i in range(10)]


def toy(split, size, data_dir):
    """Disks, squares and crosses of random size, place and brightness, 16x16 by default: for tests."""
    side, n = size or 16, 320 if split == 'train' else 96
    random = np.random.RandomState(split == 'train')
    y = np.arange(n, dtype=np.int32) % 3
    r = side*random.uniform(0.14, 0.22, (n, 1, 1))
    cx, cy = side*random.uniform(0.4, 0.6, (2, n, 1, 1))
    dy, dx = abs(np.mgrid[:side, :side][:, None] + 0.5 - np.stack([cy, cx]))
    shapes = dx**2 + dy**2 < r**2, np.maximum(dx, dy) < r, (np.minimum(dx, dy) < r/3) & (np.maximum(dx, dy) < r)
    inside = np.choose(y[:, None, None], shapes)
    return (inside*random.uniform(128, 255, (n, 1, 1))).astype(np.uint8)[..., None], y, ['disk', 'square', 'cross']


def from_tfds(name, **keep):
    """Reader of a prepared tensorflow-datasets set; says what to do when it is neither here nor reachable."""
    def read(split, size, data_dir):
        builder = _builder(name, data_dir)
        features, classes = builder.info.features, None
        if 'image' not in features or 'label' not in features:
            raise UserError(f'{name} has no `image` and `label`, so it is no image classification set; take another')
        classes = list(features['label'].names or map(str, range(features['label'].num_classes or 0)))
        side = size or keep.get('side') or features['image'].shape[0]
        if not side:
            raise UserError(f'the images of {name} have no fixed size; give one with --size 64')

        def prepare(item):
            x = item['image']
            if x.shape[0] != side or x.shape[1] != side:
                x = tf.image.resize(x, (side, side), antialias=True)
                x = tf.cast(tf.clip_by_value(tf.round(x), 0, 255), tf.uint8)
            return x, tf.cast(item['label'], tf.int32)
        try:
            data = builder.as_dataset(split=split, shuffle_files=False).map(prepare, tf.data.AUTOTUNE)
            xs, ys = zip(*((x.numpy(), y.numpy()) for x, y in data.batch(1024)))
        except (tf.errors.OpError, ValueError, KeyError, AssertionError, OSError) as e:
            raise UserError(f'data set {name} in {builder.data_dir} is damaged ({str(e).splitlines()[0][:120]}); '
                            'delete that folder and prepare it again') from e
        return np.concatenate(xs), np.concatenate(ys), classes
    return read


def _builder(name, data_dir):
    """A prepared builder, downloading after a word to the user if the network is there."""
    import tensorflow_datasets as tfds
    data_dir = data_dir or os.environ.get('TFDS_DATA_DIR')
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        prepared = builder.is_prepared()
    except tfds.core.DatasetNotFoundError as e:
        raise UserError(f'tensorflow-datasets knows no set {name!r}; see its catalogue for names') from e
    except (KeyError, ValueError, OSError, AssertionError) as e:
        raise UserError(f'the folder of {name} in {data_dir or "~/tensorflow_datasets"} is damaged '
                        f'({str(e).splitlines()[0][:100]}); delete it and prepare it again') from e
    if not prepared:
        _demand_network(name, builder)
        print(f'downloading {name} to {builder.data_dir} ...', file=sys.stderr, flush=True)
        try:
            builder.download_and_prepare()
        except Exception as e:   # checksums, servers, disks: whatever it was, the mend is the same
            raise UserError(f'download of {name} failed ({str(e).splitlines()[0][:120]}); prepare it on a machine with '
                            f'a network and copy it to {builder.data_dir}, or use digits, which needs nothing') from e
    return builder


def _demand_network(name, builder):
    """TFDS would be silent for minutes without a network: ask the name server first, with a short wait."""
    import socket
    import threading
    from urllib.parse import urlparse
    urls = [u for u in getattr(builder, 'url_infos', {})] or ['https://www.tensorflow.org']
    host = urlparse(next(iter(urls))).hostname
    reached = []

    def look():
        try:
            socket.create_connection((host, 443), timeout=1.5).close()
            reached.append(True)
        except OSError:
            pass
    thread = threading.Thread(target=look, daemon=True)   # name look-ups have no time-out of their own
    thread.start()
    thread.join(2)
    if not reached:
        raise UserError(f'data set {name} is not prepared and there is no network to {host}; prepare it elsewhere '
                        f'with tensorflow-datasets and copy it to {builder.data_dir} (or set --data-dir or '
                        'TFDS_DATA_DIR), or use `digits`, which needs nothing')


def missing_files(name, what):
    """Reader of a set that no public download is known for."""
    def read(split, size, data_dir):
        folder = os.path.join(data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets', name)
        raise UserError(f'{name} has no public download: put {what} under {folder} and use folder:{folder}')
    return read


CIFAR_ORDER = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'horse', 'ship', 'truck')

SOURCES = {
    'digits': Source(digits),
    'toy': Source(toy),
    'mnist': Source(from_tfds('mnist')),
    'fashionmnist': Source(from_tfds('fashion_mnist'), flip=True),
    'kmnist': Source(from_tfds('kmnist')),
    'cifar10': Source(from_tfds('cifar10', side=64), flip=True),
    'stl10': Source(from_tfds('stl10', side=64), flip=True),
    'svhn': Source(from_tfds('svhn_cropped')),
    'dogsvscatsredux': Source(from_tfds('cats_vs_dogs', side=64), ('train[:75%]', 'train[75%:]'), flip=True),
    'gtsrb': Source(from_tfds('visual_domain_decathlon/gtsrb', side=64), ('train', 'validation')),
    'synthdigits': Source(missing_files('synthdigits', 'train/<class>/* and test/<class>/* images')),
    'synsigns': Source(missing_files('synsigns', 'train/<class>/* and test/<class>/* images (75 and 25 %)')),
    'prates': Source(missing_files('prates', 'components/data_<IPL,IPN,IPV,ISB>_<1..4>/* as train/<class>/* (1), '
                                   'test-a/<class>/* (3) and test-b/<class>/* (2, 4), and bg/* as backgrounds/*')),
}
PAIRS = ('cifar10_stl10', 'stl10_cifar10', 'svhn_synthdigits', 'synthdigits_svhn', 'gtsrb_synsigns')


def names():
    return [*SOURCES, *PAIRS, 'tfds:NAME', 'folder:PATH']


def find(name):
    """(Source, name without its test suffix, the suffix: `backgrounds`, `noises` or '')."""
    base, suffix = name, ''
    for ending in ('backgrounds', 'noises'):
        if name.endswith('_' + ending):
            base, suffix = name.removesuffix('_' + ending), ending
    if base.startswith('tfds:') or base.startswith('emnist/'):
        return Source(from_tfds(base.removeprefix('tfds:'))), base, suffix
    if base not in SOURCES:
        close = difflib.get_close_matches(base, names(), 1)
        hint = f'did you mean {close[0]}?' if close else f'known are {", ".join(names())}'
        raise UserError(f'no data set {name!r}; {hint}')
    return SOURCES[base], base, suffix


@functools.lru_cache(maxsize=8)
def _read(name, split, size, data_dir):
    """(x, y, classes) of one split, read once a process."""
    source = find(name)[0]
    x, y, classes = source.read(source.splits[split], size, data_dir)
    x = x if size else pad32(x)
    keep = [c for c in range(len(classes)) if classes[c] not in source.drop]
    if source.drop or source.order:
        rank = sorted(keep, key=lambda c: source.order.index(classes[c]))
        rows = np.isin(y, keep)
        lookup = np.full(len(classes), -1, np.int32)
        lookup[rank] = np.arange(len(rank))
        x, y, classes = x[rows], lookup[y[rows]], [classes[c] for c in rank]
    return x, y, classes


def split_rows(y, share=VALIDATION_SHARE):
    """(training rows, validation rows): `share` of every class, at least one, by SPLIT_SEED alone."""
    order = np.random.RandomState(SPLIT_SEED).permutation(len(y))
    held = np.zeros(len(y), bool)
    for c in np.unique(y):
        mine = order[y[order] == c]
        held[mine[:max(1, round(share*len(mine)))]] = True
    return np.sort(order[~held[order]]), np.sort(order[held[order]])


def limited(y, limit):
    """The rows of a subset of `limit` images, classes in turn, so that a small one still has all of them."""
    if limit is None:
        return np.arange(len(y))
    if limit < 2*len(np.unique(y)):
        raise UserError(f'--limit {limit} leaves less than two images a class; use {2*len(np.unique(y))} or more')
    rank = np.zeros(len(y), int)
    for c in np.unique(y):
        rank[y == c] = np.arange((y == c).sum())
    return np.sort(np.lexsort((np.arange(len(y)), rank))[:limit])


def paste(pattern, halo=HALO):
    """A pattern (h, w) -> function that lays it behind x > 0 grown by `halo` pixels (monochrome images)."""
    b = tf.constant(pattern, tf.float32)[None, :, :, None]

    def onto(x, rows):
        m = mybackgrounds.dilate(tf.cast(x > 0, tf.float32), halo)
        return mybackgrounds.compose(x, m, b)
    return onto


def _tests(images, suffix, side):
    if suffix == 'noises':
        return {f'noise-{r:g}': Test(images, paste(mybackgrounds.salt_and_pepper(side, r)))
                for r in mybackgrounds.NOISE_RATES}
    tests = {'original': Test(images)}
    if suffix == 'backgrounds':
        tests |= {k: Test(images, paste(p(side))) for k, p in mybackgrounds.PATTERNS.items()}
    return tests


def load(name, data_dir=None, size=None, limit=None, **folder_options):
    """The named Dataset. Training and validation images are read now, tests when they are first used.

    limit: number of training images, before the validation images are held out. Errors: UserError.
    """
    if name.startswith('folder:'):
        return _load_folder(name, size, limit, **folder_options)
    source, base, suffix = find(name)
    x, y, classes = _read(base, 0, size, data_dir)
    rows = limited(y, limit)
    train, validation = (Images(x[rows[r]], y[rows[r]]) for r in split_rows(y[rows]))
    if suffix and x.shape[-1] != 1:
        raise UserError(f'{name}: the patterns are made for monochrome sets, {base} is in colour; use {base}')

    def test_images():
        return Images(*_read(base, 1, size, data_dir)[:2])
    return Dataset(name, train, validation, _tests(test_images, suffix, x.shape[1]), classes, x.shape[1:],
                   source.flip, False, None)

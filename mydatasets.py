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
import myfolder
from mydatagen import Images, in_order, to_float
from mytfds import from_tfds

SPLIT_SEED = 2020          # of the split into training and validation images, the same in all phases
VALIDATION_SHARE = 0.1
HALO = 2                   # pixels around the object that a test background leaves untouched
FOLDER_SIDE = 64           # pixels, unless --size
MEMORY_BYTES = 2_000_000_000   # decoded photographs of one split that may stay in memory; more are streamed


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
    square = np.maximum(dx, dy) < r
    shapes = dx**2 + dy**2 < r**2, square, (np.minimum(dx, dy) < r/3) & square
    inside = np.choose(y[:, None, None], shapes)
    x = (inside*random.uniform(128, 255, (n, 1, 1))).astype(np.uint8)[..., None]
    return x, y, ['disk', 'square', 'cross']


def missing_files(name, what):
    """Reader of a set that no public download is known for."""
    def read(split, size, data_dir):
        folder = os.path.join(data_dir or os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets', name)
        raise UserError(f'{name} has no public download; put {what} under {folder} and use folder:{folder}')
    return read


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
    'prates': Source(missing_files('prates', 'components/data_<IPL,IPN,IPV,ISB>_<1..4>/* as '
                                   'train/<class>/* (1), test-a/<class>/* (3) and test-b/<class>/* (2, 4), '
                                   'and bg/* as backgrounds/*')),
}
# train on the first, test on both; classes that both have, in one order
STL10_TO_CIFAR10 = {'car': 'automobile'}
PAIRS = {
    'cifar10_stl10': ('cifar10', 'stl10'), 'stl10_cifar10': ('stl10', 'cifar10'),
    'svhn_synthdigits': ('svhn', 'synthdigits'), 'synthdigits_svhn': ('synthdigits', 'svhn'),
    'gtsrb_synsigns': ('gtsrb', 'synsigns'),
}


def names():
    return [*SOURCES, *PAIRS, 'tfds:NAME', 'folder:PATH']


def of_photographs(name):
    """Is it a folder of photographs, so that `skip_damaged` and `backgrounds` mean something?"""
    return name.startswith('folder:')


def find(name):
    """(Source, name without its test suffix, the suffix: `backgrounds`, `noises` or '')."""
    base, suffix = name, ''
    for ending in ('backgrounds', 'noises'):
        if name.endswith('_' + ending):
            base, suffix = name.removesuffix('_' + ending), ending
    if base.startswith(('tfds:', 'emnist/')):
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
    return x if size else pad32(x), y, classes


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
        raise UserError(f'--limit {limit} leaves less than two images a class; use {2*len(np.unique(y))} '
                        'or more')
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


def load(name, data_dir=None, size=None, limit=None, train=True, **folder_options):
    """The named Dataset. Training and validation images are read now, tests when they are first used.

    limit: number of training images, before the validation images are held out. train: False leaves them out
    where only tests are needed (named sets). Errors: UserError.
    """
    if name.startswith('folder:'):
        return _load_folder(name, size, limit, **folder_options)
    if name in PAIRS:
        return _load_pair(name, data_dir, size, limit)
    source, base, suffix = find(name)
    x, y, classes = _read(base, 0 if train else 1, size, data_dir)
    rows = limited(y, limit)
    parts = [Images(x[rows[r]], y[rows[r]]) for r in split_rows(y[rows])] if train else (None, None)
    if suffix and x.shape[-1] != 1:
        raise UserError(f'{name}: the patterns are made for monochrome sets, {base} is in colour; use {base}')

    def test_images():
        return Images(*_read(base, 1, size, data_dir)[:2])
    return Dataset(name, *parts, _tests(test_images, suffix, x.shape[1]), classes, x.shape[1:],
                   source.flip, False, None)


def _load_pair(name, data_dir, size, limit):
    """Train on the first set of a pair, test on both; only classes that both have, in the first one's order.

    STL-10 lacks CIFAR-10's frog and has a monkey, and its bird stands before its car: names decide, not
    numbers.
    """
    def classes_of(base):
        classes = _read(base, 1, size, data_dir)[2]
        return [STL10_TO_CIFAR10.get(c, c) for c in classes]
    first, second = PAIRS[name]
    names_of = {base: classes_of(base) for base in (first, second)}
    common = [c for c in names_of[first] if c in names_of[second]]
    if len(common) < 2:
        raise UserError(f'{name}: the two sets have less than two classes in common; name them alike')

    def matched(base, split):
        x, y, _ = _read(base, split, size, data_dir)
        number = np.array([common.index(c) if c in common else -1 for c in names_of[base]], np.int32)
        keep = number[y] >= 0
        return x[keep], number[y[keep]]
    x, y = matched(first, 0)
    rows = limited(y, limit)
    train, validation = (Images(x[rows[r]], y[rows[r]]) for r in split_rows(y[rows]))
    if matched(second, 1)[0].shape[1:] != x.shape[1:]:
        raise UserError(f'{name}: {first} and {second} have images of other sizes; give one with --size')
    tests = {base: Test(lambda base=base: Images(*matched(base, 1))) for base in (first, second)}
    return Dataset(name, train, validation, tests, common, x.shape[1:], find(first)[0].flip, False, None)


# Folders of photographs

def _load_folder(name, size, limit, skip_damaged=False, backgrounds=None, fit='crop'):
    """PATH/train, /test*, /masks, /backgrounds as a Dataset; photographs too many to hold are streamed."""
    size = size or FOLDER_SIDE
    folder, problems = _checked(name.removeprefix('folder:'), skip_damaged)
    for line in problems:
        print(f'note: {line}', file=sys.stderr)
    files = folder.splits['train']
    rows = limited(files.labels, limit)
    held = len(rows)*size*size*3 <= MEMORY_BYTES

    def images(files, rows):
        paths, m = [files.paths[i] for i in rows], None
        if files.masks:
            m = _pixels(tuple(files.masks[i] for i in rows), myfolder.read_mask, size, fit)
        if held:
            return Images(_pixels(tuple(paths), myfolder.read_image, size, fit), files.labels[rows], m)
        return Images(paths, files.labels[rows], m, lambda path: myfolder.read_image(path, size, 3, fit),
                      (size, size, 3))
    train, validation = (images(files, rows[r]) for r in split_rows(files.labels[rows]))
    tests = {split: Test(lambda f=f: images(f, np.arange(len(f.labels))))
             for split, f in folder.splits.items() if split != 'train'}
    pictures = myfolder.pictures_in(backgrounds) if backgrounds else folder.backgrounds
    crops = myfolder.crops(pictures, 2*size) if pictures else None
    return Dataset(name, train, validation, tests, folder.classes, (size, size, 3), False,
                   files.masks is not None, crops)


def photographs(path, shape):
    """The photographs of a folder as uint8 (k, H, W, c), twice as large as images of this shape."""
    return myfolder.crops(myfolder.pictures_in(path), 2*shape[0], shape[2])


@functools.lru_cache(maxsize=4)
def _checked(path, skip_damaged):
    return myfolder.check(myfolder.scan(path), skip_damaged)


@functools.lru_cache(maxsize=8)
def _pixels(paths, reader, size, fit):
    """Decoded once a process. paths: a tuple."""
    if reader is myfolder.read_mask:
        return myfolder.read_all(list(paths), lambda p: reader(p, size, fit))
    return myfolder.read_all(list(paths), lambda p: reader(p, size, 3, fit))


if __name__ == '__main__':
    import mysheets   # late: it needs this module under its own name
    sys.exit(mysheets.main())

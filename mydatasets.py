"""Data sets by name: training and validation images in memory (or on disk), and the named test sets."""
import difflib
import functools
import re
import sys
from typing import NamedTuple

import numpy as np

import mybackgrounds
from common import geometry, patterns
from common.errors import UserError
from common.quiet import tf
from common.tasks import Classes, Number
from mydatagen import Images, Test
from readers import angles, folders, photographs, targets
from readers.catalogue import from_tfds
from readers.frames import pad32
from readers.reading import Reading
from readers.sources import digits, prates, PRATES_SIDE, synsigns, synthdigits, toy
from readers.splits import limited, split_rows

PLAIN = Reading()          # images as their set brings them
WHITE = 238/255            # product photographs stand on white of at least that, in all channels
HALO = 2                   # pixels around the object that a test background leaves untouched
FOLDER_SIDE = 64           # pixels, unless --size
MEMORY_BYTES = 1_000_000_000   # decoded photographs of a folder that may stay in memory; more are streamed
MASK_BYTES = MEMORY_BYTES//4   # of the masks of one streamed split


def label(dataset):
    """A data set's name as part of a file name."""
    return re.sub(r'[^\w.-]+', '-', dataset.removeprefix('folder:').rstrip('/').split('/')[-1]
                  if dataset.startswith('folder:') else dataset)


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
    fit: str | None = None          # how photographs were made square; None: the images were square
    asked: object = None            # the task of f (common.tasks); None: to tell the classes

    @property
    def monochrome(self):
        return self.shape[-1] == 1

    @property
    def task(self):
        return self.asked or Classes(tuple(self.classes))


class Source(NamedTuple):
    """Where a named set comes from. read(split, size, data_dir) -> (x uint8, y int32, classes)."""
    read: object
    splits: tuple = ('train', 'test')
    side: int | None = None         # None: as stored, 28 padded to 32
    flip: bool = False
    turned: bool = False            # by angles, which are what is asked for


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
    'synthdigits': Source(synthdigits),
    'synsigns': Source(synsigns),
}
SOURCES |= {f'{s}_angle': SOURCES[s]._replace(turned=True) for s in ('mnist', 'fashionmnist', 'digits')}
# train on the first, test on both, with the classes that both have
STL10_TO_CIFAR10 = {'car': 'automobile'}
PAIRS = {
    'cifar10_stl10': ('cifar10', 'stl10'), 'stl10_cifar10': ('stl10', 'cifar10'),
    'svhn_synthdigits': ('svhn', 'synthdigits'), 'synthdigits_svhn': ('synthdigits', 'svhn'),
    'gtsrb_synsigns': ('gtsrb', 'synsigns'),
}


def names():
    return [*SOURCES, *PHOTOGRAPHS, *PAIRS, 'tfds:NAME', 'folder:PATH']


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
def _read(name, split, reading):
    """(x, y, classes) of one split, read once a process."""
    source = find(name)[0]
    x, y, classes = source.read(source.splits[split], reading.size, reading.data_dir)
    x = x if reading.size else pad32(x)
    return angles.turned(x, _answers(source, y, split)) if source.turned else x, y, classes


def true_mask(x, halo=HALO):
    """The objects of monochrome images (n, h, w, 1), x > 0, grown by `halo` pixels: {0, 1}."""
    return geometry.dilate(tf.cast(x > 0, tf.float32), halo)


def not_white(x):
    """The objects of product photographs (n, h, w, 3): what white flooded from the frame leaves, {0, 1}."""
    return 1 - geometry.flood(tf.cast(tf.reduce_all(x >= WHITE, -1, keepdims=True), tf.float32))


def with_truth(data):
    """(name, Test) of the first test set whose true masks are known. Errors: UserError."""
    for name, test in data.tests.items():
        if test.paste is None and (data.monochrome or test.images().m is not None):
            return name, test
    raise UserError(f'the true masks of {data.name} are not known; put them into its folder masks/, by the '
                    'paths of the test images')


def paste(pattern, halo=HALO):
    """A pattern (h, w) -> function that lays it behind x > 0 grown by `halo` pixels (monochrome images)."""
    b = tf.constant(pattern, tf.float32)[None, :, :, None]

    def onto(x, rows):
        return mybackgrounds.compose(x, true_mask(x, halo), b)
    return onto


def _tests(images, suffix, side):
    if suffix == 'noises':
        return {f'noise-{r:g}': Test(images, paste(patterns.salt_and_pepper(side, r)))
                for r in patterns.NOISE_RATES}
    tests = {'original': Test(images)}
    if suffix == 'backgrounds':
        tests |= {k: Test(images, paste(p(side))) for k, p in patterns.PATTERNS.items()}
    return tests


def load(name, reading=PLAIN, limit=None, train=True, backgrounds=None):
    """The named Dataset. Training and validation images are read now, tests when they are first used.

    limit: number of training images, before the validation images are held out. train: False leaves them out
    where only tests are needed (named sets). backgrounds: a folder of photographs for `real`, instead of
    those that the set brings. Errors: UserError.
    """
    place = photographs_of(name, reading.data_dir)
    if place is not None:
        return _load_photographs(name, place, reading, limit, backgrounds)
    if reading.fit != photographs.FITS[0]:
        raise UserError(f'--fit {reading.fit} is for folders of photographs, {name} is none; leave it out')
    if name in PAIRS:
        data = _load_pair(name, reading, limit)
    else:
        data = _load_named(name, reading, limit, train)
    if not backgrounds:
        return data
    pictures = folders.pictures_in(backgrounds)
    return data._replace(backgrounds=photographs.crops(pictures, 2*data.shape[0], data.shape[-1]))


def _load_named(name, reading, limit, train):
    """A set of SOURCES or tensorflow-datasets, with its tests by the suffix of the name."""
    source, base, suffix = find(name)
    x, y, classes = _read(base, 0 if train else 1, reading)
    rows, answers = limited(y, limit), _answers(source, y, 0)
    parts = [Images(x[rows[r]], answers[rows[r]]) for r in split_rows(y[rows])] if train else (None, None)
    if suffix and x.shape[-1] != 1:
        raise UserError(f'{name}: the patterns are made for monochrome sets, {base} is in colour; use {base}')

    def test_images():
        x, y, _ = _read(base, 1, reading)
        return Images(x, _answers(source, y, 1))
    classes, asked = ([], Number.angle(angles.MOST, angles.NEAR)) if source.turned else (classes, None)
    return Dataset(name, *parts, _tests(test_images, suffix, x.shape[1]), classes, x.shape[1:],
                   source.flip, False, None, asked=asked)


def _answers(source, y, split):
    """What is asked of the images of a split (0: training): labels y, or the angles they were turned by."""
    return angles.angles(split, len(y)) if source.turned else y


def _load_pair(name, reading, limit):
    """Train on the first set of a pair, test on both; only classes that both have, in the first one's order.

    STL-10 lacks CIFAR-10's frog and has a monkey, and its bird stands before its car: names decide, not
    numbers.
    """
    def classes_of(base):
        classes = _read(base, 1, reading)[2]
        return [STL10_TO_CIFAR10.get(c, c) for c in classes]
    first, second = PAIRS[name]
    names_of = {base: classes_of(base) for base in (first, second)}
    common = [c for c in names_of[first] if c in names_of[second]]
    if len(common) < 2:
        raise UserError(f'{name}: the two sets have less than two classes in common; name them alike')

    def matched(base, split):
        x, y, _ = _read(base, split, reading)
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

class Photographs(NamedTuple):
    """Where photographs lie: scan(path) -> folders.Folder, their side unless --size, may they be mirrored?"""
    scan: object
    path: str | None
    side: int = FOLDER_SIDE
    flip: bool = False


def photographs_of(name, data_dir=None):
    """The Photographs of a name, or None for sets that come as arrays."""
    if name.startswith('folder:'):
        return Photographs(targets.scan, name.removeprefix('folder:'))
    if name in PHOTOGRAPHS:
        return PHOTOGRAPHS[name]._replace(path=data_dir)
    return None


def folder_of(name, data_dir=None):
    """The folders.Folder behind a name, or None for sets that come as arrays. No photograph is opened."""
    place = photographs_of(name, data_dir)
    return place and place.scan(place.path)


PHOTOGRAPHS = {'prates': Photographs(prates, None, PRATES_SIDE, True)}


def _load_photographs(name, place, reading, limit, backgrounds):
    """Photographs as a Dataset; those that are too many to hold are streamed."""
    folder, problems = _checked(place.scan, place.path, reading.skip_damaged)
    for line in problems:
        print('note: ' + line, file=sys.stderr)
    size, fit = reading.size or place.side, reading.fit
    rows = {split: np.arange(len(f.paths)) for split, f in folder.splits.items()}
    files = folder.splits['train']
    parts = files.labels if folder.classes else targets.strata(files.labels)   # which all splits share
    rows['train'] = limited(parts, limit)
    held = sum(map(len, rows.values()))*size*size*3 <= MEMORY_BYTES
    masked = [split for split, f in folder.splits.items() if f.masks
              and (held or len(rows[split])*size*size <= MASK_BYTES)]
    for split in (s for s, f in folder.splits.items() if f.masks and s not in masked):
        print(f'note: the {len(rows[split]):,} masks of {split} are too many to hold and are left out; use a '
              'smaller --size or --limit', file=sys.stderr)

    def images(split, rows):
        files, m = folder.splits[split], None
        if split in masked:
            m = photographs.masks(tuple(files.masks[i] for i in rows), size, fit)
        paths = [files.paths[i] for i in rows]
        if held:
            return Images(photographs.pixels(tuple(paths), size, fit), files.labels[rows], m)
        return Images(paths, files.labels[rows], m, lambda path: photographs.read_image(path, size, 3, fit),
                      (size, size, 3))
    first = folders.first_equal([files.paths[i] for i in rows['train']])   # equal ones stay on one side
    train, validation = (images('train', rows['train'][r])
                         for r in split_rows(parts[rows['train']], first=first))
    tests = {split: Test(lambda split=split: images(split, rows[split]))
             for split in folder.splits if split != 'train'}
    pictures = folders.pictures_in(backgrounds) if backgrounds else folder.backgrounds
    return Dataset(name, train, validation, tests, folder.classes, (size, size, 3), place.flip,
                   'train' in masked, photographs.crops(pictures, 2*size, 3) if pictures else None, fit,
                   None if folder.classes else Number.of(files.labels, f'{name}: train/{targets.FILE}'))


@functools.lru_cache(maxsize=4)
def _checked(scan, path, skip_damaged):
    """Looked at once a process."""
    return folders.check(scan(path), skip_damaged)

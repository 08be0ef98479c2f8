"""Test images whose objects are known, for tests that lay backgrounds behind them or ask for them."""
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import numpy as np

import mydatasets
from common import geometry
from common.errors import UserError
from common.quiet import tf
from common.tasks import MASK
from mydatagen import in_order, to_float

SIDE_BY_SIDE = 2      # batches at work at a time: one alone leaves cores idle between its layers
BATCH = 125           # of Objects
MOST_PIXELS = 2**21   # of a batch: both, with their gradients, half of those that one without may have
SIZES = 16            # of batches; every other one would be compiled anew


def known(data):
    """The Test of a monochrome set, or the first of photographs that has true masks. Errors: UserError."""
    return next(iter(data.tests.values())) if data.monochrome else mydatasets.with_truth(data)[1]


def asking_masks(data):
    """The same data set, asked for masks: its tests whose true masks are known, with them beside the images.

    Those of monochrome sets are x > 0. A test of photographs without masks takes those of another one whose
    files have the same names: the same objects on another ground. Errors: UserError for none.
    """
    tests = {}
    for name, test in data.tests.items():
        images = test.images
        if data.monochrome:
            images = functools.cache(functools.partial(_with_black, images))
        if images().m is not None:
            tests[name] = test._replace(images=images)
    for name in [t for t in data.tests if t not in tests]:
        other = next((t for t in tests if _names(data, t) == _names(data, name)), None)
        if other:
            images = replace(data.tests[name].images(), m=tests[other].images().m)
            tests[name] = data.tests[name]._replace(images=lambda images=images: images)
    if not tests:
        raise UserError(f'the true masks of {data.name} are not known; put them into its folder masks/, by '
                        'the paths of the test images')
    return data._replace(tests=tests, asked=MASK)


def asked(data, task):
    """The data set as a network of this task is asked."""
    return asking_masks(data) if task == MASK else data


def _with_black(images):
    """Monochrome images with masks of what is not black beside them."""
    found = images()
    return replace(found, m=255*(found.x > 0).astype(np.uint8))


def _names(data, split):
    """The paths of a test's photographs in its folder, without their endings."""
    folder = mydatasets.folder_of(data.name)
    return [os.path.splitext(os.path.relpath(p, os.path.join(folder.root, split)))[0]
            for p in folder.splits[split].paths]


def mask(x, m, halo):
    """The objects grown by `halo` pixels, {0, 1} (n, h, w, 1): x > 0, or masks m (uint8) if any."""
    return mydatasets.true_mask(x, halo) if m is None else geometry.dilate(tf.round(to_float(m)), halo)


class Objects(NamedTuple):
    """Some images in memory, with their masks."""
    x: tf.Tensor   # (n, h, w, c) in [0, 1]
    y: tf.Tensor   # (n,) int32
    m: tf.Tensor   # (n, h, w, 1): 1 on what no background may change

    @classmethod
    def of(cls, images, halo):
        """images: mydatagen.Images, few enough for the memory."""
        parts = [(to_float(batch['x']), batch['y'], batch.get('m')) for batch in in_order(images)]
        return cls(*(tf.concat(part, 0) for part in zip(*((x, y, mask(x, m, halo)) for x, y, m in parts))))

    def take(self, rows):
        return Objects(*(tf.gather(part, rows) for part in self))

    @property
    def batchsize(self):
        return max(1, min(BATCH, MOST_PIXELS//int(np.prod(self.x.shape[1:]))))


def batches(rows, batchsize):
    """(rows of a batch, how many of them count): of one size, at most `batchsize`, SIDE_BY_SIDE or more.

    In the last batch some rows stand twice.
    """
    least = SIDE_BY_SIDE*-(-len(rows)//(SIDE_BY_SIDE*batchsize))   # batches
    unit = max(1, batchsize//SIZES)
    size = min(batchsize, unit*-(-len(rows)//(unit*least))) if least else batchsize
    for first in range(0, len(rows), size):
        mine = rows[first:first + size]
        yield np.resize(mine, size), len(mine)


def side_by_side(work, pieces):
    """Calls work(*piece), SIDE_BY_SIDE at a time; they may not touch the same. Errors: those of work."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        for done in [threads.submit(work, *piece) for piece in pieces]:
            done.result()

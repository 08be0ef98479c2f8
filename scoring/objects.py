"""Test images whose objects are known, for tests that lay backgrounds behind them."""
from typing import NamedTuple

import numpy as np

import mydatasets
from common import geometry
from common.quiet import tf
from mydatagen import in_order, MOST_PIXELS, to_float

BATCH = 100   # of Objects, always: another size would be traced, compiled and rounded anew


def known(data):
    """The Test of a monochrome set, or the first of photographs that has true masks. Errors: UserError."""
    return next(iter(data.tests.values())) if data.monochrome else mydatasets.with_truth(data)[1]


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
    """(rows of a batch, how many of them count): always `batchsize` rows, in the last one some twice."""
    for first in range(0, len(rows), batchsize):
        mine = rows[first:first + batchsize]
        yield np.resize(mine, batchsize), len(mine)

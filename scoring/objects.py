"""Test images whose objects are known, for tests that lay backgrounds behind them."""
from typing import NamedTuple

import numpy as np

import mydatasets
from common import geometry
from common.quiet import tf
from mydatagen import in_order, MOST_PIXELS, to_float

BATCH = 100   # of Objects
FEWER = 5     # times smaller are the batches of what is left over


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
    """(rows of a batch, how many of them count): of `batchsize` rows, what is left over in smaller ones.

    No other sizes, which would be compiled anew; in the last batch some rows stand twice.
    """
    whole, few = len(rows)//batchsize*batchsize, max(1, batchsize//FEWER)
    for first in range(0, whole, batchsize):
        yield rows[first:first + batchsize], batchsize
    for first in range(whole, len(rows), few):
        mine = rows[first:first + few]
        yield np.resize(mine, few), len(mine)

"""Right on every one of a fixed set of backgrounds, an upper bound on robust accuracy that needs no search.

The idea of the Backgrounds Challenge (Xiao et al. 2021, Noise or Signal): an image counts only if no
background of the set turns its answer. The set: every unseen family, DRAWS draws of each (white once), other
draws than those of the tests `unseen-*`, each a function of family, row and number alone.
"""
from typing import NamedTuple

import numpy as np

import mybackgrounds
from common.quiet import tf
from mydatagen import to_float
from scoring import unseen
from scoring.objects import batches, known, Objects

DRAWS = 6
SEEDS = range(unseen.SEED + 1, unseen.SEED + 1 + DRAWS)   # of the draws; unseen.SEED is that of `unseen-*`
PLAIN = 'white'   # the family that has but one background
SET = [(family, seed) for seed in SEEDS for family in unseen.FAMILIES if family != PLAIN or seed == SEEDS[0]]


class Worst(NamedTuple):
    """How many of n images a network is right about on each one of `backgrounds`."""
    correct: int
    n: int
    backgrounds: int

    def line(self):
        """It in words."""
        return (f'right on every one of {self.backgrounds} backgrounds: {100*self.correct/self.n:.2f} % of '
                f'{self.n:,} images')


def worst(model, data, halo):
    """The Worst of a model on test images whose objects, grown by `halo` pixels, stay as they are.

    Chunk by chunk of rows, so that one draw of one family is held; images already wrong are left out of what
    is left of the set. Errors: UserError for photographs without masks.
    """
    images, right = known(data).images(), _right(model)
    chunks = range(-(-len(images)//unseen.CHUNK))
    return Worst(sum(_standing_in(images, c, halo, right) for c in chunks), len(images), len(SET))


def _right(model):
    """(x, y, m, b) -> is each image right on its background? b: uint8."""
    @tf.function(reduce_retracing=True)
    def right(x, y, m, b):
        logits = model(mybackgrounds.compose(x, m, to_float(b)), training=False)
        return tf.argmax(logits, 1, output_type=tf.int32) == y
    return right


def _standing_in(images, chunk, halo, right):
    """How many images of one chunk of rows are right on the whole set."""
    first = chunk*unseen.CHUNK
    objects = Objects.of(images.take(np.arange(first, min(first + unseen.CHUNK, len(images)))), halo)
    standing = np.ones(len(objects.y), bool)
    for family, seed in SET:
        if not standing.any():
            break
        b = unseen.drawn(family, *objects.x.shape[2:], chunk, seed)
        for rows, k in batches(np.flatnonzero(standing), objects.batchsize):
            standing[rows[:k]] = right(*objects.take(rows), b[rows]).numpy()[:k]
    return int(standing.sum())

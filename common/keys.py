"""The random key: everything drawn is a pure function of seed, epoch and step."""
import enum
from typing import NamedTuple

from common.quiet import tf


@enum.unique
class Stream(enum.IntEnum):
    """What the key of a step is folded with: a number for each purpose, so that no two draw the same numbers.

    A function that is handed a key of its own counts its draws from 0. Changing a number changes all runs.
    """
    AUGMENTATION = 0
    GROWTH = 1               # of masks
    ADVERSARY = 3            # the generator's noise
    POOL = 4                 # which remembered backgrounds are shown
    ASCENT = 5               # which remembered backgrounds ascent starts from
    GENERATOR = 6            # new weights for it, by epoch
    BACKGROUND = 10          # of the first source; the i-th has BACKGROUND + i
    VALIDATION = 77          # shapes behind validation images
    ATTACK = 0xa77ac
    PIXELS = 0xb1e5          # starts of the search for the worst background of each image


class Key(NamedTuple):
    """Owner of the randomness of one step: everything drawn is a pure function of seed, step and the folds.

    `parts` replicas share one global batch and this one holds slice `part`: every replica draws for the whole
    batch and keeps its own slice, so that one device and several devices see the same numbers.
    """
    seed: tf.Tensor   # (2,) int32
    step: tf.Tensor   # () int64, counted from 0 over the whole run
    part: tf.Tensor | int = 0
    parts: int = 1

    @classmethod
    def of(cls, seed, step=0, part=0, parts=1):
        step = tf.cast(step, tf.int64)
        base = tf.constant([seed, 0x5eed], tf.int32)
        return cls(tf.random.experimental.stateless_fold_in(base, step), step, part, parts)

    def fold(self, data):
        """Another key, for another purpose of the same step. data: a Stream, or an integer."""
        return self._replace(seed=tf.random.experimental.stateless_fold_in(self.seed, data))

    def _mine(self, draw, n, shape):
        values = draw((self.parts*n, *shape))
        return values if self.parts == 1 else tf.reshape(values, (self.parts, n, *shape))[self.part]

    def uniform(self, n, shape=(), lo=0., hi=1., dtype=tf.float32):
        """(n, *shape) in [lo, hi), integers with an integer dtype."""
        return self._mine(lambda s: tf.random.stateless_uniform(s, self.seed, lo, hi, dtype), n, shape)

    def normal(self, n, shape=()):
        """(n, *shape) of the standard normal distribution."""
        return self._mine(lambda s: tf.random.stateless_normal(s, self.seed), n, shape)

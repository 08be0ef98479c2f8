"""The worst background of each image: ascent on its pixels, the limit of any generator of backgrounds.

Adversarial training (Madry et al. 2018) with the background in the place of a perturbation.
"""
from common import pools
from common.geometry import dilate
from common.quiet import tf


def slope(loss, b):
    """(the loss of each image (n,), its gradient (n, h, w, c), what the loss adds) at the backgrounds b.

    loss: backgrounds (n, h, w, c) in [0, 1] -> (the loss of each image, what it adds).
    """
    with tf.GradientTape() as tape:
        tape.watch(b)
        values, more = loss(b)
        value = tf.reduce_sum(values)   # no image knows of another: the gradient is each one's own
    return values, tape.gradient(value, b), more


def moved(b, gradient, rate):
    """b after a step along the signs of the gradient, in [0, 1]. rate: of all, or (n, 1, 1, 1)."""
    return tf.clip_by_value(b + rate*tf.sign(gradient), 0., 1.)


def ascend(loss, b, rates, free=1.):
    """b after a step of each rate, without a gradient. loss: backgrounds -> the loss of each image, (n,).
    free: {0, 1}, the pixels that move."""
    for rate in rates:
        _, gradient, _ = slope(lambda b: (loss(b), None), b)
        b = moved(b, free*gradient, rate)
    return tf.stop_gradient(b)


class Ascent:
    """A source of backgrounds that looks at each image: `steps` steps of ascent, each of `rate` in [0, 1].

    With a pool every fresh-th image starts from `start`, (x, key) -> b, the others from what ascent had found
    behind other images in earlier steps, so that a few steps are enough. Within `rim` pixels of the mask the
    background stays where it starts: what is drawn there can make another object of this one.
    """

    def __init__(self, start, steps, rate, rim=0, pool=None, fresh=1):
        self.start, self.steps, self.rate, self.rim = start, steps, rate, rim
        self.pool, self.turns = (pool, fresh) if fresh > 1 else (None, 1)

    @classmethod
    def of(cls, args, start, shape):
        """The one of train3.py's arguments, for images of that shape."""
        pool = pools.empty(args.pool, shape)
        return cls(start, args.ascent_steps, args.ascent_rate, args.ascent_rim, pool, args.fresh)

    @property
    def variables(self):
        """What it remembers, for checkpoints."""
        return [] if self.pool is None else [self.pool]

    def __call__(self, x, key):
        """Where the ascent starts, which needs no weights."""
        return self.start(x, key)

    def play(self, b, loss, key, m=None):
        """The backgrounds behind which the loss of each image is high. b: those of `start`; m: masks."""
        if self.pool is not None:
            size, count = self.pool.shape[0], key.parts*len(b)
            held = tf.maximum(tf.minimum(key.step*count, size), 1)
            places = key.part*len(b) + tf.range(len(b))   # in the global batch
            known = (key.step > 0) & (places % self.turns > 0)
            b = tf.where(known[:, None, None, None], pools.recall(self.pool, held)(b, key), b)
        b = ascend(loss, b, [self.rate]*self.steps, 1 - dilate(m, self.rim) if self.rim else 1.)
        if self.pool is not None:
            pools.remember(self.pool, b, key)
        return b

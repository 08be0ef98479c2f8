"""The worst background of each image: ascent on its pixels, the limit of any generator of backgrounds.

Adversarial training (Madry et al. 2018) with the background in the place of a perturbation.
"""
from typing import NamedTuple

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


def ascend(loss, b, rates):
    """b after a step of each rate, without a gradient. loss: backgrounds -> the loss of each image, (n,)."""
    for rate in rates:
        _, gradient, _ = slope(lambda b: (loss(b), None), b)
        b = moved(b, gradient, rate)
    return tf.stop_gradient(b)


class Ascent(NamedTuple):
    """A source of backgrounds that looks at each image: `steps` steps of ascent from those of `start`."""
    start: object   # (x, key) -> b
    steps: int
    rate: float     # of a step, in [0, 1]

    def __call__(self, x, key):
        """Where the ascent starts, which needs no weights."""
        return self.start(x, key)

    def worse(self, b, loss):
        return ascend(loss, b, [self.rate]*self.steps)

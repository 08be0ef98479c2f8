"""The worst background of each image: ascent on its pixels, the limit of any generator of backgrounds.

Adversarial training (Madry et al. 2018) with the background in the place of a perturbation.
"""
from typing import NamedTuple

from common.quiet import tf


def step(loss, b, rate):
    """(b after a step of that rate along the sign of the loss's gradient, in [0, 1]; what the loss adds).

    loss: backgrounds (n, h, w, c) in [0, 1] -> (the loss of each image (n,), what it adds).
    """
    with tf.GradientTape() as tape:
        tape.watch(b)
        values, more = loss(b)
        value = tf.reduce_sum(values)   # no image knows of another: the gradient is each one's own
    return tf.clip_by_value(b + rate*tf.sign(tape.gradient(value, b)), 0., 1.), more


def ascend(loss, b, rates):
    """b after a step of each rate, without a gradient. loss: backgrounds -> the loss of each image, (n,)."""
    for rate in rates:
        b, _ = step(lambda b: (loss(b), None), b, rate)
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

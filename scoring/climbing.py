"""Ascent on the background of each image against a finished network: losses, and steps that fall.

APGD (Croce and Hein 2020) with the background, which may be anything in [0, 1], in the place of a small
perturbation: steps along the signs of the gradient with momentum; at certain steps an image whose loss does
not rise any more goes back to its best background, and on from there with half the step.

The way up may be looked for with convolutions in bfloat16, which takes half the time. Whether what it found
turns an image is judged in float32.
"""
import contextlib
import math
from typing import NamedTuple

import numpy as np

from common import ascent
from common.hardware import NATIVE, processor
from common.quiet import keras, tf
from mybackgrounds import compose
from scoring.adversary import margin
from scoring.objects import Objects

RATE = 0.15        # of the first steps, of 0.05 to 1 (docs/log.md)
MOMENTUM = 0.75    # share of the new direction; the rest is that of the step before
RISING = 0.75      # share of the steps that have to raise the loss, or the rate is halved
FIRST, LESS, LEAST = 0.22, 0.03, 0.06   # shares of all steps: up to the first check; each time less; at least


# Losses: (logits, y) -> (n,). Only the sign of their gradient is used, so their scale does not matter

def log_odds(logits, y):
    """log of (1 - p)/p, where p is the probability of y, raised where the answer is wrong.

    The cross-entropy is log(1 + exp(log odds)), which grows with them, so both ascend along the same signs.
    But where a network is so sure that p rounds to 1 in float32, these still have a true gradient. Of a right
    answer they are at most log(classes - 1). Raised by that, those of wrong answers, which are above 0, stand
    over all others: the highest on the way is wrong if any was.
    """
    others = tf.where(tf.one_hot(y, logits.shape[1], True, False), -np.inf, logits)
    raised = tf.where(margin(logits, y) > 0, math.log(logits.shape[1] - 1), 0.)
    return tf.reduce_logsumexp(others, 1) - tf.gather(logits, y, batch_dims=1) + raised


def margin_ratio(logits, y):
    """Difference of logits ratio (DLR; Croce and Hein 2020): the margin by the distance from first to third.

    No scale of the logits changes it. Two classes have no third logit; there it is the margin alone.
    """
    if logits.shape[1] < 3:
        return margin(logits, y)
    top = tf.math.top_k(logits, 3).values
    return margin(logits, y)/(top[:, 0] - top[:, 2] + 1e-9)


CONVOLUTIONS = keras.layers.Conv2D, keras.layers.MaxPooling2D   # and what only passes their results on
LOSSES = {'cross-entropy': log_odds, 'margin': margin_ratio}


class Climb(NamedTuple):
    """Where the ascents of n images stand."""
    b: tf.Tensor          # (n, h, w, c) the backgrounds to be looked at next
    before: tf.Tensor     # (n, h, w, c) and those a step before
    best: tf.Tensor       # (n, h, w, c) of the highest loss so far; of an image found wrong, what did it
    top: tf.Tensor        # (n,) that loss
    rate: tf.Tensor       # (n,) of a step
    halved: tf.Tensor     # (n,) bool: at the last check
    top_then: tf.Tensor   # (n,) top at the last check
    right: tf.Tensor      # (n,) bool: were the answers right, at all checks so far?

    @classmethod
    def begin(cls, b):
        """From the backgrounds b, an array; all of it arrays."""
        n = len(b)
        low = np.full(n, -np.inf, np.float32)
        return cls(b, b.copy(), b.copy(), low, np.full(n, RATE, np.float32), np.ones(n, bool), low.copy(),
                   np.ones(n, bool))


def spans(steps):
    """Numbers of looks between checks (of all steps, and one look at where the last one led), int32."""
    share, last, checks = FIRST, FIRST, {0}
    while max(checks) < steps:
        checks.add(min(int(np.ceil(share*steps - 1e-9)), steps))
        last = max(last - LESS, LEAST)
        share += last
    found = np.diff(sorted(checks)).astype(np.int32)
    found[-1] += 1
    return found


def of_images(model):
    """The signature of some Objects that a model takes; their `x` is that of images."""
    images, masks = (tf.TensorSpec([*model.input_shape[:3], c]) for c in (model.input_shape[3], 1))
    return Objects(images, tf.TensorSpec([None], tf.int32), masks)


def logits_behind(model, x, m, b):
    """(n, classes) float32."""
    return tf.cast(model(compose(x, m, b), training=False), tf.float32)


@contextlib.contextmanager
def quick(model):
    """Inside, what is traced has a network's convolutions in bfloat16, where this processor has it. Not its
    last layers: losses rounded so far do not tell the better of two backgrounds. Nor networks that normalise
    between convolutions, where it was not measured."""
    layers = list(layers_of(model))
    known = not any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
    layers = [x for x in layers if known and processor() in NATIVE and isinstance(x, CONVOLUTIONS)]
    kept = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            layer.dtype_policy = 'mixed_bfloat16'
        yield
    finally:
        for layer, policy in zip(layers, kept):
            layer.dtype_policy = policy


def layers_of(model):
    """Those of a network, and of the networks in it."""
    for layer in getattr(model, 'layers', ()):
        yield from layers_of(layer) if hasattr(layer, 'layers') else (layer,)


def margin_behind(model, objects, b):
    """(n,) margin of the wrong classes behind the backgrounds b."""
    return margin(logits_behind(model, objects.x, objects.m, b), objects.y)


def judger(model):
    """judge(Objects, b) -> `margin_behind`; traced once."""
    signature = of_images(model)
    return tf.function(lambda objects, b: margin_behind(model, objects, b),
                       input_signature=(signature, signature.x))


def lender(model):
    """lend(Objects, candidates (k, h, w, c)) -> the candidate that harms each image most; traced once."""
    signature = of_images(model)

    @tf.function(input_signature=(signature, signature.x))
    def lend(objects, candidates):
        first = tf.zeros_like(objects.x) + candidates[0]
        return ascent.worst_of(lambda b: margin_behind(model, objects, b), first, candidates[1:])
    return lend


def climber(model, loss, rough=False):
    """climb(Objects, Climb, looks) -> Climb after that many looks and a check; traced once. rough: `quick`.
    """
    objects = of_images(model)
    shares, bools = (tf.TensorSpec([None], kind) for kind in (tf.float32, tf.bool))
    signature = (objects, Climb(*[objects.x]*3, shares, shares, bools, shares, bools),
                 tf.TensorSpec([], tf.int32))

    @tf.function(input_signature=signature)
    def climb(objects, state, looks):
        (x, y, m), (b, before, best, top, rate, halved, top_then, right) = objects, state

        def loss_behind(b):
            with quick(model) if rough else contextlib.nullcontext():
                return loss(logits_behind(model, x, m, b), y)

        def four(values):
            return values[:, None, None, None]
        rises, last = tf.zeros_like(rate), tf.fill(tf.shape(rate), np.float32(np.inf))
        for _ in tf.range(looks):
            value, gradient = ascent.slope(loss_behind, b)
            higher = right & (value > top)
            best, top = tf.where(four(higher), b, best), tf.where(higher, value, top)
            rises, last = rises + tf.cast(value > last, tf.float32), value
            there = ascent.moved(b, gradient, four(rate))
            b, before = tf.clip_by_value(
                b + MOMENTUM*(there - b) + (1 - MOMENTUM)*(b - before), 0., 1.), b
        right &= tf.argmax(logits_behind(model, x, m, best), 1, output_type=tf.int32) == y
        stuck = rises < RISING*tf.cast(looks - 1, tf.float32)
        halve = stuck | ~halved & (top == top_then)
        b, before = (tf.where(four(halve), best, v) for v in (b, before))
        return Climb(b, before, best, top, tf.where(halve, rate/2, rate), halve, top, right)
    return climb

"""Accuracy behind the worst background of each image that ascent on its pixels finds.

max over b of L(f(m_i x_i + (1 - m_i) b), y_i) for each image by itself, over every pixel outside the object
grown by the halo of the tests, b in [0, 1]: sign-gradient ascent (Madry et al. 2018) with a falling step,
from several starts and by two losses (as AutoAttack combines them: Croce and Hein 2020). An image counts as
right only if it is right as it is and at every start and step of every search. What is left is an upper bound
on robust accuracy: a longer search, or another one, can only leave less.
"""
import itertools
from typing import NamedTuple

import numpy as np

import mybackgrounds
import mydatasets
from common import ascent
from common.keys import Key, Stream
from common.quiet import tf
from scoring.adversary import margin
from scoring.objects import batches, known, Objects

IMAGES, PHOTOGRAPHS = 1000, 200   # searched: the first of a monochrome set, evenly spaced ones of photographs
RATE = 0.25        # of the first step; the rates fall to 0 in equal parts
PORTIONS = 10      # of a search: after each one, images found wrong are left out
STARTS = {'noise': mybackgrounds.noise, 'black': mybackgrounds.black, 'textures': mybackgrounds.textures,
          'white': lambda x, key: tf.ones_like(x)}


# Losses: (logits, y) -> (n,). Only the sign of their gradient is used, so their scale does not matter

def log_odds(logits, y):
    """log of (1 - p)/p, where p is the probability of y.

    The cross-entropy is log(1 + exp(log odds)), which grows with them, so both ascend along the same signs.
    But where a network is so sure that p rounds to 1 in float32, these still have a true gradient.
    """
    others = tf.where(tf.one_hot(y, logits.shape[1], True, False), -np.inf, logits)
    return tf.reduce_logsumexp(others, 1) - tf.gather(logits, y, batch_dims=1)


def margin_ratio(logits, y):
    """Difference of logits ratio (DLR; Croce and Hein 2020): the margin by the distance from first to third.

    No scale of the logits changes it. Two classes have no third logit; there it is the margin alone.
    """
    if logits.shape[1] < 3:
        return margin(logits, y)
    top = tf.math.top_k(logits, 3).values
    return margin(logits, y)/(top[:, 0] - top[:, 2] + 1e-9)


LOSSES = {'cross-entropy': log_odds, 'margin': margin_ratio}


class Effort(NamedTuple):
    """How hard is tried: a search by each loss from each of the starts, every one another draw."""
    steps: int = 100
    starts: tuple = ('noise', 'black', 'textures')

    @property
    def searches(self):
        return list(itertools.product(LOSSES, self.starts))

    @property
    def portions(self):
        """The rates of all steps, in PORTIONS arrays; the last one is 0 and only looks."""
        rates = RATE*(1 - np.arange(self.steps + 1)/self.steps)
        return np.array_split(rates.astype(np.float32), PORTIONS)


USUAL = Effort()


class Found(NamedTuple):
    """What searches found out about Objects, as arrays of their rows."""
    plain: np.ndarray    # (n,) is the image right as it is?
    right: np.ndarray    # (n,) and in all searches?
    b: np.ndarray        # (n, h, w, c) float32: the background that turned it, or the one that came nearest
    left: dict           # {search: how many images are right after it}


class Pixels(NamedTuple):
    """What ascent leaves of n images."""
    correct: int
    n: int
    plain: int           # right as they are
    left: dict           # {search: how many are right after it and those before}

    def line(self):
        """It in words."""
        steps = ', '.join(f'{name} {100*k/self.n:.1f}' for name, k in self.left.items())
        return (f'ascent leaves {100*self.correct/self.n:.2f} % of {self.n:,} images (as they are '
                f'{100*self.plain/self.n:.1f}; then {steps})')


def subjects(data, most=None):
    """The Objects that are searched, grown by the halo. most: images; None: IMAGES or PHOTOGRAPHS.

    Folders stand in the order of their classes, so of photographs every so many-th is taken.
    """
    images = known(data).images()
    count = min(len(images), most or (IMAGES if data.monochrome else PHOTOGRAPHS))
    rows = np.arange(count) if data.monochrome else np.linspace(0, len(images) - 1, count).astype(int)
    return Objects.of(images.take(rows), mydatasets.HALO)


def climber(model, loss):
    """climb(objects, b, rates) -> (b, right, margin), a step of each rate; traced once.

    right: (n,) was every answer right? b: (n, h, w, c) where the ascent is now, and where an image was found
    wrong the background that did it. margin: (n,) at the last background that was looked at.
    """
    images, masks = (tf.TensorSpec([*model.input_shape[:3], c]) for c in (model.input_shape[3], 1))
    labels, shares = (tf.TensorSpec([None], kind) for kind in (tf.int32, tf.float32))

    @tf.function(input_signature=[images, labels, masks, images, shares])
    def climb(x, y, m, b, rates):
        def behind(b):
            logits = tf.cast(model(mybackgrounds.compose(x, m, b), training=False), tf.float32)
            return loss(logits, y), logits
        right, distance = tf.ones_like(y, tf.bool), tf.zeros_like(y, tf.float32)
        for rate in rates:
            further, logits = ascent.step(behind, b, rate)
            right &= tf.argmax(logits, 1, output_type=tf.int32) == y
            b, distance = tf.where(right[:, None, None, None], further, b), margin(logits, y)
        return b, right, distance
    return climb


def climbed(climb, objects, b, rows, rates):
    """[b, right, margin] of climb on some rows of the objects, as arrays. b: of all of them."""
    found = [[part.numpy()[:k] for part in climb(*objects.take(some), b[some], rates)]
             for some, k in batches(rows, objects.batchsize)]
    return [np.concatenate(parts) for parts in zip(*found)]


def search(model, objects, key, effort=USUAL):
    """The Found of the searches of an effort, one after the other; images found wrong are left out at once.

    objects: their m is 1 on the pixels that stay as they are. A function of key and effort, up to rounding.
    """
    x, n, left = objects.x, len(objects.y), {}
    climbs = {name: climber(model, loss) for name, loss in LOSSES.items()}
    shown = objects._replace(m=tf.ones_like(objects.m))   # nothing of them is background
    _, plain, _ = climbed(climbs['margin'], shown, x.numpy(), np.arange(n), np.zeros(1, np.float32))
    right, worst, nearest = plain.copy(), x.numpy().copy(), np.full(n, -np.inf, np.float32)
    for number, (loss, start) in enumerate(effort.searches):
        searched = np.flatnonzero(right)
        b, distance = STARTS[start](x, key.fold(number)).numpy(), nearest.copy()
        for rates in effort.portions:
            rows = np.flatnonzero(right)
            if len(rows):
                b[rows], right[rows], distance[rows] = climbed(climbs[loss], objects, b, rows, rates)
        nearer = searched[distance[searched] > nearest[searched]]
        worst[nearer], nearest[nearer] = b[nearer], distance[nearer]
        left[f'{start} by {loss}'] = int(right.sum())
    return Found(plain, right, worst, left)


def pixels(model, data, seed):
    """The Pixels of a model. data: monochrome, or photographs with masks (others: UserError).

    A pure function of model, data and seed, up to the rounding of the processor.
    """
    found = search(model, subjects(data), Key.of(seed).fold(Stream.PIXELS))
    return Pixels(int(found.right.sum()), len(found.right), int(found.plain.sum()), found.left)

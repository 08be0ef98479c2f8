"""The Backgrounds Challenge of any photographs with masks: how much of the answer is the background?

Its seven images of each photograph, and its challenge (Xiao, Engstrom, Ilyas, Madry 2021, Noise or Signal):
backgrounds without their object, objects without their background, and objects on the Only-BG-T backgrounds
of other photographs. Which photograph lends its background is a function of the row alone.
"""
import functools
from typing import NamedTuple

import numpy as np

import mydatasets
from common.errors import UserError
from common.quiet import tf
from mybackgrounds import compose
from mydatagen import in_order, to_float
from scoring import objects
from scoring.unseen import CHUNK

SEED = 3000
DRAWS = 30         # backgrounds of other classes that an image has to stand
LENDERS = 2000     # photographs that lend their background, spread over the classes
LEAST = 0.1        # share of a lender that its object's box leaves (the Challenge's own limit)


# Images from one photograph: x (n, h, w, c), m (n, h, w, 1) {0, 1} -> (n, h, w, c)

def box(m):
    """First and one past the last row and column of each object, 4 x (n,) int32; of no object 0."""
    found = []
    for axes, side in (((2, 3), m.shape[1]), ((1, 3), m.shape[2])):
        line, k = tf.reduce_max(m, axes) > 0.5, tf.range(side)
        last = tf.reduce_max(tf.where(line, k + 1, 0), 1)
        found += [tf.minimum(tf.reduce_min(tf.where(line, k, side), 1), last), last]
    return found


def boxed(m):
    """1 on the object's box (n, h, w, 1)."""
    top, bottom, left, right = (edge[:, None] for edge in box(m))
    i, j = tf.range(m.shape[1]), tf.range(m.shape[2])
    inside = ((i >= top) & (i < bottom))[:, :, None] & ((j >= left) & (j < right))[:, None]
    return tf.cast(inside[..., None], m.dtype)


def tiled(x, m):
    """The object's box filled with tiles of the largest rectangle of background above, below or beside it.

    A box that leaves no such rectangle gets the mean colour of what is not object.
    """
    h, w = x.shape[1:3]
    top, bottom, left, right = box(m)
    lengths = tf.stack([top, h - bottom, left, w - right], 1)
    which = tf.argmax(lengths*[w, w, h, h], 1, output_type=tf.int32)
    first = tf.gather(tf.stack([0*top, bottom, 0*left, right], 1), which, batch_dims=1)[:, None]
    length = tf.gather(lengths, which, batch_dims=1)[:, None]

    def source(side, start, turned):
        """Where the pixels of an axis are read; along the other axis a tile is as wide as the box."""
        k = tf.range(side)[None]
        return tf.where(turned[:, None], first + tf.math.floormod(k - start[:, None], tf.maximum(length, 1)),
                        k)
    rows, cols = source(h, top, which < 2), source(w, left, which >= 2)
    rows, cols = tf.minimum(rows, h - 1), tf.minimum(cols, w - 1)   # of images without a rectangle
    tiles = tf.gather(tf.gather(x, rows, axis=1, batch_dims=1), cols, axis=2, batch_dims=1)
    mean = tf.math.divide_no_nan(tf.reduce_sum(x*(1 - m), (1, 2), keepdims=True),
                                 tf.reduce_sum(1 - m, (1, 2), keepdims=True))
    return compose(tf.where(length[:, :, None, None] > 0, tiles, mean), boxed(m), x)


ALONE = {'only-bg-b': lambda x, m: x*(1 - boxed(m)), 'only-bg-t': tiled, 'no-fg': lambda x, m: x*(1 - m),
         'only-fg': lambda x, m: x*m}
MIXED = 'mixed-same', 'mixed-rand', 'mixed-next'
ALL = 'mixed-all'                # right on every one of DRAWS backgrounds of other classes
NAMES = {'only-bg-b': 'Only-BG-B', 'only-bg-t': 'Only-BG-T', 'no-fg': 'No-FG', 'only-fg': 'Only-FG',
         'mixed-same': 'Mixed-Same', 'mixed-rand': 'Mixed-Rand', 'mixed-next': 'Mixed-Next'}


# Lenders of backgrounds

class Lenders(NamedTuple):
    """Photographs that lend their background, in the order of their rows."""
    b: np.ndarray          # uint8 (k, h, w, c), Only-BG-T
    rows: np.ndarray       # (k,) of the test
    y: np.ndarray          # (k,) their classes


def demand_lenders(y):
    """Errors: UserError for labels of a test of one class, or with one photograph of a class."""
    classes, counts = np.unique(y, return_counts=True)
    more = 'add photographs, or leave out the mixed backgrounds'
    if len(classes) < 2:
        raise UserError('the test has photographs of one class, so no other one can lend a background; '
                        + more)
    if counts.min() < 2:
        raise UserError(f'class {classes[counts.argmin()] + 1} of the test has one photograph, so no other '
                        f'one of its class can lend it a background; {more}')


@functools.lru_cache(maxsize=2)   # seven tests and a search, one after the other
def lenders(images):
    """The Lenders among Images. Errors: UserError for a class of one photograph."""
    demand_lenders(images.y)
    classes = np.unique(images.y)
    most = max(2, LENDERS//len(classes))
    spread = [mine[np.linspace(0, len(mine) - 1, min(len(mine), most)).astype(int)]
              for mine in (np.flatnonzero(images.y == c) for c in classes)]
    rows = np.sort(np.concatenate(spread))
    make = tf.function(lambda x, m: (tf.round(255*tiled(x, m)), 1 - tf.reduce_mean(boxed(m), (1, 2, 3))),
                       reduce_retracing=True)
    found = [make(to_float(batch['x']), objects.mask(None, batch['m'], 0))
             for batch in in_order(images.take(rows))]
    b = np.concatenate([part.numpy().astype(np.uint8) for part, _ in found])
    wide = np.concatenate([share.numpy() for _, share in found]) >= LEAST
    y = images.y[rows]
    kept = wide | np.isin(y, [c for c in classes if np.sum(wide[y == c]) < 2])   # those have no better ones
    return Lenders(b[kept], rows[kept], y[kept])


@functools.lru_cache(maxsize=2)
def partners(images):
    """{name of MIXED: (n,), ALL: (n, up to DRAWS)}: which of the Lenders stands behind each row, never the
    image itself. mixed-rand: any class, with equal chances (the Challenge's); mixed-next: the next one."""
    found = lenders(images)
    classes = list(np.unique(found.y))
    of_class = {c: np.flatnonzero(found.y == c) for c in classes}
    others = {c: np.flatnonzero(found.y != c) for c in classes}
    drawn = {name: np.empty(len(images), np.int32) for name in MIXED}
    drawn[ALL] = np.empty((len(images), min(DRAWS, *map(len, others.values()))), np.int32)
    for row, y in enumerate(images.y):
        random = np.random.RandomState([SEED, row])   # its streams never change
        u = random.uniform(size=4)
        wanted = y, classes[int(u[3]*len(classes))], classes[(classes.index(y) + 1) % len(classes)]
        for name, c, share in zip(MIXED, wanted, u):
            pool = of_class[c][found.rows[of_class[c]] != row]
            drawn[name][row] = pool[int(share*len(pool))]
        drawn[ALL][row] = random.permutation(others[y])[:drawn[ALL].shape[1]]
    return drawn


def further(images):
    """(k,) how much further the background of each of the Lenders is from one of another class than from one
    of its own, as mean absolute differences of pixels in [0, 1]. About 0: nothing tells the classes."""
    found, apart = lenders(images), []
    for j, (b, y) in enumerate(zip(found.b, found.y)):
        random = np.random.RandomState([SEED, found.rows[j], 1])
        own = np.setdiff1d(np.flatnonzero(found.y == y), [j])
        two = found.b[[random.choice(np.flatnonzero(found.y != y)), random.choice(own)]]
        other, same = np.mean(np.abs(two.astype(np.int16) - b), (1, 2, 3))/255
        apart.append(other - same)
    return np.array(apart)


# Tests

def subjects(data):
    """() -> the Images that are tested: those of the first test of photographs that has masks. Errors:
    UserError."""
    if data.monochrome:
        raise UserError(f'--tests mixed lays the backgrounds of photographs behind objects, and those of '
                        f'{data.name} are black; leave it out')
    images = objects.known(data).images()   # the same object from now on: what is made of it is kept
    lenders(images)
    return lambda: images


def paste(name, images):
    """(x, rows) -> what the test of that name makes of them."""
    def onto(x, rows):
        with tf.init_scope():   # tensors beside the graph of tf.data, not constants of megabytes in it
            masks = tf.constant(images().m)
            if name in MIXED:
                b, drawn = tf.constant(lenders(images()).b), tf.constant(partners(images())[name])
        m = objects.mask(x, tf.gather(masks, rows), 0)   # a rim would bring its own background along
        if name in ALONE:
            return ALONE[name](x, m)
        return compose(x, m, to_float(tf.gather(b, tf.gather(drawn, rows))))
    return onto


def tests(data):
    """{name: Test} of ALONE and MIXED. Errors: UserError for a set without masks or in black."""
    images = subjects(data)
    return {name: mydatasets.Test(images, paste(name, images)) for name in (*ALONE, *MIXED)}


class Standing(NamedTuple):
    """How many of n images a network is right about on each one of `backgrounds` of other classes."""
    correct: int
    n: int
    backgrounds: int

    def line(self):
        """It in words."""
        return (f'right on every one of {self.backgrounds} backgrounds of other classes: '
                f'{100*self.correct/self.n:.2f} % of {self.n:,} images')


def turned(model, images):
    """(n,) int32: the number of the first background of ALL on which the model is wrong, -1 for none.

    Chunk by chunk of rows; images already wrong are left out of what is left of the backgrounds.
    """
    b, drawn, found = lenders(images).b, partners(images)[ALL], np.full(len(images), -1, np.int32)
    right = tf.function(lambda x, y, m, b: tf.argmax(
        model(compose(x, m, to_float(b)), training=False), 1, output_type=tf.int32) == y,
        reduce_retracing=True)
    for first in range(0, len(images), CHUNK):
        chunk = np.arange(first, min(first + CHUNK, len(images)))
        some = objects.Objects.of(images.take(chunk), 0)
        for k in range(drawn.shape[1]):
            left = np.flatnonzero(found[chunk] < 0)
            for rows, count in objects.batches(left, some.batchsize):
                good = right(*some.take(rows), b[drawn[chunk[rows], k]]).numpy()[:count]
                found[chunk[rows[:count]]] = np.where(good, -1, k)
    return found


def standing(model, data):
    """The Standing of a model. Errors: as `tests`."""
    images = subjects(data)()
    found = turned(model, images)
    return Standing(int(np.sum(found < 0)), len(images), partners(images)[ALL].shape[1])

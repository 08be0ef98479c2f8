"""Augmentation, and batches out of images in memory or on disk, for training and for tests."""
import math
import os
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from common.geometry import warp
from common.keys import Key
from common.pipelines import untuned
from common.quiet import keras, tf
from common.tasks import ANY_CLASSES

layers = keras.layers

MAX_ROTATION = 15/360      # turns
MAX_SHIFT = 0.15           # of the side
MAX_SHEAR = math.radians(0.3)   # the published code's shear_range=0.3 meant degrees
BRIGHTNESS = 0.8, 1.2      # factor; results are clipped at 1
# of `photometric` at full strength, about what photographs of one object differ by between cameras and rooms
WHITE_BALANCE, BRIGHTER, CONTRAST, SATURATION = 0.3, 0.2, 0.5, 0.7   # +- log gain, of the range, factors
BLUR = 0.01                # largest deviation, of the side
JPEG = 30                  # lowest quality
ERASED_AREA, ERASED_ASPECT = (0.02, 0.4), 0.3   # of a rectangle (Zhong et al. 2020): area, height by width
MOST_PIXELS = 2**23        # of a batch without gradients (512 images of 64x64 in colour)


@dataclass(frozen=True, eq=False)
class Images:
    """x: uint8 (n, h, w, c), or the n paths of photographs that are too many for the memory; y: int32 (n,),
    of numbers float32; m: uint8 masks (n, h, w, 1) or None; read: path -> uint8 image of `shape`, for paths
    only."""
    x: np.ndarray | list
    y: np.ndarray
    m: np.ndarray | None = None
    read: object = None
    shape: tuple | None = None

    def __len__(self):
        return len(self.y)

    def take(self, rows):
        x = [self.x[i] for i in rows] if isinstance(self.x, list) else self.x[rows]
        return replace(self, x=x, y=self.y[rows], m=None if self.m is None else self.m[rows])


@tf.function(jit_compile=True, autograph=False)   # XLA makes one loop of it; compiled once for all augmenters
def _move(x, m, maps, brightness, fill):
    both, c = warp(x if m is None else tf.concat([x, m], -1), maps, fill), x.shape[-1]
    return tf.minimum(both[..., :c]*brightness, 1.), None if m is None else both[..., c:]


@dataclass(eq=False)
class Augmenter:
    """augment(x, m, key) -> (x', m'): one random affine map an image, the mask riding along (or None).

    fill: what comes in from outside, `constant` (0) or `nearest`. until: from this step on images are only
    mirrored, if that. zoom: objects are shown at 1/zoom to zoom times their size. strength: of `photometric`.
    task: what f is asked for; images are not rotated where that would make its answer wrong.
    share: of images with a rectangle that is `erased`.
    x (n, h, w, c), m (n, h, w, 1) in [0, 1].
    """
    flip: bool = False
    fill: str = 'constant'
    until: float = math.inf
    zoom: float = 1.
    strength: float = 0.
    task: object = ANY_CLASSES
    share: float = 0.

    def __post_init__(self):
        self.change = photometric(self.strength) if self.strength else None   # its layers are made once

    def _drawn(self, n, key):
        """(1 until the step `until`, then 0; u (n, 5) in [-1, 1); angle (n,), radians; side: -1 mirrors)."""
        on = tf.cast(tf.cast(key.step, tf.float32) < self.until, tf.float32)
        u = key.uniform(n, (5,), -1., 1.)*[on, on, on, on, 1.]
        angle = 2*math.pi*MAX_ROTATION*u[:, 0] if self.task.rotates else tf.zeros_like(u[:, 0])
        side = tf.where(u[:, 4] < 0, -1., 1.) if self.flip else tf.ones_like(angle)
        return on, u, angle, side

    def target(self, y, key):
        """What the answer to the images under the same key is, if it was y (n,) before."""
        _, _, angle, side = self._drawn(tf.shape(y)[0], key)
        return self.task.moved(y, angle, side)

    def __call__(self, x, m, key):
        n, (h, w) = tf.shape(x)[0], x.shape[1:3]
        on, u, angle, side = self._drawn(n, key)
        shear = MAX_SHEAR*u[:, 1]
        # output pixel -> input pixel: mirror, then shear, then rotate about the centre, then shift
        a, b = side*tf.cos(angle), -tf.sin(angle + shear)
        d, e = side*tf.sin(angle), tf.cos(angle + shear)
        if self.zoom > 1:
            scale = self.zoom**(on*key.fold(2).uniform(n, (), -1., 1.))   # alike at every 1/s and s
            a, b, d, e = a*scale, b*scale, d*scale, e*scale
        cx, cy = (w - 1)/2, (h - 1)/2
        x0, y0 = cx + MAX_SHIFT*w*u[:, 2] - a*cx - b*cy, cy + MAX_SHIFT*h*u[:, 3] - d*cx - e*cy
        brightness = 1 + on*(key.fold(1).uniform(n, (1, 1, 1), *BRIGHTNESS) - 1)
        x, m = _move(x, m, tf.stack([a, b, x0, d, e, y0], 1), brightness, self.fill)
        if self.change:
            x = tf.cond(on > 0, lambda: self.change(x, key.fold(3)), lambda: x)
        if self.share:
            x = tf.cond(on > 0, lambda: erased(x, self.share, key.fold(4)), lambda: x)
        return x, m


def photometric(strength):
    """change(x, key) -> x': the image by another camera and in another light, each image by its own.

    White balance (in colour), brightness, contrast, saturation (in colour); every second image blurred, every
    second one through JPEG. strength: in (0, 1], of all of them. x: (n, h, w, c) in [0, 1].
    """
    of = {'value_range': (0., 1.), 'dtype': 'float32'}
    # Keras' layers do, our keys decide: what the layers draw by themselves is no function of seed and step
    brightness, contrast = layers.RandomBrightness(1., **of), layers.RandomContrast(1., **of)
    saturation = layers.RandomSaturation(1., **of)

    def change(x, key):
        n, (side, _, c) = tf.shape(x)[0], x.shape[1:]
        u = strength*key.uniform(n, (6, 1, 1, 1), -1., 1.)   # (n, 6, 1, 1, 1)
        if c == 3:
            gains = strength*WHITE_BALANCE*key.fold(1).uniform(n, (1, 1, 3), -1., 1.)
            x = tf.minimum(x*tf.exp(gains), 1.)
            x = saturation.transform_images(x, {'factor': 1 + SATURATION*u[:, 0, 0, 0, 0]})
        x = brightness.transform_images(x, {'rgb_delta': BRIGHTER*u[:, 1]})
        x = contrast.transform_images(x, {'contrast_factor': 1 + CONTRAST*u[:, 2]})
        widest = strength*BLUR*side
        taps = 2*math.ceil(2*widest) + 1
        width = key.fold(2).uniform(1, (), 0.01, widest)   # the same for all blurred images of a step
        blurred = keras.ops.image.gaussian_blur(x, (taps, taps), tf.repeat(width, 2))
        x = tf.where(u[:, 3] < 0, tf.clip_by_value(blurred, 0., 1.), x)
        quality = tf.cast(100 - (100 - JPEG)*tf.abs(u[:, 4, 0, 0, 0]), tf.int32)
        coded = tf.map_fn(lambda one: tf.image.adjust_jpeg_quality(*one), (x, quality),
                          fn_output_signature=tf.TensorSpec(x.shape[1:]))
        return tf.where(u[:, 5] < 0, tf.ensure_shape(coded, x.shape), x)
    return change


def erased(x, share, key):
    """Images where a share of them have lost one rectangle to noise (random erasing, Zhong et al. 2020,
    arXiv 1708.04896): nothing of the object may be all that is recognised. x: (n, h, w, c) in [0, 1].

    Keras' RandomErasing draws its rectangles from a generator of its own, not from our keys.
    """
    n, (h, w, c) = tf.shape(x)[0], x.shape[1:]
    u = key.uniform(n, (5, 1, 1, 1))   # (n, 5, 1, 1, 1)
    area = ERASED_AREA[0] + (ERASED_AREA[1] - ERASED_AREA[0])*u[:, 0]
    aspect = ERASED_ASPECT**(2*u[:, 1] - 1)   # alike at every a and 1/a
    high, wide = (tf.minimum(tf.sqrt(area*a), 1.) for a in (aspect, 1/aspect))
    top, left = h*(1 - high)*u[:, 2], w*(1 - wide)*u[:, 3]
    row, col = tf.range(h, dtype=tf.float32)[:, None, None], tf.range(w, dtype=tf.float32)[:, None]
    inside = (row >= top) & (row < top + h*high) & (col >= left) & (col < left + w*wide)
    return tf.where(inside & (u[:, 4] < share), key.fold(1).uniform(n, (h, w, c)), x)


def to_float(x):
    """uint8 0..255 -> float32 [0, 1]."""
    return tf.cast(x, tf.float32)/255


def fetcher(images):
    """indices (k,) -> {'x', 'y'[, 'm']}, uint8 and int32 (numbers: float32), as a function for tf.data."""
    streamed = isinstance(images.x, list)
    y = tf.constant(images.y, tf.float32 if np.asarray(images.y).dtype.kind == 'f' else tf.int32)
    with tf.device('CPU'):
        arrays = {'m': tf.constant(images.m)} if images.m is not None else {}
        if not streamed:
            arrays['x'] = tf.constant(images.x)
    paths = tf.constant([os.fsencode(p) for p in images.x]) if streamed else None   # any bytes name a file

    def read(batch):
        return np.stack([images.read(os.fsdecode(path)) for path in batch])

    def fetch(rows):
        batch = {'y': tf.gather(y, rows), **{k: tf.gather(v, rows) for k, v in arrays.items()}}
        if streamed:   # one call a batch, in parallel; stateless, so that --deterministic keeps it so
            x = tf.numpy_function(read, [tf.gather(paths, rows)], tf.uint8, stateful=False)
            batch['x'] = tf.ensure_shape(x, (rows.shape[0], *images.shape))
        return batch
    return fetch


def batches(images, prepare, batchsize, seed, first_step=0, share=(1, slice(None))):
    """Endless tf.data of prepared training batches from step `first_step` on.

    Every pass is a permutation of (seed, pass). prepare(batch, key): what a step does that needs no weights
    (augmentation, random backgrounds); tf.data runs it beside the step before. share: (replicas, which of
    them are served here): a global batch is cut into a slice for each, and those of this process come one by
    one; `step` and `part` tell which it is. Errors: a UserError when there are fewer images than a batch or
    the replicas do not divide it.
    """
    parts, mine = share
    steps = len(images)//batchsize
    if not steps:
        raise UserError(f'--batchsize {batchsize} is larger than the {len(images)} training images; use at '
                        f'most {len(images)}')
    if batchsize % parts:
        raise UserError(f'--batchsize {batchsize} is not divisible by the {parts} replicas; use '
                        f'{batchsize*parts}')
    numbers = list(range(parts))[mine]
    local = len(numbers)

    def one_pass(number):
        order = tf.random.experimental.stateless_shuffle(tf.range(len(images)), tf.stack([seed, number]))
        rows = tf.reshape(order[:steps*batchsize], (steps, parts, batchsize//parts))[:, mine]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(rows, (-1, batchsize//parts)))
    order = tf.data.Dataset.range(first_step//steps, 2**31 - 1)
    order = order.flat_map(lambda p: one_pass(tf.cast(p, tf.int32))).skip(first_step % steps*local)
    fetch = fetcher(images)

    @tf.autograph.experimental.do_not_convert   # nothing to convert, and it takes a while
    def make(index, rows):
        step, part = first_step + index//local, tf.gather(numbers, index % local)
        return {**prepare(fetch(rows), Key.of(seed, step, part, parts)), 'step': step, 'part': part}
    data = tf.data.Dataset.zip(tf.data.Dataset.counter(), order)
    return untuned(data.map(make, tf.data.AUTOTUNE, deterministic=True).prefetch(2))


def in_order(images, batchsize=512):
    """tf.data over all images once: {'x', 'y'[, 'm'], 'i': row}; fewer a batch where they are large."""
    pixels = math.prod(images.shape or images.x.shape[1:])
    batchsize = max(1, min(batchsize, MOST_PIXELS//pixels))
    fetch = fetcher(images)

    @tf.autograph.experimental.do_not_convert
    def make(rows):
        return {**fetch(rows), 'i': rows}
    rows = tf.data.Dataset.range(len(images)).batch(batchsize)
    return untuned(rows.map(make, tf.data.AUTOTUNE, deterministic=True).prefetch(2))


def spread(images, count):
    """One batch of `count` images for a picture, from all over: folders stand in order of classes."""
    return next(iter(in_order(from_all_over(images, count), count)))


def from_all_over(images, count):
    """So many Images at even distances."""
    return images.take(np.linspace(0, len(images) - 1, count).astype(int))


def some(images, most):
    """uint8 (k, h, w, c): the images, or so many from all over that they fit into `most` bytes."""
    count = max(1, most//math.prod(images.shape or images.x.shape[1:]))
    found = from_all_over(images, min(len(images), count))
    return np.concatenate([batch['x'].numpy() for batch in in_order(found)])


class Test(NamedTuple):
    """images(): the test images, read when they are first needed; paste: (x, rows) -> x on its background."""
    images: object
    paste: object = None

    def batches(self, batchsize=512):
        """tf.data of {'x' float32 [0, 1], 'y', 'i'[, 'm']}, composed batch by batch."""
        finish = tf.autograph.experimental.do_not_convert(self._composed)   # takes a while for nothing
        return in_order(self.images(), batchsize).map(finish, tf.data.AUTOTUNE, deterministic=True)

    def one(self, row):
        """(x (h, w, c) in [0, 1], y) of one image on its background, for a picture."""
        rows = np.array([row])
        batch = self._composed({**next(iter(in_order(self.images().take(rows)))), 'i': rows})
        return batch['x'][0].numpy(), batch['y'][0].numpy()

    def _composed(self, batch):
        x = to_float(batch['x'])
        return {**batch, 'x': x if self.paste is None else self.paste(x, batch['i'])}

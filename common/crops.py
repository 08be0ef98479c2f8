"""The crop of attention in Keras' own operations, so that a file with it loads where only Keras is."""
import numpy as np

from common.quiet import keras

ops = keras.ops


def crop_largest(x, features, tau):
    """mymodels.CropLargest, but for rounding: images cropped to the box of their largest active component."""
    h, w = features.shape[1:3]
    heat = ops.max(ops.absolute(features), -1, keepdims=True)
    low, high = ops.min(heat, (1, 2), keepdims=True), ops.max(heat, (1, 2), keepdims=True)
    flat = ops.cast(ops.equal(high, low), 'float32')       # a flat heatmap keeps all
    share = (heat - low)/(high - low + flat)
    active = ops.cast(ops.greater_equal(share, tau*(1 - flat)), 'float32')
    largest = _largest_component(active, h, w)
    y, height = _span(ops.max(largest, (2, 3)), x.shape[1])
    x0, width = _span(ops.max(largest, (1, 3)), x.shape[2])
    none = ops.zeros_like(y)
    maps = ops.stack([width, none, x0, none, height, y, none, none], 1)   # output pixel -> input pixel
    return ops.image.affine_transform(x, maps, interpolation='bilinear', fill_mode='nearest')


def _largest_component(active, h, w):
    """Each pixel of a component gets its highest label; of equally large ones the highest label wins."""
    cells = np.arange(h*w, 0, -1, dtype=np.float32).reshape(1, h, w, 1)
    labels = active*cells
    for _ in range(h*w//2):
        labels = ops.max_pool(labels, 3, 1, padding='same')*active
    each = np.arange(1, h*w + 1, dtype=np.float32).reshape(1, 1, h*w)
    counts = ops.sum(ops.cast(ops.equal(ops.reshape(labels, (-1, h*w, 1)), each), 'float32'), 1)
    best = ops.argmax(counts + each[0]/(2*h*w + 2), 1) + 1
    return ops.cast(ops.equal(labels, ops.reshape(ops.cast(best, 'float32'), (-1, 1, 1, 1))), 'float32')


def _span(line, side):
    """(first pixel, pixels from one to the next) of the crop along an axis. line: (n, cells), 1 inside."""
    cells = line.shape[1]
    k = np.arange(cells, dtype=np.float32)[None]
    first = ops.min((1 - line)*cells + k, 1)*side/cells
    last = ops.max(line*(k + 1), 1)*side/cells - 1
    return first, (last - first)/(side - 1)

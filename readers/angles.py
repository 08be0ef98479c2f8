"""Images turned by known angles: the well-known exercise of regression on digits."""
import functools

import numpy as np

from common.geometry import warp
from common.quiet import tf

MOST = 45.               # degrees, counter-clockwise as one sees the image
NEAR = 10.               # degrees: an answer as near as that counts as right
SEED = 45                # of the angles
CHUNK = 5000             # images turned at once


@functools.cache   # one array, which tells that tests have the same images
def angles(split, n):
    """float32 (n,) in degrees, uniform in -MOST to MOST: each a function of SEED, split (0: training) and row
    alone, so that it does not depend on how many images are used."""
    return np.random.RandomState([SEED, split]).uniform(-MOST, MOST, n).astype(np.float32)


def turned(x, degrees):
    """Images uint8 (n, h, w, c) turned about their centre, bilinear; black comes in from outside."""
    out, (cy, cx) = np.empty_like(x), ((s - 1)/2 for s in x.shape[1:3])
    for i in range(0, len(x), CHUNK):
        a = tf.constant(degrees[i:i + CHUNK]*np.float32(np.pi/180))
        cos, sin = tf.cos(a), tf.sin(a)
        maps = tf.stack([cos, -sin, cx - cos*cx + sin*cy, sin, cos, cy - sin*cx - cos*cy], 1)
        out[i:i + CHUNK] = tf.cast(tf.round(warp(tf.cast(x[i:i + CHUNK], tf.float32), maps)), tf.uint8)
    return out

"""Does a network find the object, or the seam where the scissors went? Grounds with other things pasted on.

Behind every test image lies a photograph of the unseen families with two more pieces on it, cut out with the
same scissors: the object of another image, and another object's outline filled with a grating, both moved
aside. The image's own object lies on top. All of it is a function of the image's row.
"""
import numpy as np

import mybackgrounds
import mydatasets
from common.errors import UserError
from common.geometry import warp
from common.quiet import tf
from mydatagen import to_float
from scoring import objects, unseen

SEED = 2000
ASIDE = 0.25, 0.5        # sides: how far the pieces are moved
NAME = 'distractors'
GROUND, FILLING = 'photographs', 'gratings'


def moves(n):
    """float32 (n, 2, 2): by how many sides each of two pieces is moved down and right."""
    u = np.random.RandomState(SEED).uniform(size=(n, 2, 2))
    length, angle = ASIDE[0] + (ASIDE[1] - ASIDE[0])*u[..., 0], 2*np.pi*u[..., 1]
    return np.stack([length*np.sin(angle), length*np.cos(angle)], -1).astype(np.float32)


def moved(x, by):
    """Images (n, h, w, c) moved down and right by (n, 2) sides; 0 comes in."""
    one, none, side = tf.ones_like(by[:, 0]), tf.zeros_like(by[:, 0]), x.shape[1]
    return warp(x, tf.stack([one, none, -side*by[:, 1], none, one, -side*by[:, 0]], 1))


def paste(images):
    """(x, rows) -> x before such a ground, outside its object grown by the halo of the tests."""
    def onto(x, rows):
        n, (side, _, channels) = len(images()), x.shape[1:]
        kept = min(n, unseen.COLOUR_ROWS) if channels == 3 else n
        with tf.init_scope():   # tensors beside the graph of tf.data, not constants of megabytes in it
            pixels, aside = tf.constant(images().x), tf.constant(moves(n))
            masks = None if images().m is None else tf.constant(images().m)
            ground, filling = (tf.constant(unseen.bank(f, side, kept, channels)) for f in (GROUND, FILLING))

        def cut(rows, halo):
            found = to_float(tf.gather(pixels, rows))
            return found, objects.mask(found, None if masks is None else tf.gather(masks, rows), halo)
        b = to_float(tf.gather(ground, rows % kept))
        for k in (0, 1):
            piece, m = cut((rows + (k + 1)*(n//3 + 1)) % n, 1)
            if k:
                piece = to_float(tf.gather(filling, rows % kept))
            both = moved(tf.concat([piece, m], -1), tf.gather(aside, rows)[:, k])
            b = mybackgrounds.compose(both[..., :-1], both[..., -1:], b)
        return mybackgrounds.compose(x, cut(rows, mydatasets.HALO)[1], b)
    return onto


def tests(data):
    """{NAME: Test}. Errors: UserError for images whose objects are not known, or that are streamed."""
    images = objects.known(data).images
    if isinstance(images().x, list):
        raise UserError(f'--tests {NAME} wants the test images of {data.name} in memory; use a smaller '
                        '--size')
    return {NAME: mydatasets.Test(images, paste(images))}

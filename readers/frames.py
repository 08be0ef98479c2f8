"""Photographs as a network knows images: their side, the margin around their object, batches of them."""
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from readers import photographs

STORED, PADDED = 28, 32   # sides of MNIST and its like, and of what is trained on
DIGITS = 1/8              # of its side: the margin of the embedded digits, 24x24 in 32x32


def pad32(x):
    """28x28 images zero-padded to 32x32. x: (n, h, w, c)."""
    rim = (PADDED - STORED)//2
    return np.pad(x, ((0, 0), (rim, rim), (rim, rim), (0, 0))) if x.shape[1] == STORED else x


class Frame(NamedTuple):
    """How a photograph becomes an image (side, side, channels) like those that the network learnt from."""
    side: int
    channels: int
    fit: str = photographs.FITS[0]
    margin: int = 0          # black pixels on each side
    always: bool = False     # also around images that already have the network's side
    invert: bool = False

    @property
    def inner(self):
        """Side of what is read."""
        return self.side - 2*self.margin

    def read(self, path):
        """-> uint8 (side, side, channels). Errors: UserError for a damaged file."""
        whole = self.margin and not self.always and photographs.size_of(path) == (self.side, self.side)
        x = photographs.read_image(path, self.side if whole else self.inner, self.channels, self.fit)
        if self.invert:
            x = 255 - x
        rim = (self.side - len(x))//2
        return np.pad(x, ((rim, rim), (rim, rim), (0, 0)))

    def back(self, mask, size):
        """The mask (side, side) in [0, 1] of what `read` gave, at the photograph's own size (w, h), uint8."""
        rim = self.margin if self.always or size != (self.side, self.side) else 0
        return photographs.unfitted(mask[rim:self.side - rim, rim:self.side - rim], size, self.fit)

    def resizes(self, path):
        """Is the image of another size than training had, and the margin around it our guess?"""
        sizes = (self.side, self.side), (self.inner, self.inner)
        return bool(self.margin) and not self.always and photographs.size_of(path) not in sizes


def margin_of(about):
    """Black pixels on each side of the images that the weights learnt from. about: their sidecar."""
    (side, _, channels), own = about['shape'], about.get('arguments')
    if channels != 1:
        return 0
    if about.get('dataset', '').partition('_')[0] == 'digits':
        return round(DIGITS*side)
    asked = own.get('size') if isinstance(own, dict) else None   # images of another side are not padded
    return (PADDED - STORED)//2 if side == PADDED and not asked else 0


def frame_of(about, fit, margin='auto', invert=False):
    """The Frame of the weights. margin: pixels, or `auto`, that of training. Errors: UserError."""
    side, channels = about['shape'][0], about['shape'][-1]
    if margin == 'auto':
        return Frame(side, channels, fit, margin_of(about), invert=invert)
    if margin and channels != 1:
        raise UserError('--margin is black, as around the objects of monochrome sets, and these weights know '
                        'photographs in colour; leave it out')
    if 2*margin >= side:
        raise UserError(f'--margin {margin} leaves nothing of {side} pixels; use at most {(side - 1)//2}')
    return Frame(side, channels, fit, margin, always=True, invert=invert)


def batches(paths, read, batchsize, skip_damaged=False):
    """(paths, uint8 (n, h, w, c)) batch by batch; damaged files raise their UserError, or are noted."""
    def read_or_say(path):
        try:
            return read(path)
        except UserError as e:
            return UserError(str(e))   # a new one: the old one holds on to the pixels it broke at
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, len(paths), batchsize):
            part = paths[i:i + batchsize]
            read_ones = list(pool.map(read_or_say, part))
            for one in (r for r in read_ones if isinstance(r, UserError)):
                if not skip_damaged:
                    raise UserError(f'{one} (or leave it out with --skip-damaged)')
                print(f'note: {one} (skipped)', file=sys.stderr)
            good = [(p, x) for p, x in zip(part, read_ones) if not isinstance(x, UserError)]
            if good:
                yield [p for p, _ in good], np.stack([x for _, x in good])

"""Backgrounds that training knows nothing of, another one behind every test image whose object is known.

A background is a pure function of its family and the image's row: rows are drawn in fixed chunks, each from
its own seed, so neither the batch size nor the number of images changes them. No family may become a source
of training or serve to choose a setting; a row that trained on one anyway is marked in the tables (SEEN).
"""
import functools
import math
import os
import zlib

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFont

import mybackgrounds
import mydatasets
from common import patterns
from common.errors import UserError
from common.quiet import tf
from mydatagen import to_float
from readers.photographs import read_image
from scoring import objects

SEED = 1000
PICTURES = os.path.join(os.path.dirname(skimage.__file__), 'data')
CHUNK = 500             # rows drawn at once; another number would draw other backgrounds
# the photographs (not the microscopy, drawings or tests) that scikit-image's wheel itself contains
PHOTOGRAPHS = ('astronaut.png', 'brick.png', 'camera.png', 'chelsea.png', 'coffee.png', 'coins.png',
               'grass.png', 'gravel.png', 'hubble_deep_field.jpg', 'moon.png', 'motorcycle_left.png',
               'rocket.jpg')
COLOURED = 'astronaut.png', 'chelsea.png', 'coffee.png', 'motorcycle_left.png', 'rocket.jpg'
REDUCTIONS = 1, 2, 4    # of the photographs, so that crops show details as well as scenes
PERIOD = 1/12, 1/2      # of a grating, in sides
CROSSES = 8             # in an image
FONT = 0.35, 0.5, 0.7   # height of the letters, in sides
PAGE = 12               # sides of a page of text that fragments are cut from
SHIFT = 3               # pixels at most by which border-bound patterns are moved
COLOUR_ROWS = 2000      # backgrounds in colour, for as many images; further images begin anew
# what is like a source of training, by its name: about 1 % of random textures are plain, and the pieces
# that lie outside an object. So is, in colour, a fifth of what the adversary's head makes of a generator that
# was never trained; in monochrome up to 0.6 %
PLAIN = 'grey', 'white'
SEEN = {'noise': ('gaussian',), 'real': ('patterns-shifted', 'patterns-inverted'), 'textures': PLAIN,
        'pieces': PLAIN}
SEEN_IN_COLOUR = {'noise': ('gaussian',), 'real': ('photographs',), 'textures': PLAIN, 'adv': PLAIN,
                  'pieces': PLAIN}


# Families: (side, n, numpy RandomState) -> (n, side, side) in [0, 1]; `coloured` gives them colour.

def crops(pictures, side, n, random):
    """Random windows of pictures (H, W[, c]) in [0, 1], H and W >= side."""
    which, u = random.randint(len(pictures), size=n), random.uniform(size=(2, n))
    out = np.empty((n, side, side, *pictures[0].shape[2:]), np.float32)
    for k, picture in enumerate(pictures):
        mine = which == k
        windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side), (0, 1))
        rows, cols = (np.floor(u[i, mine]*windows.shape[i]).astype(int) for i in (0, 1))
        found = windows[rows, cols]
        out[mine] = found if picture.ndim == 2 else np.moveaxis(found, 1, -1)
    return out


@functools.lru_cache(maxsize=2)
def _photographs(side, mode):
    """Pictures (H, W[, 3]) of every photograph at every reduction that leaves at least `side` pixels; mode:
    L (grey), or RGB for the coloured ones."""
    found = []
    for name in PHOTOGRAPHS if mode == 'L' else COLOURED:
        try:
            with Image.open(os.path.join(PICTURES, name)) as im:
                picture = im.convert(mode)
        except OSError as e:
            raise UserError(f'{PICTURES}/{name} is missing or damaged; reinstall scikit-image') from e
        for r in REDUCTIONS:
            scale = max(1/r, side/min(picture.size))
            size = [max(side, round(scale*s)) for s in picture.size]
            found.append(np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32)/255)
    return found


def photographs(side, n, random, mode='L'):
    """Crops, each brought to full contrast."""
    b = crops(_photographs(side, mode), side, n, random)
    low, high = (r(b, axis=tuple(range(1, b.ndim)), keepdims=True) for r in (np.min, np.max))
    return (b - low)/np.maximum(high - low, 1/255)


def scenes(side):
    """Source of crops of the coloured ones, for pictures of what training has not seen (mybackgrounds)."""
    pictures = [read_image(os.path.join(PICTURES, name), 2*side) for name in COLOURED]
    return mybackgrounds.photographs(np.stack(pictures))


def gratings(side, n, random):
    """Sinusoids at random angle, period and phase."""
    u = random.uniform(size=(3, n, 1, 1))
    y, x = np.mgrid[:side, :side]
    period = side*PERIOD[0]*(PERIOD[1]/PERIOD[0])**u[0]
    angle = math.pi*u[1]
    return 0.5 + 0.5*np.sin(2*math.pi*((x*np.cos(angle) + y*np.sin(angle))/period + u[2]))


def crosses(side, n, random):
    """White crosses of random place, size, thickness and angle on black."""
    y, x = np.mgrid[:side, :side]
    b = np.zeros((n, side, side), bool)
    for _ in range(CROSSES):
        u = random.uniform(size=(5, n, 1, 1))
        dx, dy, angle = x - side*u[0], y - side*u[1], math.pi/2*u[2]
        along, across = abs(dx*np.cos(angle) + dy*np.sin(angle)), abs(dy*np.cos(angle) - dx*np.sin(angle))
        arm, half = side*(0.1 + 0.2*u[3]), np.maximum(0.8, side*(0.02 + 0.03*u[4]))
        b |= (np.minimum(along, across) < half) & (np.maximum(along, across) < arm)
    return b


@functools.lru_cache(maxsize=2)
def _pages(side):
    """Pages (H, W) in [0, 1] of printed words, white on black and reversed; no figures (classes)."""
    random, pages = np.random.RandomState(SEED), []
    letters = np.array(list('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'))
    for share in FONT:
        size = max(6, round(share*side))
        page = Image.new('L', (PAGE*side, PAGE*side))
        pen, font = ImageDraw.Draw(page), ImageFont.load_default(size)
        for top in range(0, page.height, size):
            words = [''.join(random.choice(letters, random.randint(1, 9))) for _ in range(PAGE*side//size)]
            pen.text((-random.randint(size), top), ' '.join(words), 255, font)
        pages.append(np.asarray(page, np.float32)/255)
    return pages + [1 - p for p in pages]


def text(side, n, random):
    """Fragments of printed words of random letters, half of them white on black."""
    return crops(_pages(side), side, n, random)


def grey(side, n, random):
    return np.broadcast_to(random.uniform(0.25, 0.75, (n, 1, 1)), (n, side, side))


def white(side, n, random):
    return np.ones((n, side, side), np.float32)


def gaussian(side, n, random):
    """Normal noise about the middle, four deviations wide, clipped."""
    return (0.5 + 0.25*random.standard_normal((n, side, side))).clip(0, 1)


def moved(pattern, dy, dx):
    """A pattern shifted by whole pixels; black comes in."""
    padded = np.pad(pattern, SHIFT)
    h, w = pattern.shape
    return padded[SHIFT - dy:SHIFT - dy + h, SHIFT - dx:SHIFT - dx + w]


@functools.lru_cache(maxsize=2)
def _variants(side):
    """[(k, side, side)]: each of the six test patterns at other phases, places and draws."""
    b, shifts = patterns, [s for s in range(-SHIFT, SHIFT + 1) if s]
    places = [(dy, dx) for dy in (0, *shifts) for dx in (0, *shifts)]
    wide = b.board(side + 12)   # squares of 6 repeat after 12
    found = {'stripes': [b.stripes(side, p) for p in range(10)],
             'board': [wide[dy:dy + side, dx:dx + side] for dy in range(12) for dx in range(12)],
             'border': [b.border(side, w) for w in (1, 3, 4)] + [moved(b.border(side), *p) for p in places],
             'circles': [b.circles(side, shift=s) for s in shifts],
             'clock': [moved(b.clock(side), *p) for p in places],
             'random': [b.salt_and_pepper(side, seed=s) for s in range(1, 65)]}
    return [np.unique([v for v in found[name] if not np.array_equal(v, own(side))], axis=0)
            for name, own in b.PATTERNS.items()]


def shifted(side, n, random):
    """The six test patterns, each at a random other phase, place or draw."""
    variants = _variants(side)
    kind, u = random.randint(len(variants), size=n), random.uniform(size=n)
    return np.stack([variants[k][int(v*len(variants[k]))] for k, v in zip(kind, u)])


def inverted(side, n, random):
    """The same, black for white."""
    return 1 - shifted(side, n, random)


FAMILIES = {'photographs': photographs, 'gratings': gratings, 'crosses': crosses, 'text': text,
            'grey': grey, 'white': white, 'gaussian': gaussian, 'patterns-shifted': shifted,
            'patterns-inverted': inverted}


def coloured(family, side, n, random):
    """The family in colour, (n, side, side, 3): white is white and photographs have their own colours, all
    else lies between two random ones."""
    if family == 'photographs':
        return photographs(side, n, random, 'RGB')
    b = np.repeat(FAMILIES[family](side, n, random)[..., None], 3, -1)
    if family == 'white':
        return b
    ends = random.uniform(size=(2, n, 1, 1, 3))
    return ends[0] + b*(ends[1] - ends[0])


# Tests

def drawn(family, side, channels, chunk, seed=SEED):
    """uint8 (CHUNK, side, side, channels): the backgrounds of the rows chunk*CHUNK and on."""
    random = np.random.RandomState([seed, zlib.crc32(family.encode()), chunk])   # its streams never change
    b = FAMILIES[family](side, CHUNK, random)[..., None] if channels == 1 else \
        coloured(family, side, CHUNK, random)
    return np.round(np.asarray(b, np.float32)*255).astype(np.uint8)


@functools.lru_cache(maxsize=1)   # a family is used twice in a row, with and without a halo
def bank(family, side, n, channels=1, seed=SEED):
    """uint8 (n, side, side, channels): the backgrounds of rows 0 to n - 1."""
    return np.concatenate([drawn(family, side, channels, c, seed) for c in range(-(-n//CHUNK))])[:n]


def backgrounds(family, side, rows, channels=1, seed=SEED):
    """float32 (k, side, side, channels) in [0, 1]: the backgrounds of some rows."""
    rows = np.asarray(rows)
    return bank(family, side, int(rows.max()) + 1, channels, seed)[rows].astype(np.float32)/255


def paste(family, images, halo):
    """(x, rows) -> x on its own background of the family, outside its object grown by `halo` pixels."""
    def onto(x, rows):
        side, channels = x.shape[1], x.shape[-1]
        n, masks = len(images()), images().m
        with tf.init_scope():   # tensors beside the graph of tf.data, not constants of megabytes in it
            b = tf.constant(bank(family, side, n if channels == 1 else min(n, COLOUR_ROWS), channels))
            masks = masks if masks is None else tf.constant(masks)
        m = objects.mask(x, masks if masks is None else tf.gather(masks, rows), halo)
        return mybackgrounds.compose(x, m, to_float(tf.gather(b, rows % len(b))))
    return onto


def tests(data):
    """{unseen-<family>[-nohalo]: Test} on the images of a monochrome set, or of the first test of photographs
    that has true masks. Errors: UserError for none."""
    images = objects.known(data).images
    return {f'unseen-{family}{ending}': mydatasets.Test(images, paste(family, images, halo))
            for family in FAMILIES for ending, halo in (('', mydatasets.HALO), ('-nohalo', 0))}

"""The paper's test patterns: side -> (side, side) uint8 in {0, 1}, as in the published code at 32 pixels."""
import numpy as np
from skimage import draw


def stripes(side, phase=0):
    """Diagonals y = x + b, 2 thick, one every 10 pixels, the first at b = 1 - side."""
    y, x = np.mgrid[:side, :side]
    return ((y - x - (1 - side) + phase) % 10 < 2).astype(np.uint8)


def board(side, phase=0):
    """Chess board of squares of 6 pixels, shifted by 2."""
    y, x = (np.mgrid[:side, :side] + 2 + phase)//6
    return ((y + x) % 2).astype(np.uint8)


def border(side, width=2):
    p = np.ones((side, side), np.uint8)
    p[width:-width, width:-width] = 0
    return p


def circles(side, radius=6, shift=0):
    """Four outlines of radius 6, centred 8 pixels from the corners."""
    p = np.zeros((side, side), np.uint8)
    for r in (8, side - 8):
        for c in (8, side - 8):
            p[draw.circle_perimeter(r + shift, c + shift, radius, shape=p.shape)] = 1
    return p


def clock(side):
    """A dial: two outlines of radius side/2-1 and side/2-2, and ticks at the four quarters."""
    p = np.zeros((side, side), np.uint8)
    middle = side//2
    for radius in (middle - 1, middle - 2):
        p[draw.circle_perimeter(middle, middle, radius, shape=p.shape)] = 1
    for start, end in (((0, middle - 1), (6, middle + 1)), ((side - 6, middle - 1), (side - 1, middle + 1)),
                       ((middle - 1, 0), (middle + 1, 6)), ((middle - 1, side - 6), (middle + 1, side - 1))):
        p[draw.rectangle(start, end, shape=p.shape)] = 1
    return p


def salt_and_pepper(side, rate=0.25, seed=0):
    """White pixels at `rate`: one fixed draw, the same picture for every image (as in the paper)."""
    p = np.zeros(side*side, np.uint8)
    p[np.random.RandomState(seed).choice(side*side, round(rate*side*side), replace=False)] = 1
    return p.reshape(side, side)


PATTERNS = {'stripes': stripes, 'board': board, 'border': border, 'circles': circles, 'clock': clock,
            'random': salt_and_pepper}
NOISE_RATES = [r/100 for r in range(10)] + [r/10 for r in range(1, 11)]

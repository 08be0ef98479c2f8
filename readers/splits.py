"""Which images are for training and which for validation: from one seed, the same in all phases."""
import numpy as np

from common.errors import UserError

SPLIT_SEED = 2020        # of every split: training and validation images, and sets that come in one piece
VALIDATION_SHARE = 0.1


def split_rows(y, share=VALIDATION_SHARE, first=None):
    """(training rows, validation rows): `share` of every class, at least one, by SPLIT_SEED alone.

    first: (n,) rows, for each image the first that is equal to it, whose side it takes; None: all differ.
    """
    order = np.random.RandomState(SPLIT_SEED).permutation(len(y))
    held = np.zeros(len(y), bool)
    for c in np.unique(y):
        mine = order[y[order] == c]
        held[mine[:max(1, round(share*len(mine)))]] = True
    if first is not None:
        held = held[first]
    return np.sort(order[~held[order]]), np.sort(order[held[order]])


def limited(y, limit):
    """The rows of a subset of `limit` images, classes in turn, so that a small one still has all of them."""
    if limit is None:
        return np.arange(len(y))
    if limit < 2*len(np.unique(y)):
        raise UserError(f'--limit {limit} leaves less than two images a class; use {2*len(np.unique(y))} '
                        'or more')
    rank = np.zeros(len(y), int)
    for c in np.unique(y):
        rank[y == c] = np.arange((y == c).sum())
    return np.sort(np.lexsort((np.arange(len(y)), rank))[:limit])

"""Does an exported file answer as the network does, on real photographs, and in what time?"""
import time
from typing import NamedTuple

import numpy as np

MARGIN = 1e-3   # between the two largest probabilities; below it rounding may decide


class Agreement(NamedTuple):
    """Of an exported file with the network that it came from."""
    photographs: int
    compared: int     # those where the network is surer than MARGIN
    same: int         # of these, with the same class
    widest: float     # largest margin of the network where the file answers otherwise; 0: nowhere
    milliseconds: float   # a photograph, one at a time, the median


def agreement(run, network, images):
    """run: float32 pixels 0..255 (1, h, w, c) -> outputs (1, classes); network: the same for (n, h, w, c),
    to probabilities; images: batches of uint8 (n, h, w, c)."""
    wanted, found, seconds = [], [], []
    for batch in images:
        pixels = batch.astype(np.float32)
        wanted.append(np.asarray(network(pixels)))
        for one in pixels[:, None]:
            if not seconds:
                run(one)   # the first call sets up
            began = time.perf_counter()
            found.append(run(one)[0])
            seconds.append(time.perf_counter() - began)
    wanted, found = np.concatenate(wanted), np.stack(found)
    second, first = np.sort(wanted, 1)[:, -2:].T
    margins, other = first - second, wanted.argmax(1) != found.argmax(1)
    sure = margins > MARGIN
    return Agreement(len(wanted), int(sure.sum()), int((sure & ~other).sum()),
                     float(margins[other].max(initial=0)), 1e3*float(np.median(seconds)))

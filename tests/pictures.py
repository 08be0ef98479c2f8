"""Files of photographs for tests: sound ones of every kind, cut ones, and one that declares too much."""
import os
import pathlib
import zlib

import numpy as np
import pytest
from PIL import Image

import toys
from mydatagen import in_order

SIGNS = os.path.join(toys.ROOT, '..', 'shared', 'signs')
needs_signs = pytest.mark.skipif(not os.path.isdir(SIGNS), reason='../shared/signs is not there')
PLAIN = dict(jpg='RGB', jpeg='L', png='RGB', webp='RGB', bmp='RGB', gif='P', tif='L', tiff='RGB')  # noqa: C408


def converted(im, mode):
    return im.quantize(4) if mode == 'P' else im.convert(mode)  # convert('P') dithers


def noise(seed, w=40, h=40):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8))


def save(path, im, **options):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    im.save(path, **options)
    return str(path)


def cut(path, share=0.5):
    """Loses the end of the file."""
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[:int(share*len(data))])


def huge_png(path, w, h):
    """A few bytes that declare w x h pixels."""
    def chunk(kind, data):
        return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')
    header = w.to_bytes(4, 'big') + h.to_bytes(4, 'big') + bytes([8, 2, 0, 0, 0])
    data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + data)


def pixels_of(images):
    """All of them, (n, side, side, c), from batches as training gets them."""
    return np.concatenate([b['x'] for b in in_order(images, 3)])

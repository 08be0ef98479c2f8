"""One photograph: file -> pixels. Nothing in a file is executed or unpickled."""
import contextlib
import functools
import os
import re
import sys
import threading
import warnings

import numpy as np
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

from common.errors import UserError
from common.files import printable
from common.pipelines import untuned
from common.quiet import tf

FORMATS = 'JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF'  # whatever the ending says; EPS would run Ghostscript
FITS = 'crop', 'pad'
MAX_PIXELS = 2**26  # 8192 x 8192, 256 MB decoded; stricter than Pillow's own limit, which stays in force
BIG_PIXELS = 25_000_000  # above a usual camera: one such image at a time, to bound the memory of all threads
RESAMPLE = Image.Resampling.HAMMING  # antialiased and never negative: Lanczos rings beside black backgrounds
BACKGROUND_BYTES = 250_000_000   # of background photographs that are held
MEND = '; repair or remove it'

_one_big = threading.Lock()
warnings.simplefilter('error', Image.DecompressionBombWarning)  # caught in opened and told in one line
warnings.filterwarnings('ignore', category=UserWarning, module=r'PIL\.')  # broken metadata is no broken pixel


@contextlib.contextmanager
def opened(path):
    """The image with its header read and its size checked. Whatever goes wrong inside becomes a UserError."""
    try:
        if not os.path.isfile(path):  # a pipe would block for ever
            raise OSError('no such file')
        if not os.path.getsize(path):
            raise OSError('the file is empty')
        with Image.open(path, formats=FORMATS) as im:
            if im.width*im.height > MAX_PIXELS:
                raise OSError(f'{im.width}x{im.height} is more than {MAX_PIXELS:,} pixels')
            with _one_big if im.width*im.height > BIG_PIXELS else contextlib.nullcontext():
                yield im
    except Exception as e:  # damaged files make Pillow raise nearly anything, SyntaxError to struct.error
        unknown = f'not an image ({", ".join(FORMATS)})' if isinstance(e, UnidentifiedImageError) else ''
        reason = unknown or ' '.join(str(e).split()) or type(e).__name__
        raise UserError(f'{printable(path)}: {reason}{MEND}') from e


def loaded(im, side):
    """-> (upright 8-bit L, RGB or RGBA image with pixels enough for `side`; its true (width, height))."""
    size = im.size
    im.draft(None, (2*side, 2*side))  # JPEG: decode at 1/2, 1/4 or 1/8, still with two pixels for one
    im.load()
    raw = im.size
    with contextlib.suppress(Exception):  # of broken EXIF; the pixels are turned before it is written back
        ImageOps.exif_transpose(im, in_place=True)
    size = size if im.size == raw else size[::-1]
    if im.mode.startswith('I;16'):  # the high byte, as Pillow does for colour
        im = Image.fromarray((np.asarray(im) >> 8).astype(np.uint8))
    if im.mode in ('I', 'F'):
        raise ValueError('32-bit pixels have no known range, save them with 8 or 16 bits')
    if im.has_transparency_data:
        return im.convert('RGBA'), size
    return im.convert('L' if im.mode in ('1', 'L') else 'RGB'), size


def _fitted(im, size, fit, fill=None):
    """Image -> (size, size, c). crop: centre square; pad: all, centred on `fill` (None: border colour)."""
    w, h = im.size
    if fit == 'crop':
        side, x, y = min(w, h), (w - min(w, h))/2, (h - min(w, h))/2
        im = im.resize((size, size), RESAMPLE, (x, y, x + side, y + side))
        return np.array(im).reshape(size, size, -1)
    w, h = max(1, round(size*w/max(w, h))), max(1, round(size*h/max(w, h)))
    a = np.asarray(im.resize((w, h), RESAMPLE)).reshape(h, w, -1)
    if fill is None:  # top, left and right: the object may rest on the bottom
        fill = np.median(np.concatenate([a[0], a[:, 0], a[:, -1]]), axis=0)
    out = np.empty((size, size, a.shape[-1]), np.uint8)
    out[:], x, y = fill, (size - w)//2, (size - h)//2
    out[y:y + h, x:x + w] = a
    return out


def unfitted(mask, size, fit):
    """A mask (side, side) in [0, 1] of what `_fitted` made of an image of `size` (w, h) -> uint8 (h, w); what
    the square did not hold is 0."""
    (w, h), side = size, len(mask)
    im = Image.fromarray(np.round(255*np.asarray(mask, np.float32)).astype(np.uint8))
    if fit == 'crop':
        edge, out = min(w, h), Image.new('L', (w, h))
        out.paste(im.resize((edge, edge), Image.Resampling.BILINEAR), ((w - edge)//2, (h - edge)//2))
        return np.asarray(out)
    wide, high = max(1, round(side*w/max(w, h))), max(1, round(side*h/max(w, h)))
    x, y = (side - wide)//2, (side - high)//2
    return np.asarray(im.resize((w, h), Image.Resampling.BILINEAR, (x, y, x + wide, y + high)))


def whole(path):
    """Image file -> RGB (h, w, 3) uint8 of its own size, upright. UserError names a damaged file."""
    with opened(path) as im:
        return np.asarray(loaded(im, max(im.size))[0].convert('RGB'))


def size_of(path):
    """(width, height) as the file's header says. UserError names a file that is no image."""
    with opened(path) as im:
        return im.size


def read_image(path, size, channels=3, fit='crop'):
    """Image file -> uint8 (size, size, channels), upright as EXIF says. path: str or bytes.

    fit 'crop' takes the centre square; 'pad' keeps all and pads with the colour of the image's own border:
    black bars would be a new background, and would tell tall objects from wide ones. Transparent parts are
    white, as viewers show them: their colour is whatever the editor left. UserError names a damaged file.
    """
    with opened(path) as im:
        im, _ = loaded(im, size)
        if im.mode == 'RGBA':
            over = Image.new('RGB', im.size, 'white')
            over.paste(im, mask=im.getchannel('A'))
            im = over
        return _fitted(im.convert({1: 'L', 3: 'RGB'}[channels]), size, fit)


def read_mask(path, size, fit='crop'):
    """Mask file -> uint8 (size, size, 1), 0 background, 255 object; geometry of `read_image`, padding 0.

    A cut-out's alpha is its mask unless opaque everywhere; otherwise the brightest channel counts, and 0 and
    1 are meant as 0 and 255. UserError names a file that is damaged.
    """
    with opened(path) as im:
        im, _ = loaded(im, size)
        bands = im.split()
        if im.mode == 'RGBA' and bands[3].getextrema()[0] < 255:
            im = bands[3]
        elif im.mode != 'L':
            im = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
        if im.getextrema()[1] == 1:
            im = im.point(lambda v: 255*v)
        return _fitted(im, size, fit, fill=0)


def user_error(error):
    """The UserError raised inside a tf.numpy_function that came out as TensorFlow's `error`, or None."""
    line = re.search(r'UserError: (.*)', str(error))
    return UserError(line[1]) if line else None


def read_all(paths, reader, workers=None):
    """Files -> uint8 (n, size, size, c) in their order. reader: path (bytes) -> uint8 (size, size, c).

    Decoded by `workers` threads (None: one per core). UserError as the reader raises it, or without paths.
    """
    if not paths:
        raise UserError('no images to read; add some to the folder')
    workers = workers or os.cpu_count() or 1
    names = tf.data.Dataset.from_tensor_slices(tf.constant([os.fsencode(p) for p in paths]))
    names = names.batch(max(1, min(32, len(paths)//(4*workers))))  # a call costs as much as a small image

    def read(part):
        return np.stack([reader(p) for p in part])

    # stateless: TensorFlow runs stateful functions one by one under --deterministic
    parts = names.map(lambda part: tf.numpy_function(read, [part], tf.uint8, stateful=False),
                      num_parallel_calls=workers, deterministic=True)
    out, done = None, 0
    try:
        for part in untuned(parts).as_numpy_iterator():
            out = np.empty((len(paths), *part.shape[1:]), np.uint8) if out is None else out
            out[done:done + len(part)] = part
            done += len(part)
    except tf.errors.OpError as e:
        raise user_error(e) or e from None
    return out


@functools.lru_cache(maxsize=8)
def pixels(paths, size, fit=FITS[0]):
    """read_image of a tuple of paths, uint8 (n, size, size, 3), once a process."""
    return read_all(list(paths), lambda path: read_image(path, size, 3, fit))


@functools.lru_cache(maxsize=8)
def masks(paths, size, fit=FITS[0]):
    """read_mask of a tuple of paths, uint8 (n, size, size, 1), once a process."""
    return read_all(list(paths), lambda path: read_mask(path, size, fit))


def crops(paths, side, channels=3):
    """Background photographs -> uint8 (k, side, side, channels): centre squares, for random crops later.

    Where there is no room for all of them, some from all over.
    """
    most = max(1, BACKGROUND_BYTES//(side*side*channels))
    if len(paths) > most:
        print(f'note: {most:,} of the {len(paths):,} background photographs are used, there is no room for '
              'more', file=sys.stderr)
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, most).astype(int)]
    return read_all(paths, lambda path: read_image(path, side, channels))

"""Folders of photographs: what lies in them, what is wrong with them, and their pixels as arrays.

PATH/train/<class>/*, PATH/test*/<class>/*, and optionally PATH/masks/<the same path, any image ending> and
PATH/backgrounds/*. Only pixels are ever read from a file: nothing in it is executed or unpickled.
"""
from mycommon import UserError  # first: it quietens TensorFlow

import contextlib
import difflib
import hashlib
import os
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError

ENDINGS = '.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff'  # in any case
FORMATS = 'JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF'  # whatever the ending says; EPS would run Ghostscript
FITS = 'crop', 'pad'
MAX_PIXELS = 2**26  # 8192 x 8192, 256 MB decoded; stricter than Pillow's own limit, which stays in force
BIG_PIXELS = 25_000_000  # above a usual camera: one such image at a time, to bound the memory of all threads
CHUNK = 1024  # files handed to the threads at once, so that Ctrl-C does not wait for 100,000
RESAMPLE = Image.Resampling.HAMMING  # antialiased and never negative: Lanczos rings beside black backgrounds
MEND = '; repair or remove it'

_one_big = threading.Lock()
warnings.simplefilter('error', Image.DecompressionBombWarning)  # caught in _opened and told in one line
warnings.filterwarnings('ignore', category=UserWarning, module=r'PIL\.')  # broken metadata is no broken pixel


class Files(NamedTuple):
    """One split. A label of -1 is a class that train/ lacks (`check` refuses it)."""
    paths: list[str]
    labels: np.ndarray       # (n,) int32
    masks: list[str] | None  # None unless every file has one


class Folder(NamedTuple):
    """What `scan` found. Splits: 'train' first, then every folder test* in natural order."""
    root: str
    classes: list[str]
    splits: dict[str, Files]
    backgrounds: list[str]


def printable(path):
    """The path on one line, whatever bytes are in it (str, bytes or PathLike -> str)."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fsdecode(path))


def natural(name):
    """Sort key: img2 before img10; the name itself decides between equals, so the order is total."""
    return [int(s) if i % 2 else s for i, s in enumerate(re.split(r'(\d+)', name.casefold()))], name


def _entries(folder, keep):
    """Paths of the entries that are not hidden, in natural order; none when the folder does not exist."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if not e.name.startswith('.') and keep(e)]
    except FileNotFoundError:
        return []
    except OSError as e:
        raise UserError(f'{printable(folder)}: cannot be listed ({e.strerror}); mend its permissions') from e
    return [os.path.join(folder, name) for name in sorted(names, key=natural)]


def _folders(folder):
    return _entries(folder, lambda e: e.is_dir())


def _images(folder):
    """Broken links count: `check` is to report them, not to overlook them."""
    return _entries(folder, lambda e: e.name.lower().endswith(ENDINGS) and not e.is_dir())


def _masks(root, paths):
    """Mask of each path or '': same place under masks/, any ending; of equal stems the same name wins."""
    found, known = [], {}
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in known:
            files = _images(os.path.join(root, 'masks', os.path.relpath(folder, root)))[::-1]
            names = {os.path.basename(f): f for f in files}
            known[folder] = {os.path.splitext(n)[0]: f for n, f in names.items()} | names
        found.append(known[folder].get(name) or known[folder].get(os.path.splitext(name)[0], ''))
    return found


def _files(root, paths, labels):
    masks = _masks(root, paths)
    return Files(paths, np.asarray(labels, np.int32), masks if paths and all(masks) else None)


def scan(root):
    """Path -> Folder, by names alone: no file is opened. UserError, one line, when the layout differs."""
    root = os.path.normpath(os.path.expanduser(os.fspath(root)))  # no shell expands the ~ of folder:~/photos
    train, shown = os.path.join(root, 'train'), printable(root)
    if not os.path.isdir(root):
        wrong = 'not a folder' if os.path.exists(root) else 'no such folder'
        raise UserError(f'{shown}: {wrong}; give one that holds train/<class>/ and test*/<class>/')
    if not os.path.isdir(train):
        raise UserError(f'{shown}: has no folder train/; put the images in {shown}/train/<class>/')
    classes = [os.path.basename(c) for c in _folders(train)]
    if len(classes) < 2:
        found = f'only the class {printable(classes[0])}' if classes else 'no class folders'
        raise UserError(f'{shown}/train: {found}; put the images of two or more in {shown}/train/<class>/')
    number, splits = {c: i for i, c in enumerate(classes)}, {}
    for split in [train] + [f for f in _folders(root) if os.path.basename(f).startswith('test')]:
        pairs = [(p, number.get(os.path.basename(c), -1)) for c in _folders(split) for p in _images(c)]
        splits[os.path.basename(split)] = _files(root, [p for p, _ in pairs], [i for _, i in pairs])
    return Folder(root, classes, splits, _images(os.path.join(root, 'backgrounds')))


def pictures_in(path):
    """The photographs directly in a folder, for --backgrounds. Errors: a UserError when there are none."""
    found = _images(os.path.expanduser(path)) if os.path.isdir(os.path.expanduser(path)) else []
    if not found:
        raise UserError(f'--backgrounds {printable(path)}: no such folder, or no images in it; give a '
                        'folder of photographs')
    return found


def pictures_below(path):
    """The photographs in a folder and, after them, in the folders below it, in natural order; links to
    folders are not followed."""
    found = []
    for folder, inside, _ in os.walk(path):
        inside[:] = sorted((d for d in inside if not d.startswith('.')), key=natural)
        found += _images(folder)
    return found


def _without(folder, drop):
    """The folder without the paths in `drop`."""
    splits = {}
    for name, files in folder.splits.items():
        kept = [(p, i) for p, i in zip(files.paths, files.labels) if p not in drop]
        splits[name] = _files(folder.root, [p for p, _ in kept], [i for _, i in kept])
    return folder._replace(splits=splits, backgrounds=[p for p in folder.backgrounds if p not in drop])


@contextlib.contextmanager
def _opened(path):
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


def _loaded(im, side):
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


def size_of(path):
    """(width, height) as the file's header says. UserError names a file that is no image."""
    with _opened(path) as im:
        return im.size


def read_image(path, size, channels=3, fit='crop'):
    """Image file -> uint8 (size, size, channels), upright as EXIF says. path: str or bytes.

    fit 'crop' takes the centre square; 'pad' keeps all and pads with the colour of the image's own border:
    black bars would be a new background, and would tell tall objects from wide ones. Transparent parts are
    white, as viewers show them: their colour is whatever the editor left. UserError names a damaged file.
    """
    with _opened(path) as im:
        im, _ = _loaded(im, size)
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
    with _opened(path) as im:
        im, _ = _loaded(im, size)
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
        for part in parts.as_numpy_iterator():
            out = np.empty((len(paths), *part.shape[1:]), np.uint8) if out is None else out
            out[done:done + len(part)] = part
            done += len(part)
    except tf.errors.OpError as e:
        raise user_error(e) or e from None
    return out


def crops(paths, side, channels=3):
    """Background photographs -> uint8 (k, side, side, channels): centre squares, for random crops later."""
    return read_all(paths, lambda path: read_image(path, side, channels))


def _look(path, decode):
    """-> true (width, height), upright if decoded, or the UserError of a damaged file."""
    try:
        with _opened(path) as im:
            return _loaded(im, 32)[1] if decode else im.size
    except UserError as e:
        return UserError(str(e))  # a new one: the old one holds on to the pixels it broke at


def _damage(folder, decode):
    """[(path to leave out, line of the report)]. A bad mask takes its image along."""
    pairs = [p for f in folder.splits.values() for p in zip(f.paths, _masks(folder.root, f.paths))]
    todo, looked = [p for pair in pairs for p in pair if p] + folder.backgrounds, {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, len(todo), CHUNK):
            part = todo[i:i + CHUNK]
            looked.update(zip(part, pool.map(lambda p: _look(p, decode), part)))
    bad = {p: str(e).removesuffix(MEND) for p, e in looked.items() if isinstance(e, UserError)}
    found = []
    for image, mask in pairs + [(p, '') for p in folder.backgrounds]:
        found += [(image, bad[p]) for p in (image, mask) if p in bad]
        if mask and decode and not {image, mask} & bad.keys():
            (w, h), (v, g) = looked[image], looked[mask]
            if abs(w*g - v*h) > max(w, h, v, g):  # a pixel of rounding is no other aspect
                found.append((image, f'{printable(mask)}: a mask of {v}x{g} for an image of {w}x{h}'))
    return found


def _class_problems(folder):
    """(errors, warnings): classes without images or with too few, unknown classes, images in no class."""
    errors, notes = [], []
    for split, files in folder.splits.items():
        where = os.path.join(folder.root, split)
        unknown = {os.path.dirname(p): None for p, i in zip(files.paths, files.labels) if i < 0}
        for c in unknown:
            near = difflib.get_close_matches(os.path.basename(c), folder.classes, 1)
            errors.append(f'{printable(c)}: a class that train/ does not have'
                          + (f'; did you mean {printable(near[0])}?' if near else ''))
        counts = np.bincount(files.labels[files.labels >= 0], minlength=len(folder.classes))
        empty = [os.path.join(where, c) for c, n in zip(folder.classes, counts) if not n]
        bad = errors if split == 'train' or not files.paths else notes
        empty = empty if files.paths else [where]
        bad += [f'{printable(c)}: no images ({" ".join(ENDINGS)})' for c in empty]
        single = [c for c, n in zip(folder.classes, counts) if n == 1 and split == 'train']
        errors += [f'{printable(os.path.join(where, c))}: one image; a class needs one to train on and one '
                   'to validate on' for c in single]
        notes += [f'{printable(p)}: ignored, it lies in no class folder' for p in _images(where)]
    return errors, notes


def _duplicates(folder):
    """Test images that are, byte for byte, training images. Only files of equal size are read."""
    def digest(path):
        with open(path, 'rb') as f:
            return hashlib.file_digest(f, 'sha256').digest()
    train, *tests = [{p: os.path.getsize(p) for p in files.paths} for files in folder.splits.values()]
    both = set(train.values()) & {n for test in tests for n in test.values()}
    known = {digest(p): p for p, n in reversed(train.items()) if n in both}  # of several, the first is named
    found = [(p, known.get(digest(p))) for test in tests for p, n in test.items() if n in both]
    return [f'{printable(p)}: the same file as {printable(t)}' for p, t in found if t]


def check(folder, skip_damaged=False, decode=True):
    """Folder -> (Folder without damaged files, [skipped files and warnings, one line each, with its path]).

    decode=False looks at headers alone: fast, but blind to truncation and to masks of another aspect.
    UserError, with the whole report below its first line, when a test has a class that train/ lacks, a class
    of train/ has less than two images, a whole test is empty, or files are damaged and not skipped. A damaged
    mask takes its image along, or its split would lose all masks.
    """
    damaged = _damage(folder, decode)
    kept = _without(folder, {p for p, _ in damaged})
    errors, notes = _class_problems(kept if skip_damaged else folder)
    for files in kept.splits.values():
        masks = _masks(kept.root, files.paths)
        notes += [f'{printable(p)}: has no mask, so its split is used without masks'
                  for p, m in zip(files.paths, masks) if not m and any(masks)]
    notes += _duplicates(kept)
    lines = [f'{line} (skipped)' if skip_damaged else line for _, line in damaged]
    mends = ['mend the class folders'] if errors else []
    if damaged and not skip_damaged:
        mends.append('repair the damaged files or leave them out with --skip-damaged')
    if not mends:
        return kept, lines + notes
    report = [f'{printable(folder.root)}: {len(damaged)} damaged files, {len(errors)} errors in classes, '
              f'{len(notes)} warnings; {" and ".join(mends)}']
    for kind, found in {'damaged': lines, 'error': errors, 'warning': notes}.items():
        report += [f'  {kind}: {line}' for line in found]
    raise UserError('\n'.join(report))

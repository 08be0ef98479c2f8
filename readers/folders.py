"""Folders of photographs: what lies in them, what is wrong with them, and their pixels as arrays.

PATH/train/<class>/*, PATH/test*/<class>/*, and optionally PATH/masks/<the same path, any image ending> and
PATH/backgrounds/*. Only pixels are ever read from a file: nothing in it is executed or unpickled.
"""
import collections
import difflib
import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from common.files import printable
from readers.photographs import loaded, opened, MEND

ENDINGS = '.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff'  # in any case
CHUNK = 1024  # files handed to the threads at once, so that Ctrl-C does not wait for 100,000


class Files(NamedTuple):
    """One split. A label of -1 is a class that train/ lacks (`check` refuses it)."""
    paths: list[str]
    labels: np.ndarray       # (n,) int32, or float32 numbers
    masks: list[str] | None  # None unless every file has one


class Folder(NamedTuple):
    """What `scan` found. Splits: 'train' first, then every folder test* in natural order."""
    root: str
    classes: list[str]       # none where each photograph has a number (readers.targets)
    splits: dict[str, Files]
    backgrounds: list[str]
    wrong: tuple = ()        # (photograph to leave out, line of the report) of what lists say wrongly


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


def files_of(root, paths, labels):
    """Files of a split with their masks. labels: an array, or a list of classes' numbers."""
    masks = _masks(root, paths)
    labels = labels if isinstance(labels, np.ndarray) else np.asarray(labels, np.int32)
    return Files(paths, labels, masks if paths and all(masks) else None)


def splits_in(root):
    """Names of the folders train and test*."""
    return ['train', *(os.path.basename(f) for f in _folders(root) if os.path.basename(f).startswith('test'))]


def backgrounds_in(root):
    return _images(os.path.join(root, 'backgrounds'))


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
    for split in splits_in(root):
        pairs = [(p, number.get(os.path.basename(c), -1))
                 for c in _folders(os.path.join(root, split)) for p in _images(c)]
        splits[split] = files_of(root, [p for p, _ in pairs], [i for _, i in pairs])
    return Folder(root, classes, splits, backgrounds_in(root))


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
    for name, split in folder.splits.items():
        kept = [i for i, p in enumerate(split.paths) if p not in drop]
        splits[name] = files_of(folder.root, [split.paths[i] for i in kept], split.labels[kept])
    return folder._replace(splits=splits, backgrounds=[p for p in folder.backgrounds if p not in drop])


def _look(path, decode):
    """-> true (width, height), upright if decoded, or the UserError of a damaged file."""
    try:
        with opened(path) as im:
            return loaded(im, 32)[1] if decode else im.size
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
    found = list(folder.wrong)
    for image, mask in pairs + [(p, '') for p in folder.backgrounds]:
        found += [(image, bad[p]) for p in (image, mask) if p in bad]
        if mask and decode and not {image, mask} & bad.keys():
            (w, h), (v, g) = looked[image], looked[mask]
            if abs(w*g - v*h) > max(w, h, v, g):  # a pixel of rounding is no other aspect
                found.append((image, f'{printable(mask)}: a mask of {v}x{g} for an image of {w}x{h}'))
    return found


def _class_problems(folder):
    """(errors, warnings): classes without images or with too few, unknown classes, images in no class."""
    if not folder.classes:
        return _list_problems(folder), []
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


def _list_problems(folder):
    """Errors of folders with numbers: splits without photographs, or a single one for training."""
    found = [f'{printable(os.path.join(folder.root, split))}: no photographs in its list'
             for split, files in folder.splits.items() if not files.paths]
    if len(folder.splits['train'].paths) == 1:
        found.append(f'{printable(folder.root)}/train: one photograph; it needs one to train on and one to '
                     'validate on')
    return found


def _digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').digest()


def first_equal(paths):
    """(n,) for each file the number of the first that is equal to it. Only files of equal size are read."""
    sizes = [os.path.getsize(p) for p in paths]
    several = {n for n, k in collections.Counter(sizes).items() if k > 1}
    first = {}
    return np.array([first.setdefault(_digest(p) if n in several else p, i)
                     for i, (p, n) in enumerate(zip(paths, sizes))], int)


def _duplicates(folder):
    """Test images that are, byte for byte, training images. Only files of equal size are read."""
    train, *tests = [{p: os.path.getsize(p) for p in files.paths} for files in folder.splits.values()]
    both = set(train.values()) & {n for test in tests for n in test.values()}
    known = {_digest(p): p for p, n in reversed(train.items()) if n in both}  # of several, the first is named
    found = [(p, known.get(_digest(p))) for test in tests for p, n in test.items() if n in both]
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
    mends = [f'mend the {"class folders" if folder.classes else "lists"}'] if errors else []
    if damaged and not skip_damaged:
        mends.append('repair the damaged files or leave them out with --skip-damaged')
    if not mends:
        return kept, lines + notes
    place = 'classes' if folder.classes else 'lists'
    report = [f'{printable(folder.root)}: {len(damaged)} damaged files, {len(errors)} errors in {place}, '
              f'{len(notes)} warnings; {" and ".join(mends)}']
    for kind, found in {'damaged': lines, 'error': errors, 'warning': notes}.items():
        report += [f'  {kind}: {line}' for line in found]
    raise UserError('\n'.join(report))


def digest_of(paths, root):
    """SHA-256 of the sorted names, relative to root, and sizes of some files: the same wherever they lie."""
    listing = sorted((os.path.relpath(p, root), os.path.getsize(p) if os.path.exists(p) else -1)
                     for p in paths)
    return hashlib.sha256(repr(listing).encode()).hexdigest()


def listing_digest(folder, splits=None):
    """`digest_of` the photographs, masks and backgrounds of a Folder. splits: some of them; None: all."""
    files = [f for split, f in folder.splits.items() if splits is None or split in splits]
    paths = [p for f in files for p in [*f.paths, *(f.masks or [])]]
    found = digest_of([*paths, *folder.backgrounds], folder.root)
    if folder.classes:
        return found
    values = sorted((os.path.relpath(p, folder.root), v) for f in files
                    for p, v in zip(f.paths, f.labels.tolist()))
    return hashlib.sha256(repr((found, values)).encode()).hexdigest()

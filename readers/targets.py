"""Folders of photographs with a number each: PATH/train/targets.csv and PATH/test*/targets.csv (path,value).

The paths are relative to the folder of their list. Everything else is as in readers.folders.
"""
import collections
import csv
import os

import numpy as np

from common.errors import UserError
from common.files import printable
from readers import folders

FILE, HEADER = 'targets.csv', ['path', 'value']
MAX_BYTES = 100_000_000
LARGEST = 1e30           # float32 squares it, nearly


def scan(root):
    """Path -> folders.Folder: with numbers where train/ has a FILE, else with classes. Errors: UserError."""
    root = os.path.normpath(os.path.expanduser(os.fspath(root)))
    if not os.path.lexists(os.path.join(root, 'train', FILE)):
        return folders.scan(root)
    splits, wrong = {}, []
    for split in folders.splits_in(root):
        folder = os.path.join(root, split)
        pairs, bad = _pairs(folder)
        values = np.array([v for _, v in pairs], np.float32)
        splits[split] = folders.files_of(root, [p for p, _ in pairs], values)
        wrong += bad
    return folders.Folder(root, [], splits, folders.backgrounds_in(root), tuple(wrong))


def _lines(path):
    """[(number of the line, [path, value])] of a list. Errors: UserError."""
    shown = printable(path)
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise UserError(f'{shown}: larger than {MAX_BYTES:,} bytes, so no list of ours; replace it')
        with open(path, encoding='utf-8-sig', errors='surrogateescape', newline='') as f:
            table = csv.reader(f)
            header = next(table, [])
            lines = [(table.line_num, line) for line in table if any(cell.strip() for cell in line)]
    except OSError as e:
        raise UserError(f'{shown}: {e.strerror}; each of train/ and test*/ needs such a list, '
                        f'{",".join(HEADER)}') from e
    except csv.Error as e:
        raise UserError(f'{shown}: no CSV ({e}); write it anew, {",".join(HEADER)}') from e
    if [cell.strip().lower() for cell in header] != HEADER:
        raise UserError(f'{shown}: its first line is not {",".join(HEADER)}; put that there')
    return lines


def _value(text):
    """float, or None for what is no finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < LARGEST else None


def _pairs(folder):
    """([(photograph, value)], [(photograph to leave out, line of the report)]) of a split, as listed.

    Photographs that are listed but missing are among the pairs: `folders.check` tells them as damaged.
    """
    listed, bad = os.path.join(folder, FILE), []
    found = collections.defaultdict(list)
    for number, line in _lines(listed):
        where, name = f'{printable(listed)}, line {number}', line[0].strip()
        path = os.path.normpath(os.path.join(folder, name))
        inside = name and not os.path.isabs(name) and path.startswith(os.path.join(folder, ''))
        value = _value(line[1]) if len(line) == 2 else None
        if not inside:
            bad.append((where, f'{where}: {printable(name) or "no path"} is no path inside this folder'))
        elif value is None:
            bad.append((path, f'{where}: {printable(name)} has no finite number'))
            found[path].append(None)
        else:
            found[path].append(value)
    for path, values in found.items():
        if len(values) > 1:
            bad.append((path, f'{printable(path)}: {len(values)} lines in {printable(listed)}'))
    for path in folders.pictures_below(folder):
        if path not in found:
            bad.append((path, f'{printable(path)}: no line in {printable(listed)}'))
    pairs = [(path, values[0]) for path, values in found.items() if None not in values]
    return pairs, bad


def strata(values):
    """(n,) int: up to ten equal parts of the images by their value, of twenty or more each, so that a split
    has all sizes."""
    n = len(values)
    ranks = np.empty(n, int)
    ranks[np.argsort(values, kind='stable')] = np.arange(n)
    return ranks*max(1, min(10, n//20))//max(n, 1)

"""Rows on disk: what was measured, one line each, in CSV files that several runs may append to at once.

`accuracy.csv` has the fields ACCURACY, `masks.csv` the fields MASKS, `scores.csv` (tasks other than that of
classes) the fields SCORES; tables and figures come from them.
"""
import csv
import fcntl
import io
import os

from common.errors import UserError

ACCURACY = {'dataset': str, 'method': str, 'seed': int, 'test': str, 'n': int, 'correct': int,
            'accuracy': float, 'settings': str}
MASKS = {'dataset': str, 'method': str, 'seed': int, 'n': int, 'iou': float, 'dice': float, 'area': float,
         'true_area': float, 'settings': str}
SCORES = {'dataset': str, 'method': str, 'seed': int, 'test': str, 'n': int, 'score': str, 'value': float,
          'unit': str, 'settings': str}
KEYS = 'dataset', 'method', 'seed', 'test', 'settings', 'score'   # together unique (what a file has of them)
LARGEST = 1e30           # of a score in a unit of its own
MAX_LINE = 2000          # bytes; longer lines are none of ours
MAX_FILE = 100_000_000   # bytes
TORN = b',torn' + b','*9 + b'\n'   # ends what a killed run left: too many fields to count as a row


def key(row):
    """What a row is about, without what was measured."""
    return tuple(row.get(k) for k in KEYS)


def _line(row):
    """A row (or the field names) as one whole line of CSV in bytes. Errors: ValueError."""
    text = io.StringIO()
    csv.writer(text, lineterminator='').writerow(row)
    line = text.getvalue().encode()
    if len(line.splitlines()) != 1 or len(line) > MAX_LINE:
        raise ValueError('a row must fit on one line')
    return line + b'\n'


def _fields(content, path):
    """(fields of the file, its complete lines after the header). Errors: a UserError for another header."""
    first, *lines = content.split(b'\n')
    for fields in (ACCURACY, MASKS, SCORES):
        header = _line(fields)[:-1]
        if first.rstrip(b'\r') == header and lines:
            return fields, lines[:-1]   # behind the last newline stands nothing, or a torn line
        if not lines and header.startswith(first):
            return fields, []           # the first run was killed inside the header
    raise UserError(f'{path} has another header than {",".join(ACCURACY)} (or that of masks, or of scores); '
                    'move it away, or choose another file')


def _row(line, fields):
    """The row of one line with its types, or None when it is malformed."""
    if not line or len(line) > MAX_LINE:
        return None
    try:
        values = next(csv.reader([line.decode().rstrip('\r')]))
        row = {k: kind(v) for (k, kind), v in zip(fields.items(), values, strict=True)}
    except (ValueError, csv.Error, StopIteration):
        return None
    shares = [v for v in row.values() if isinstance(v, float)]
    most = 1 if row.get('unit', 'share') == 'share' else LARGEST
    good = row['n'] > 0 and 0 <= row.get('correct', 0) <= row['n'] and all(0 <= v <= most for v in shares)
    return row if good else None


def _parse(content, path):
    fields, lines = _fields(content, path)
    rows = (_row(line, fields) for line in lines)
    return list({key(r): r for r in rows if r is not None}.values())


def read(path):
    """All rows of a file in the order of their first appearance, with types; of equal keys the last counts.

    A missing file has no rows. Torn and malformed lines are passed over. Errors: UserError (unreadable,
    another header).
    """
    try:
        if os.path.getsize(path) > MAX_FILE:
            raise UserError(f'{path} is larger than {MAX_FILE:,} bytes, so no file of rows; choose another')
        with open(path, 'rb') as f:
            return _parse(f.read(), path)
    except FileNotFoundError:
        return []
    except OSError as e:
        raise UserError(f'cannot read {path}: {e.strerror}; choose another file') from e


def append(path, row):
    """Appends one whole line unless the file has a row of that key; returns whether it did.

    row: a dict of all the fields of one of these kinds. Processes take turns (flock), a line is one write:
    so two runs may append at once. A last line without its newline was torn by a killed run: it is closed so
    that it never counts. Errors: UserError (no room, another header), ValueError (other fields, two lines).
    """
    fields = SCORES if 'score' in row else ACCURACY if 'test' in row else MASKS
    if set(row) != set(fields):
        raise ValueError(f'a row has the fields {", ".join(fields)}, not {", ".join(row)}')
    line = _line([row[k] for k in fields])
    if _row(line[:-1], fields) is None:
        raise ValueError(f'no valid row: {row}')
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        with os.fdopen(handle, 'rb') as f:
            fcntl.flock(handle, fcntl.LOCK_EX)   # until the file is closed
            return _append(handle, f.read(), path, line, fields)
    except OSError as e:
        raise UserError(f'cannot write {path}: {e.strerror}; make room or choose another file') from e


def _append(handle, content, path, line, fields):
    header = _line(fields)
    if header.startswith(content):   # empty, or torn inside the header
        os.ftruncate(handle, 0)
        content, line = b'', header + line
    elif _fields(content, path)[0] is not fields:
        raise UserError(f'{path} holds rows of other fields; choose another file')
    elif key(_row(line[:-1], fields)) in {key(r) for r in _parse(content, path)}:
        return False
    elif not content.endswith(b'\n'):
        line = TORN + line
    if os.write(handle, line) != len(line):
        os.ftruncate(handle, len(content))
        raise UserError(f'no room for another row in {path}; make some, then go on')
    return True


def find(rows, **wanted):
    """The rows that agree with all of `wanted`, for example find(rows, dataset='mnist', method='best')."""
    return [r for r in rows if all(r.get(k) == v for k, v in wanted.items())]


def done(rows, **wanted):
    """Has this been measured? The newest row that agrees with all of `wanted`, or None."""
    return next(iter(find(reversed(rows), **wanted)), None)

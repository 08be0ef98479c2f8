"""Whose rows are these? OUT/datasets.json says for which data each label stands: {label: digest}."""
import json
import os

from common.errors import UserError
from common.files import alone, write_json

FILE = 'datasets.json'


def known_data(out, label, digest):
    """Does `out` know this label, as that of these data? False where it does not know it yet.

    Errors: UserError when the label stands for other data there, or the file is damaged.
    """
    kept = _read(out).get(label)
    if kept not in (None, digest):
        raise UserError(f'{out} has rows of other data under the label {label} (another set, or its files '
                        'have changed); give these a label of their own with --name, or another --out')
    return kept is not None


def remember_data(out, label, digest):
    """From now on the label stands for these data. Errors: as known_data."""
    if known_data(out, label, digest):
        return
    with alone(os.path.join(out, FILE)):   # shards share the file
        if not known_data(out, label, digest):
            write_json(os.path.join(out, FILE), {**_read(out), label: digest})


def _read(out):
    path = os.path.join(out, FILE)
    try:
        with open(path, encoding='utf-8') as f:
            kept = json.load(f)
        if not isinstance(kept, dict) or not all(isinstance(v, str) for v in kept.values()):
            raise ValueError
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f'{path} is damaged; copy it again, or move it away to begin a new one') from e
    return kept

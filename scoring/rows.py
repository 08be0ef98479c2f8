"""What stands in a row: the names of data set and method, counts, and the fingerprint of the settings."""
import re
import sys

import mydatasets
from scoring import rowfile


def row_dataset(name):
    """The data set's name in rows: without the tests' suffix; a folder by its last part."""
    if not name.startswith('folder:'):
        name = re.sub('_(backgrounds|noises)$', '', name)
    return mydatasets.label(name)


def row_method(about, dataset):
    """The method's name in rows; weights of another data set are named with it: baseline@mnist."""
    method, trained_on = about.get('method') or about['kind'], row_dataset(about.get('dataset') or dataset)
    return method if trained_on == row_dataset(dataset) else f'{method}@{trained_on}'


def accuracy_row(about, dataset, test, correct, n, method=None):
    """One row for rowfile.append. about: the sidecar of the weights."""
    return {'dataset': row_dataset(dataset), 'method': method or row_method(about, dataset),
            'seed': about.get('seed', 0), 'test': test, 'n': n, 'correct': correct,
            'accuracy': round(correct/n, 6), 'settings': about.get('settings', '')}


def record(path, row):
    """Appends a row to a CSV file; says so when the file has another result of the same fingerprint."""
    if rowfile.append(path, row):
        return
    old = next(r for r in rowfile.read(path) if rowfile.key(r) == rowfile.key(row))
    if any(abs(old[k] - v) > 1e-6 for k, v in row.items() if not isinstance(v, str)):
        name = ' '.join(str(k) for k in rowfile.key(row) if k is not None)
        print(f'{path} keeps its other result of {name}; delete that line to replace it', file=sys.stderr)

"""What stands in a row: the names of data set and method, counts, and the fingerprint of the settings."""
import os
import re
import sys
from typing import NamedTuple

import mydatasets
from common import tasks
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


def path(out, task):
    """Of the file in OUT that holds the rows of a task."""
    return os.path.join(out, 'accuracy.csv' if task.kind == 'classifier' else 'scores.csv')


class Sums(NamedTuple):
    """What was added up over the images of a test."""
    of: dict     # {name of a score of the task: sum}
    n: int       # images


def rows_of(about, data, test, sums, method=None):
    """The rows of one test for rowfile.append: one, or one for each score of the task.

    about: the sidecar of the weights. data: the Dataset. sums: Sums.
    """
    first = {'dataset': row_dataset(data.name), 'method': method or row_method(about, data.name),
             'seed': about.get('seed', 0), 'test': test, 'n': sums.n}
    last = {'settings': about.get('settings', '')}
    if data.task.kind == 'classifier':
        correct = round(sums.of['accuracy'])
        return [{**first, 'correct': correct, 'accuracy': round(correct/sums.n, 6), **last}]
    return [{**first, 'score': score.name, 'value': round(sums.of[score.name]/sums.n, 6), 'unit': score.unit,
             **last} for score in data.task.scores]


def add(out, label, row):
    """Appends a row to its file in OUT under the label of its data; says what it says unless it was there."""
    score, unit = row.get('score', ''), row.get('unit', 'share')
    file = os.path.join(out, 'scores.csv' if score else 'accuracy.csv')
    if rowfile.append(file, {**row, 'dataset': label}):
        value = tasks.text(row.get('value', row.get('accuracy')), unit, 2)
        print(f'{label} {row["method"]} seed {row["seed"]} {row["test"]}: {score}{" "*bool(score)}{value}',
              flush=True)


def record(path, row):
    """Appends a row to a CSV file; says so when the file has another result of the same fingerprint."""
    if rowfile.append(path, row):
        return
    old = next(r for r in rowfile.read(path) if rowfile.key(r) == rowfile.key(row))
    if any(abs(old[k] - v) > 1e-6 for k, v in row.items() if not isinstance(v, str)):
        name = ' '.join(str(k) for k in rowfile.key(row) if k is not None)
        print(f'{path} keeps its other result of {name}; delete that line to replace it', file=sys.stderr)

"""Rows of what needs no network, with which those of networks are to be compared."""
from common.quiet import tf
from scoring import overlap, rowfile
from scoring.evaluation import total
from scoring.rows import add, path, rows_of, Sums

CONSTANT = 'constant'    # always the same number, whatever the image


class Raw:
    """Otsu on the raw pixels in the place of a model. shape: of the images."""

    def __init__(self, shape, task):
        self.input_shape, self.task = (None, *shape), task

    def __call__(self, x, training=False):
        return overlap.raw_otsu(x)


def rows(data, tests):
    """Of always the same answer where a number is asked for, of Otsu on the raw pixels for masks; of classes
    none. tests: {name: Test}."""
    found, task = [], data.task
    for name, test in tests.items():
        if task.kind == 'segmenter':
            found += rows_of({}, data, name, total(Raw(data.shape, task), task, test), overlap.RAW)
        elif task.constant is not None:
            y = tf.constant(test.images().y)
            sums = task.sums(y, tf.fill(y.shape, task.constant))
            found += rows_of({}, data, name, Sums({k: float(v) for k, v in sums.items()}, len(y)), CONSTANT)
    return found


def record(out, label, data, tests):
    """Writes these rows into OUT under the label of the data, as far as they are missing."""
    known = rowfile.find(rowfile.read(path(out, data.task)), dataset=label, settings='')
    missing = {name: test for name, test in tests.items() if not rowfile.find(known, test=name)}
    for row in rows(data, missing):
        add(out, label, row)

"""Accuracy of a model on the named tests, its rows, and what the evaluators share."""
import argparse
import contextlib
import functools
import re
import sys

import mydatasets
from common import cli
from common.errors import UserError
from common.quiet import keras, tf
from readers import reading
from scoring import adversary, rowfile

BATCH = 500   # divides the tests: every size is compiled


# Arguments

def data_arguments(p):
    g = p.add_argument_group('data')
    reading.add_arguments(g)
    g = p.add_argument_group('run')
    g.add_argument('--batchsize', type=cli.whole(1), default=BATCH, help='images at a time')
    g.add_argument('--precision', choices=('float32', 'bfloat16', 'float16'), default='float32',
                   help='of the networks; float32 gives the same rows on every processor')
    g.add_argument('--quiet', action='store_true', help='print nothing but errors')


def method_name(text):
    """argparse type: the name of a row."""
    if not re.fullmatch(r'[\w.@-]{1,100}', text):
        raise argparse.ArgumentTypeError(f'{text!r} is no name; use letters, digits and hyphens')
    return text


def load_data(args):
    """The data set of the arguments."""
    attacked = getattr(args, 'adversarial', False)   # scores need the tests alone, an attacker is trained
    return mydatasets.load(args.dataset, reading.Reading.of(args), train=attacked)


def tests_of(data):
    """Its tests by name. Errors: UserError for a folder that has none."""
    if not data.tests:
        raise UserError(f'{data.name} has no test images; put some into its folders test/<class>/')
    return dict(data.tests)


# Accuracy

@contextlib.contextmanager
def precision(name='float32'):
    """Inside, networks are built in this precision, and float32 means float32 on GPUs too (no TF32)."""
    policy, tf32 = keras.config.dtype_policy(), tf.config.experimental.tensor_float_32_execution_enabled()
    keras.config.set_dtype_policy(name if name == 'float32' else f'mixed_{name}')
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        tf.config.experimental.enable_tensor_float_32_execution(tf32)


@functools.lru_cache(maxsize=1)   # the tests of a model come one after the other
def counter(model):
    """(x, y) -> number of right answers, traced once whatever the batch size."""
    images, labels = tf.TensorSpec(model.input_shape, tf.float32), tf.TensorSpec([None], tf.int32)

    @tf.function(input_signature=[images, labels])
    def correct(x, y):
        return tf.math.count_nonzero(tf.argmax(model(x, training=False), 1, output_type=tf.int32) == y)
    return correct


def accuracy(model, test, batchsize=BATCH):
    """(right answers, images) of a classifier on one mydatasets.Test."""
    correct = counter(model)
    right = sum(int(correct(batch['x'], batch['y'])) for batch in test.batches(batchsize))
    return right, len(test.images())


# Rows

def row_dataset(name):
    """The data set's name in rows: without the tests' suffix; a folder by its last part."""
    if not name.startswith('folder:'):
        name = re.sub('_(backgrounds|noises)$', '', name)
    return mydatasets.label(name)


def row_method(about, dataset):
    """The method's name in rows; weights of another data set are named with it: baseline@mnist."""
    method, trained_on = about.get('method') or about['kind'], row_dataset(about.get('dataset') or dataset)
    return method if trained_on == row_dataset(dataset) else f'{method}@{trained_on}'


def record(path, row):
    """Appends a row to a CSV file; says so when the file has another result of the same settings."""
    if rowfile.append(path, row):
        return
    old = next(r for r in rowfile.read(path) if rowfile.key(r) == rowfile.key(row))
    if any(abs(old[k] - v) > 1e-6 for k, v in row.items() if not isinstance(v, str)):
        name = ' '.join(str(k) for k in rowfile.key(row) if k is not None)
        print(f'{path} keeps its other result of {name}; delete that line to replace it', file=sys.stderr)


KINDS = 'classifier', 'attention'


def row(about, dataset, test, correct, n, method=None):
    """One row for rowfile.append. about: the sidecar of the weights."""
    return {'dataset': row_dataset(dataset), 'method': method or row_method(about, dataset),
            'seed': about.get('seed', 0), 'test': test, 'n': n, 'correct': correct,
            'accuracy': round(correct/n, 6), 'settings': about.get('settings', '')}


def evaluate(model, about, data, tests, method=None, attack=False, batchsize=BATCH, each=None):
    """The rows of one model on tests {name: Test}, and under attack; each(row) is called as they come.

    Call it inside `precision`. data.name names the rows' data set. Errors: UserError (attack on colours).
    """
    rows = []
    for name in [*tests, *(['attack'] if attack else [])]:
        if name == 'attack':
            correct, n = adversary.attack(model, data, about.get('seed', 0))
        else:
            correct, n = accuracy(model, tests[name], batchsize)
        rows.append(row(about, data.name, name, correct, n, method))
        if each:
            each(rows[-1])
    return rows

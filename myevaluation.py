"""What the two evaluators share: their arguments, the precision of networks, accuracy, names and rows."""
from mycommon import UserError  # first: it quietens TensorFlow

import argparse
import contextlib
import functools
import re
import sys

import keras
import tensorflow as tf

import myargs
import mydatasets
import myrows

BATCH = 500   # divides the tests: every size is compiled


# Arguments

def data_arguments(p):
    g = p.add_argument_group('data')
    g.add_argument('--data-dir', help='of tensorflow-datasets (or set TFDS_DATA_DIR)')
    g.add_argument('--size', type=myargs.whole(8), help='side in pixels; None: that of the set')
    myargs.add_folder_arguments(g)
    g = p.add_argument_group('run')
    g.add_argument('--batchsize', type=myargs.whole(1), default=BATCH, help='images at a time')
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
    return mydatasets.load(args.dataset, args.data_dir, args.size, train=attacked, fit=args.fit,
                           skip_damaged=args.skip_damaged)


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
    return myargs.label(name)


def row_method(about, dataset):
    """The method's name in rows; weights of another data set are named with it: baseline@mnist."""
    method, trained_on = about.get('method') or about['kind'], row_dataset(about.get('dataset') or dataset)
    return method if trained_on == row_dataset(dataset) else f'{method}@{trained_on}'


def record(path, row):
    """Appends a row to a CSV file; says so when the file has another result of the same settings."""
    if myrows.append(path, row):
        return
    old = next(r for r in myrows.read(path) if myrows.key(r) == myrows.key(row))
    if any(abs(old[k] - v) > 1e-6 for k, v in row.items() if not isinstance(v, str)):
        name = ' '.join(str(k) for k in myrows.key(row) if k is not None)
        print(f'{path} keeps its other result of {name}; delete that line to replace it', file=sys.stderr)

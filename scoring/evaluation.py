"""Accuracy of a model on the named tests and under attack, in a stated precision, as rows."""
import contextlib
import functools
from typing import NamedTuple

from common.errors import UserError
from common.quiet import keras, tf
from scoring import adversary
from scoring.rows import accuracy_row

BATCH = 500   # divides the tests: every size is compiled
KINDS = 'classifier', 'attention'   # of networks that have an accuracy


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


def tests_of(data):
    """Its tests by name. Errors: UserError for a folder that has none."""
    if not data.tests:
        raise UserError(f'{data.name} has no test images; put some into its folders test/<class>/')
    return dict(data.tests)


class Exam(NamedTuple):
    """What every model is asked."""
    data: object               # mydatasets.Dataset: the name of the rows, and images that attackers train on
    tests: dict                # {name: mydatasets.Test}
    attack: bool = False       # after the tests
    method: str | None = None  # of the rows; None: what the sidecar says
    batchsize: int = BATCH


def evaluate(model, about, exam, each=None):
    """The rows of one model on the tests and under attack. Call it inside `precision`.

    about: its sidecar. each(row, found): called as they come; found: what was measured beside the row, the
    adversary.Attack of `attack`, else None. Errors: UserError (attack on colours).
    """
    rows = []

    def add(test, correct, n, found=None):
        rows.append(accuracy_row(about, exam.data.name, test, correct, n, exam.method))
        if each:
            each(rows[-1], found)
    for name, test in exam.tests.items():
        add(name, *accuracy(model, test, exam.batchsize))
    if exam.attack:
        found = adversary.attack(model, exam.data, about.get('seed', 0))
        add('attack', found.correct, found.n, found)
    return rows

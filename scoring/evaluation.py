"""Accuracy of a model on the named tests and in searches for its worst cases, as rows."""
import contextlib
import functools
from typing import NamedTuple

import numpy as np

import mydatasets
from common.errors import UserError
from common.quiet import keras, tf
from scoring import adversary, challenge, objects, pixels, unseen, worst
from scoring.rows import accuracy_row

BATCH = 500   # divides the tests: every size is compiled
KINDS = 'classifier', 'attention'   # of networks that have an accuracy
# what looks for backgrounds with the model at hand, by the name of its row: (model, data, seed) -> what was
# found, with the fields `correct` and `n`, and its line()
SEARCHES = {'attack': lambda model, data, seed: adversary.attack(model, data, seed),
            'pixels': lambda model, data, seed: pixels.pixels(model, data, seed),
            'worst': lambda model, data, seed: worst.worst(model, data, mydatasets.HALO),
            'worst-nohalo': lambda model, data, seed: worst.worst(model, data, 0),
            challenge.ALL: lambda model, data, seed: challenge.standing(model, data)}
# and by which names they, the unseen families and those of the Backgrounds Challenge, are asked for
ASKED = {'unseen': (), 'attack': ('attack',), 'pixels': ('pixels',), 'worst': ('worst', 'worst-nohalo'),
         'mixed': (challenge.ALL,)}


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


@functools.lru_cache(maxsize=1)
def answerer(model):
    """x -> its classes, traced once whatever the batch size."""
    return tf.function(lambda x: tf.argmax(model(x, training=False), 1, output_type=tf.int32),
                       input_signature=[tf.TensorSpec(model.input_shape, tf.float32)])


def accuracy(model, test, batchsize=BATCH):
    """(right answers, images) of a classifier on one mydatasets.Test."""
    correct = counter(model)
    right = sum(int(correct(batch['x'], batch['y'])) for batch in test.batches(batchsize))
    return right, len(test.images())


def answers(model, test, batchsize=BATCH):
    """(n,) the class that a classifier gives to each image of one Test."""
    answer = answerer(model)
    return np.concatenate([answer(batch['x']).numpy() for batch in test.batches(batchsize)])


def tests_of(data, asked=()):
    """Its tests by name, and those of ASKED that need no model.

    Errors: UserError for a folder that has none, and for a set that cannot have what is asked.
    """
    if not data.tests:
        raise UserError(f'{data.name} has no test images; put some into its folders test/<class>/')
    if 'attack' in asked:
        adversary.demand_monochrome(data)
    if {'pixels', 'worst'} & set(asked):
        objects.known(data)
    return (dict(data.tests) | (unseen.tests(data) if 'unseen' in asked else {})
            | (challenge.tests(data) if 'mixed' in asked else {}))


def searches_of(asked):
    """The names of SEARCHES that are asked for."""
    return [name for test in asked for name in ASKED.get(test, ())]


class Exam(NamedTuple):
    """What every model is asked."""
    data: object               # mydatasets.Dataset: the name of the rows, and what searches need
    tests: dict                # {name: mydatasets.Test}
    searches: tuple = ()       # names of SEARCHES, after the tests
    method: str | None = None  # of the rows; None: what the sidecar says
    batchsize: int = BATCH


def evaluate(model, about, exam, each=None):
    """The rows of one model on the tests and after the searches. Call it inside `precision`.

    about: its sidecar. each(row, found): called as they come; found: what a search found, else None.
    Errors: UserError for a set that cannot have a search.
    """
    rows = []

    def add(test, correct, n, found=None):
        rows.append(accuracy_row(about, exam.data.name, test, correct, n, exam.method))
        if each:
            each(rows[-1], found)
    for name, test in exam.tests.items():
        add(name, *accuracy(model, test, exam.batchsize))
    for name in exam.searches:
        found = SEARCHES[name](model, exam.data, about.get('seed', 0))
        add(name, found.correct, found.n, found)
    return rows

"""Scores of a model on the named tests and in searches for its worst cases, as rows."""
import contextlib
import functools
from typing import NamedTuple

import numpy as np

import mydatasets
from common.errors import UserError
from common.quiet import keras, tf
from mydatagen import to_float
from scoring import adversary, challenge, distractors, objects, pixels, unseen, worst
from scoring.rows import rows_of, Sums

BATCH = 500   # divides the tests: every size is compiled
KINDS = 'classifier', 'attention', 'regressor', 'segmenter'   # of networks that answer
# of those that answer what a task asks; a U-Net of phase 2 can be scored beside those that began as it
KINDS_OF = {'classifier': ('classifier', 'attention'), 'regressor': ('regressor',),
            'segmenter': ('segmenter', 'unet')}
# what looks for backgrounds with the model at hand, by the name of its row: (model, data, seed) -> what was
# found, with the fields `correct` and `n`, and its line()
SEARCHES = {'attack': lambda model, data, seed: adversary.attack(model, data, seed),
            'pixels': lambda model, data, seed: pixels.pixels(model, data, seed),
            'worst': lambda model, data, seed: worst.worst(model, data, mydatasets.HALO),
            'worst-nohalo': lambda model, data, seed: worst.worst(model, data, 0),
            challenge.ALL: lambda model, data, seed: challenge.standing(model, data)}
# and by which names they, the unseen families and those of the Backgrounds Challenge, are asked for
ASKED = {'unseen': (), 'distractors': (), 'attack': ('attack',), 'pixels': ('pixels',),
         'worst': ('worst', 'worst-nohalo'), 'mixed': (challenge.ALL,)}


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
def adder(model, task):
    """(x, y) -> {score of the task: its sum}, traced once whatever the batch size."""
    images = tf.TensorSpec(model.input_shape, tf.float32)

    @tf.function(input_signature=[images, task.spec(model.input_shape[1:])])
    def add(x, y):
        return task.sums(y, model.task.answers(model(x, training=False)))
    return add


def total(model, task, test, batchsize=BATCH):
    """The Sums of a model on one mydatasets.Test. task: that of the data set, which has the scores."""
    add, sums = adder(model, task), {score.name: 0. for score in task.scores}
    for batch in test.batches(batchsize):
        y = task.target(batch['y'], lambda batch=batch: tf.round(to_float(batch['m'])))
        for name, value in add(batch['x'], y).items():
            sums[name] += float(value)
    return Sums(sums, len(test.images()))


def accuracy(model, test, batchsize=BATCH):
    """(right answers, images) of a classifier on one mydatasets.Test."""
    found = total(model, model.task, test, batchsize)
    return int(found.of['accuracy']), found.n


@functools.lru_cache(maxsize=1)
def answerer(model):
    """x -> its classes, traced once whatever the batch size."""
    return tf.function(lambda x: model.task.answers(model(x, training=False)),
                       input_signature=[tf.TensorSpec(model.input_shape, tf.float32)])


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
    others = [name for name in asked if searches_of([name])]
    if others and data.task.kind != 'classifier':
        raise UserError(f'--tests {" ".join(others)}: looks for wrong classes, and {data.name} asks for '
                        f'{data.task}; leave it out')
    if 'attack' in asked:
        adversary.demand_monochrome(data)
    if {'pixels', 'worst'} & set(asked):
        objects.known(data)
    found = dict(data.tests) | (unseen.tests(data) if 'unseen' in asked else {})
    found |= challenge.tests(data) if 'mixed' in asked else {}
    return found | (distractors.tests(data) if 'distractors' in asked else {})


def searches_of(asked):
    """The names of SEARCHES that are asked for."""
    return [name for test in asked for name in ASKED.get(test, ())]


def possible(asked, task):
    """Those of ASKED that go into rows of a task: searches look for wrong classes, distractors for masks."""
    if task.kind == 'segmenter':
        return [test for test in asked if not searches_of([test])]
    return [test for test in asked if test != 'distractors']


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

    def add(test, sums, found=None):
        for row in rows_of(about, exam.data, test, sums, exam.method):
            rows.append(row)
            if each:
                each(row, found)
    for name, test in exam.tests.items():
        add(name, total(model, exam.data.task, test, exam.batchsize))
    for name in exam.searches:
        found = SEARCHES[name](model, exam.data, about.get('seed', 0))
        add(name, Sums({'accuracy': found.correct}, found.n), found)
    return rows

"""Accuracy of trained classifiers on the named test sets of a data set, as a table and as rows of CSV."""
from mycommon import UserError, guard  # first: it quietens TensorFlow

import argparse
import contextlib
import functools
import os
import re
import sys

import keras
import tensorflow as tf

import myargs
import myattack
import mybackgrounds
import mydatasets
import myrows
import mytables
import myunseen
import myweights

KINDS = 'classifier', 'attention'
BATCH = 512


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python evaluate.py mnist_backgrounds saved/mnist-baseline-0',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; monochrome ones also as '
                   'NAME_backgrounds (the six patterns) and NAME_noises (salt and pepper at 20 rates)')
    p.add_argument('weights', nargs='+', help='of train1.py, train3.py or train_att.py')
    p.add_argument('--csv', metavar='FILE', help='append the rows to this file, each once')
    p.add_argument('--method', type=method_name, help='name of the rows; None: what the sidecar says')
    p.add_argument('--unseen', action='store_true', help='also backgrounds that training knows nothing of, '
                   'with and without a halo around the object (monochrome sets)')
    p.add_argument('--adversarial', action='store_true', help='also under attack by a generator trained '
                   'against these weights: minutes for each (monochrome sets)')
    data_arguments(p)
    return p


def data_arguments(p):
    """What evaluate.py and evaluate_seg.py have in common."""
    g = p.add_argument_group('data')
    g.add_argument('--data-dir', help='of tensorflow-datasets (or set TFDS_DATA_DIR)')
    g.add_argument('--size', type=myargs.whole(8), help='side in pixels; None: that of the set')
    g.add_argument('--skip-damaged', action='store_true', help='leave out damaged photographs of a folder')
    g = p.add_argument_group('run')
    g.add_argument('--batchsize', type=myargs.whole(1), default=BATCH, help='images at a time')
    g.add_argument('--precision', choices=('float32', 'bfloat16', 'float16'), default='float32',
                   help='of the networks; float32 gives the same rows on every processor')
    g.add_argument('--quiet', action='store_true', help='print nothing but errors')


def parse(argv=None):
    return myargs.parse(arguments(), argv)


def method_name(text):
    """argparse type: the name of a row."""
    if not re.fullmatch(r'[\w.@-]{1,100}', text):
        raise argparse.ArgumentTypeError(f'{text!r} is no name; use letters, digits and hyphens')
    return text


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


def row_dataset(name):
    """The data set's name in rows: without the tests' suffix; a folder by its last part."""
    if not name.startswith('folder:'):
        name = re.sub('_(backgrounds|noises)$', '', name)
    return myargs.label(name)


def row_method(about, dataset):
    """The method's name in rows; weights of another data set are named with it: baseline@mnist."""
    method, trained_on = about.get('method') or about['kind'], row_dataset(about.get('dataset') or dataset)
    return method if trained_on == row_dataset(dataset) else f'{method}@{trained_on}'


def row(about, dataset, test, correct, n, method=None):
    """One row for myrows.append. about: the sidecar of the weights."""
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
            correct, n = myattack.attack(model, data, about.get('seed', 0))
        else:
            correct, n = accuracy(model, tests[name], batchsize)
        rows.append(row(about, data.name, name, correct, n, method))
        if each:
            each(rows[-1])
    return rows


def table(names, found):
    """A line for each weights file, or for each test when there are many. found: the rows of each file."""
    cells = [{r['test']: f'{100*r["accuracy"]:.2f}\n{r["correct"]}/{r["n"]}' for r in rows}
             for rows in found]
    for texts, rows in zip(cells, found):
        six = [r['accuracy'] for r in rows if r['test'] in mybackgrounds.PATTERNS]
        if len(six) == len(mybackgrounds.PATTERNS):
            texts['mean of six'] = f'{100*sum(six)/len(six):.2f}'
    tests = list(dict.fromkeys(t for texts in cells for t in texts))
    lines = [[name, *(texts.get(t, '') for t in tests)] for name, texts in zip(names, cells)]
    columns = ['weights', *tests]
    if len(tests) > 10:
        lines = [[t, *(texts.get(t, '').replace('\n', '  ') for texts in cells)] for t in tests]
        columns = ['test', *names]
    return mytables.Table(f'Accuracy on {found[0][0]["dataset"]} (%)', columns, lines, [])


def record(path, row):
    """Appends a row to a CSV file; says so when the file has another result of the same settings."""
    if myrows.append(path, row):
        return
    old = next(r for r in myrows.read(path) if myrows.key(r) == myrows.key(row))
    if any(abs(old[k] - v) > 1e-6 for k, v in row.items() if not isinstance(v, str)):
        name = ' '.join(str(k) for k in myrows.key(row) if k is not None)
        print(f'{path} keeps its other result of {name}; delete that line to replace it', file=sys.stderr)


def load_data(args):
    """The data set of the arguments."""
    options = {'skip_damaged': True} if args.skip_damaged and args.dataset.startswith('folder:') else {}
    return mydatasets.load(args.dataset, args.data_dir, args.size, **options)


def run(args):
    # all sidecars are looked at before minutes go into the first weights
    for path in args.weights:
        about = myweights.read_sidecar(path)
        if about['kind'] not in KINDS:
            raise UserError(f'{path} holds a {about["kind"]}, needed is {" or ".join(KINDS)}; give others')
    data = load_data(args)
    tests = data.tests | (myunseen.tests(data) if args.unseen else {})
    if args.csv:
        myrows.read(args.csv)   # a file of something else is refused before the work
    each, found = (functools.partial(record, args.csv) if args.csv else None), []
    with precision(args.precision):
        for path in args.weights:
            model, about = myweights.load(path, KINDS, data.shape, data.classes)
            found.append(evaluate(model, about, data, tests, args.method, args.adversarial, args.batchsize,
                                  each))
    if not args.quiet:
        mytables.show(table([os.path.basename(myweights.stem(p)) for p in args.weights], found))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

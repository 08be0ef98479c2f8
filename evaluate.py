"""Accuracy of trained classifiers on the named test sets of a data set, as a table and as rows of CSV."""
import argparse
import functools
import os
import sys

import mybackgrounds
import mydatasets
from common import cli
from common.errors import guard, UserError
from report import formats
from report.measures import GAP
from scoring import challenge, rowfile
from scoring.arguments import data_arguments, load_data, method_name
from scoring.evaluation import ASKED, evaluate, Exam, KINDS, precision, searches_of, tests_of
from scoring.rows import record
from training import weightfiles


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python evaluate.py mnist_backgrounds saved/mnist-baseline-0',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; monochrome ones also as '
                   'NAME_backgrounds (the six patterns) and NAME_noises (salt and pepper at 20 rates)')
    p.add_argument('weights', nargs='+', help='of train1.py, train3.py or train_att.py')
    p.add_argument('--csv', metavar='FILE', help='append the rows to this file, each once')
    p.add_argument('--method', type=method_name, help='name of the rows; None: what the sidecar says')
    p.add_argument('--tests', nargs='+', choices=ASKED, default=[], help='also: unseen, backgrounds that '
                   'training knows nothing of, with and without a halo around the object; attack, by '
                   'generators trained against these weights (monochrome sets); pixels, the worst background '
                   'of each image that ascent on its pixels finds; worst, right on every one of a fixed set '
                   '(these three are upper bounds on robust accuracy, and take minutes); mixed, the '
                   'Backgrounds Challenge: objects on backgrounds of other photographs, and either alone')
    p.add_argument('--unseen', action='store_true', help='the same as --tests unseen')
    p.add_argument('--adversarial', action='store_true', help='the same as --tests attack')
    data_arguments(p)
    return p


def parse(argv=None):
    return cli.parse(arguments(), argv)


def asked(args):
    """The names of the tests beside those of the data set, each once, in the order of ASKED."""
    more = {'unseen': args.unseen, 'attack': args.adversarial}
    return [test for test in ASKED if test in args.tests or more.get(test)]


def table(names, found):
    """A line for each weights file, or for each test when there are many. found: the rows of each file."""
    cells = [{r['test']: f'{100*r["accuracy"]:.2f}\n{r["correct"]}/{r["n"]}' for r in rows}
             for rows in found]
    for texts, rows in zip(cells, found):
        six = [r['accuracy'] for r in rows if r['test'] in mybackgrounds.PATTERNS]
        if len(six) == len(mybackgrounds.PATTERNS):
            texts['mean of six'] = f'{100*sum(six)/len(six):.2f}'
        mixed = {r['test']: r['accuracy'] for r in rows if r['test'] in challenge.MIXED}
        if mixed:
            texts[GAP] = f'{100*(mixed["mixed-same"] - mixed["mixed-rand"]):.2f}'
    tests = list(dict.fromkeys(t for texts in cells for t in texts))
    lines = [[name, *(texts.get(t, '') for t in tests)] for name, texts in zip(names, cells)]
    columns = ['weights', *tests]
    if len(tests) > 10:
        lines = [[t, *(texts.get(t, '').replace('\n', '  ') for texts in cells)] for t in tests]
        columns = ['test', *names]
    return formats.Table(f'Accuracy on {found[0][0]["dataset"]} (%)', columns, lines, [])


def keep(args, name, row, found):
    """Writes down one row; says what its search found beside it."""
    if args.csv:
        record(args.csv, row)
    if found and not args.quiet:
        print(f'{row["test"]} on {name}: {found.line()}', flush=True)


def run(args):
    # all sidecars are looked at before minutes go into the first weights
    for path in args.weights:
        about = weightfiles.read_sidecar(path)
        if about['kind'] not in KINDS:
            raise UserError(f'{path} holds a {about["kind"]}, needed is {" or ".join(KINDS)}; give others')
    more = asked(args)
    data = load_data(args, train='attack' in more)
    tests = tests_of(data, more)
    if args.csv:
        rowfile.read(args.csv)   # a file of something else is refused before the work
    exam = Exam(data, tests, searches_of(more), args.method, args.batchsize)
    names, found = [os.path.basename(weightfiles.stem(p)) for p in args.weights], []
    with precision(args.precision):
        for name, path in zip(names, args.weights):
            model, about = weightfiles.load(path, KINDS, data)
            found.append(evaluate(model, about, exam, functools.partial(keep, args, name)))
    if not args.quiet:
        formats.show(table(names, found))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

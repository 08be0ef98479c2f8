"""Scores of trained networks on the named test sets of a data set, as a table and as rows of CSV.

Accuracy of classifiers; where a number is asked for, the mean absolute error in its unit, and the share of
answers within a tolerance.
"""
import argparse
import functools
import os
import sys

import mydatasets
from common import cli, patterns, tasks
from common.errors import guard, UserError
from report import formats, naming
from report.measures import GAP
from scoring import challenge, objects, references, rowfile
from scoring.arguments import data_arguments, load_data, method_name
from scoring.evaluation import (ASKED, evaluate, Exam, KINDS, KINDS_OF, precision, searches_of, tests_of)
from scoring.rows import record
from training import weightfiles


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python evaluate.py mnist_backgrounds saved/mnist-baseline-0',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; monochrome ones also as '
                   'NAME_backgrounds (the six patterns) and NAME_noises (salt and pepper at 20 rates)')
    p.add_argument('weights', nargs='+', help='of train1.py, train3.py or train_att.py; beside U-Nets of '
                   'train3.py also that of train2.py')
    p.add_argument('--csv', metavar='FILE', help='append the rows to this file, each once')
    p.add_argument('--method', type=method_name, help='name of the rows; None: what the sidecar says')
    p.add_argument('--tests', nargs='+', choices=ASKED, default=[], help='also: unseen, backgrounds that '
                   'training knows nothing of, with and without a halo around the object; distractors, '
                   'photographs on which other objects and textures were pasted; attack, by '
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


def shown(rows):
    """{test: text} of the rows of a weights file."""
    if 'accuracy' in rows[0]:
        return {r['test']: f'{100*r["accuracy"]:.2f}\n{r["correct"]}/{r["n"]}' for r in rows}
    texts = {}
    for r in rows:
        texts.setdefault(r['test'], []).append(tasks.text(r['value'], r['unit'], 2))
    return {test: '\n'.join(parts) for test, parts in texts.items()}


def headlines(rows):
    """(the values of the first score of a weights file on the six patterns, their unit)."""
    six = [r for r in rows if r['test'] in patterns.PATTERNS]
    first = next((r.get('score') for r in six), None)
    return [r.get('accuracy', r.get('value')) for r in six if r.get('score') == first], rows[0].get('unit')


def table(names, found, task):
    """A line for each weights file, or for each test when there are many. found: the rows of each file."""
    cells = [shown(rows) for rows in found]
    for texts, rows in zip(cells, found):
        six, unit = headlines(rows)
        if len(six) == len(patterns.PATTERNS):
            mean = sum(six)/len(six)
            texts['mean of six'] = f'{100*mean:.2f}' if unit is None else tasks.text(mean, unit, 2)
        mixed = {r['test']: r['accuracy'] for r in rows if r['test'] in challenge.MIXED}
        if mixed:
            texts[GAP] = f'{100*(mixed["mixed-same"] - mixed["mixed-rand"]):.2f}'
    tests = list(dict.fromkeys(t for texts in cells for t in texts))
    lines = [[name, *(texts.get(t, '') for t in tests)] for name, texts in zip(names, cells)]
    columns = ['weights', *tests]
    if len(tests) > 10:
        lines = [[t, *(texts.get(t, '').replace('\n', '  ') for texts in cells)] for t in tests]
        columns = ['test', *names]
    dataset, notes = found[0][0]['dataset'], [f'{s.name}: {s.meaning}.' for s in task.scores]
    if task.kind == 'classifier':
        return formats.Table(f'Accuracy on {dataset} (%)', columns, lines, [])
    return formats.Table(f'Scores on {dataset}', columns, lines, notes)


def keep(args, name, row, found):
    """Writes down one row; says what its search found beside it."""
    if args.csv:
        record(args.csv, row)
    if found and not args.quiet:
        print(f'{row["test"]} on {name}: {found.line()}', flush=True)


def run(args):
    # all sidecars are looked at before minutes go into the first weights
    kinds = [weightfiles.read_sidecar(path)['kind'] for path in args.weights]
    marks = 'segmenter' in kinds
    for path, kind in zip(args.weights, kinds):   # which of these fits the data set, is asked with it at hand
        if kind not in (KINDS_OF['segmenter'] if marks else KINDS):
            raise UserError(f'{path} holds a {kind}, needed is {" or ".join(KINDS)}; give others')
    more = asked(args)
    data = load_data(args, train='attack' in more)
    data = objects.asking_masks(data) if marks else data
    tests = tests_of(data, more)
    if args.csv:
        rowfile.read(args.csv)   # a file of something else is refused before the work
    exam = Exam(data, tests, searches_of(more), args.method, args.batchsize)
    names, found = [os.path.basename(weightfiles.stem(p)) for p in args.weights], []
    with precision(args.precision):
        for name, path in zip(names, args.weights):
            model, about = weightfiles.load(path, KINDS_OF[data.task.kind], data)
            found.append(evaluate(model, about, exam, functools.partial(keep, args, name)))
    blind = references.rows(data, tests)
    if blind:
        for row in blind:
            keep(args, '', row, None)
        names, found = [naming.name_of(blind[0]['method']), *names], [blind, *found]
    if not args.quiet:
        formats.show(table(names, found, data.task))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

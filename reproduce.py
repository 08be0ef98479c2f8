"""Reproduces the paper's tables: trains what is missing, evaluates it, prints tables and draws figures.

Every row is recorded under the settings of its whole chain of phases; recorded rows are never computed again.
"""
import argparse
import datetime
import json
import os
import resource
import shlex
import sys
import time
from typing import NamedTuple

import mydatasets
import train1
import train2
import train3
import train_att
from common import cli
from common.errors import guard, UserError
from common.files import alone
from mymodels import BIG
from readers import reading
from report import pages
from scoring import evaluation, overlap, rowfile, unseen
from training import weightfiles
from training.recipes import MAIN, METHODS, MONOCHROME, phase, PHOTOGRAPHS, RECIPES

SCRIPTS = {'train1': train1, 'train2': train2, 'train3': train3, 'train_att': train_att}


def parse(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
                                epilog='example: python reproduce.py mnist fashionmnist --seeds 5')
    p.add_argument('dataset', nargs='+', help=f'of {", ".join(mydatasets.names())}')
    p.add_argument('--methods', nargs='+', choices=METHODS, default=list(MAIN),
                   metavar='METHOD',
                   help=f'rows of the tables, of {", ".join(METHODS)}')
    p.add_argument('--seeds', type=cli.whole(1), default=1, metavar='N', help='seeds 0 to N-1')
    p.add_argument('--out', default='runs', metavar='DIR',
                   help='rows, tables and figures; rows there count as done')
    p.add_argument('--saved', metavar='DIR', help='weights of the phases; None: OUT/saved')
    p.add_argument('--tests', nargs='+', choices=('noises', 'unseen', 'attack'), default=[],
                   help='beside the original and the six patterns')
    p.add_argument('--quick', action='store_true', help='a tenth of the epochs: to see that everything runs')
    p.add_argument('--tables-only', action='store_true',
                   help='rebuild tables and figures from the recorded rows')
    p.add_argument('--shard', type=shard, default=(0, 1), metavar='I/N',
                   help='this machine does part I of N (from 1)')
    p.add_argument('--limit', type=cli.whole(1), help='as for the trainers')
    p.add_argument('--batchsize', type=cli.whole(1), help="as for the trainers; None: the recipe's")
    p.add_argument('--precision', choices=('auto', 'float32', 'bfloat16', 'float16'),
                   help='as for the trainers')
    reading.add_arguments(p)
    p.add_argument('--deterministic', action='store_true', help='as for the trainers')
    p.add_argument('--quiet', action='store_true', help='no progress of the phases')
    return cli.parse(p, argv)


def shard(text):
    i, _, n = text.partition('/')
    if not (i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise argparse.ArgumentTypeError(f'{text!r} is no I/N with I from 1 to N')
    return int(i) - 1, int(n)


class Plan(NamedTuple):
    """The phases of one data set and seed."""
    args: argparse.Namespace
    dataset: str
    seed: int
    monochrome: bool
    large: bool = False   # are its images for backbones?

    def path(self, name):
        folder = self.args.saved or os.path.join(self.args.out, 'saved')
        return os.path.join(folder, f'{mydatasets.label(self.dataset)}-{name}-{self.seed}')

    @property
    def binarize(self):
        """What phase 3 makes of the masks."""
        return phase('best', self.monochrome).argv[2]

    def load(self, suffix=None):
        """The data set as the phases see it. suffix: of its tests; None: the six patterns, where they can be
        pasted."""
        suffix, args = suffix or ('_backgrounds' if self.monochrome else ''), self.args
        return mydatasets.load(self.dataset + suffix, reading.Reading.of(args), args.limit)

    def parents(self, name):
        return [a.strip('{}') for a in phase(name, self.monochrome).argv if a.startswith('{')]

    def argv(self, name):
        """The command line of a phase."""
        script, words = phase(name, self.monochrome)
        recipe = RECIPES.get(self.dataset.partition(':')[0], {})
        argv = [self.path(w.strip('{}')) if w.startswith('{') else w for w in words]
        argv = [self.dataset, *argv, *recipe.get(name, recipe.get(script, ())), '--seed', str(self.seed),
                '--output', self.path(name)]
        argv += reading.Reading.of(self.args).words()
        for option in ('limit', 'batchsize', 'precision'):
            if getattr(self.args, option) is not None:
                argv += ['--' + option, str(getattr(self.args, option))]
        argv += [f'--{o}' for o in ('deterministic', 'quiet') if getattr(self.args, o)]
        argv += ['--imsave'] if name == 'proposal' and self.seed == 0 else []   # for a figure over epochs
        if self.args.quick:
            argv += ['--epochs', str(max(1, SCRIPTS[script].parse(argv).epochs//10))]
        return argv

    def settings(self, name):
        """Fingerprint of the whole chain, known before anything is trained."""
        module = SCRIPTS[phase(name, self.monochrome).script]
        parents = [self.settings(p) for p in self.parents(name)]
        return module.fingerprint(module.parse(self.argv(name)), parents, self.large)

    def steps(self, name):
        """In which the classifier of a row was trained, phase by phase: (2500, 4000)."""
        args = SCRIPTS[phase(name, self.monochrome).script].parse(self.argv(name))
        before = [s for parent in self.parents(name) if parent != 'unet' for s in self.steps(parent)]
        return (*before, args.epochs*args.steps_per_epoch)


def ensure(plan, name):
    """Trains a phase and those before it unless their weights are there with the right settings."""
    for parent in plan.parents(name):
        ensure(plan, parent)
    with alone(plan.path(name)):
        train(plan, name, plan.settings(name))


def train(plan, name, wanted):
    """One phase, unless its weights are there."""
    try:
        about = weightfiles.read_sidecar(plan.path(name))
    except UserError:
        about = None
    if about and about.get('settings') == wanted:
        return
    argv = plan.argv(name) + (['--overwrite'] if about else ['--resume'])
    script = phase(name, plan.monochrome).script
    command = shlex.join(['python', script + '.py', *argv])
    print(f'== {command}', flush=True)
    began = time.monotonic()
    code = SCRIPTS[script].main(argv)
    if code:
        raise Stopped(code)
    log(plan.args, {'phase': name, 'dataset': plan.dataset, 'seed': plan.seed, 'settings': wanted,
                    'seconds': round(time.monotonic() - began, 1), 'command': command})


def steps_by_settings(plans):
    """{(label of a data set, settings): steps} of every row that the plans can make."""
    return {(mydatasets.label(plan.dataset), plan.settings(method)): plan.steps(method)
            for plan in plans for method in (MONOCHROME if plan.monochrome else PHOTOGRAPHS)}


class Stopped(Exception):
    """A phase ended with this exit code, after saying why."""


def log(args, entry):
    """One line about what was run, with what, when, and the memory until then: OUT/runs.jsonl."""
    os.makedirs(args.out, exist_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss   # KiB
    entry |= {'peak_gib': round(peak/2**20, 2), 'versions': weightfiles.versions(),
              'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}
    with open(os.path.join(args.out, 'runs.jsonl'), 'a') as f:
        f.write(json.dumps(entry) + '\n')


# Rows

def tests_of(plan):
    """{name of a test: Test} asked for. The attack is not one of them: it trains a generator of its own."""
    data = plan.load()
    tests = evaluation.tests_of(data)
    if 'noises' in plan.args.tests:
        tests |= plan.load('_noises').tests
    if 'unseen' in plan.args.tests:
        tests |= unseen.tests(data)
    return tests


def record(plan, name):
    """Evaluates the weights of a phase on the tests that have no row yet; trains them first where needed."""
    accuracy_csv = os.path.join(plan.args.out, 'accuracy.csv')
    settings, dataset = plan.settings(name), mydatasets.label(plan.dataset)
    key = {'dataset': dataset, 'method': name, 'seed': plan.seed, 'settings': settings}
    rows = rowfile.read(accuracy_csv)
    tests = tests_of(plan)
    wanted = [*tests, *(['attack'] if 'attack' in plan.args.tests else [])]
    missing = [t for t in wanted if not rowfile.done(rows, **key, test=t)]
    if not missing:
        return
    ensure(plan, name)
    data = plan.load()

    def say(row, found=None):
        rowfile.append(accuracy_csv, row)
        print(f'{dataset} {name} seed {plan.seed} {row["test"]}: {100*row["accuracy"]:.2f} %', flush=True)
    with evaluation.precision():   # float32: rows do not depend on the processor
        model, about = weightfiles.load(plan.path(name), evaluation.KINDS, data)
        wanted = {t: tests[t] for t in missing if t != 'attack'}
        evaluation.evaluate(model, about, evaluation.Exam(data, wanted, 'attack' in missing, name), say)


def record_masks(plan):
    """IoU, Dice and area of the masks of phase 2, where the truth is known."""
    path = os.path.join(plan.args.out, 'masks.csv')
    key = {'dataset': mydatasets.label(plan.dataset), 'seed': plan.seed, 'settings': plan.settings('unet')}
    rows = rowfile.read(path)
    missing = [b for b in ('otsu', 'snap') if not rowfile.done(rows, method=f'unet-{b}', **key)]
    raw_missing = not rowfile.done(rows, dataset=key['dataset'], method=overlap.RAW)
    if not missing and not raw_missing:
        return
    data = plan.load()
    try:
        _, test = mydatasets.with_truth(data)
    except UserError:
        return   # photographs without masks
    ensure(plan, 'unet')
    with evaluation.precision():
        unet, about = weightfiles.load(plan.path('unet'), 'unet', data)
        for binarize in missing:
            rowfile.append(path, overlap.unet_row(unet, about, overlap.MaskExam(data, test, binarize)))
        if raw_missing:
            rowfile.append(path, overlap.raw_row(overlap.MaskExam(data, test)))


def checked(plan):
    """The plan with what its data set is like. What would stop a row after hours is told now."""
    try:
        data = plan.load()
    except UserError:
        if plan.args.tables_only:   # they need no data: without it the known names answer
            return plan._replace(monochrome=not plan.dataset.startswith('folder:'))
        raise
    plan = plan._replace(monochrome=data.monochrome, large=data.shape[0] >= BIG)
    if plan.args.tables_only:
        return plan
    for test in ('noises', 'attack'):
        if test in plan.args.tests and not data.monochrome:
            raise UserError(f'--tests {test} is for monochrome sets, {plan.dataset} is in colour; leave it '
                            'out')
    if 'real' in plan.args.methods and not data.monochrome and data.backgrounds is None:
        raise UserError(f'{plan.dataset} has no photographs for the row `real`; put some into its folder '
                        'backgrounds/, or leave the row out')
    unknown = [m for m in plan.args.methods if m not in (MONOCHROME if plan.monochrome else PHOTOGRAPHS)]
    if unknown:
        raise UserError(f'{unknown[0]} is no row of photographs such as {plan.dataset}; leave it out')
    tests_of(plan)
    return plan


def run(args):
    began = time.monotonic()
    plans = [checked(Plan(args, d, 0, monochrome=False)) for d in args.dataset]
    units = [(plan._replace(seed=seed), method) for plan in plans for seed in range(args.seeds)
             for method in args.methods]
    part, parts = args.shard
    try:
        for plan, method in [] if args.tables_only else units[part::parts]:
            record(plan, method)
            record_masks(plan)
    except Stopped as e:
        print('stopped by a phase; the same command continues', file=sys.stderr)
        return e.args[0]
    if not args.tables_only:
        log(args, {'command': shlex.join(['python', 'reproduce.py', *args.words]),
                   'seconds': round(time.monotonic() - began)})
    sections = pages.write_tables(args.out, args.dataset, steps_by_settings(plans))
    pages.draw_figures(args.out, plans)
    print(f'rows: {args.out}/accuracy.csv, tables: {args.out}/tables.md, figures: {args.out}/figures')
    print(f'report: {pages.write_report(args.out, sections)}')


def main(argv=None):
    args = parse(argv)
    args.words = sys.argv[1:] if argv is None else argv
    return guard(run, args)


if __name__ == '__main__':
    sys.exit(main())

"""Reproduces the paper's tables: trains what is missing, evaluates it, prints tables and draws figures.

Every row is recorded under the settings of its whole chain of phases; recorded rows are never computed again.
"""
from common import opening

if __name__ == '__main__':
    opening.loading()   # before what follows, which loads TensorFlow

import argparse
import os
import shlex
import sys
import time
from typing import NamedTuple

import cutout
import mydatasets
import train1
import train2
import train3
import train_att
from common import cli
from common.errors import guard, UserError
from common.files import alone
from common.tasks import MASK
from mymodels import learning_rate
from report import pages
from scoring import evaluation, labels, objects, overlap, references, rowfile, rows
from training import options, plans, runlog, weightfiles
from training.plans import Plan
from training.recipes import MAIN, METHODS

SCRIPTS = {m.__name__: m for m in (train1, train2, train3, train_att, cutout)}


def parse(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
                                epilog='example: python reproduce.py mnist fashionmnist --seeds 5')
    p.add_argument('dataset', nargs='+', help=f'of {", ".join(mydatasets.names())}')
    p.add_argument('--methods', nargs='+', choices=METHODS, metavar='METHOD',
                   help=f'rows of the tables, of {", ".join(METHODS)}; None: {" ".join(MAIN)} (attention for '
                   'classifiers alone)')
    p.add_argument('--seeds', type=cli.whole(1), default=1, metavar='N', help='seeds 0 to N-1')
    p.add_argument('--tests', nargs='+', choices=('noises', *evaluation.ASKED), default=[],
                   help='beside the original and the six patterns')
    p.add_argument('--quick', action='store_true', help='a tenth of the epochs: to see that everything runs')
    p.add_argument('--tables-only', action='store_true',
                   help='rebuild tables and figures from the recorded rows')
    p.add_argument('--shard', type=plans.shard, default=(0, 1), metavar='I/N',
                   help='this machine does part I of N (from 1)')
    plans.add_arguments(p)
    return cli.parse(p, argv)


# Phases

def argv_of(plan, name):
    """The command line of a phase, shortened by --quick."""
    argv, phase = plan.argv(name), plan.phases[name]
    if not plan.args.quick or not phase.trains:
        return argv
    return [*argv, '--epochs', str(max(1, SCRIPTS[phase.script].parse(argv).epochs//10))]


def parsed(plan, name):
    return SCRIPTS[plan.phases[name].script].parse(argv_of(plan, name))


def fingerprint(plan, name):
    """Of the settings of the whole chain of phases, known before anything is trained."""
    parents = [fingerprint(plan, p) for p in plan.parents(name)]
    rate = plan.rate if plan.task_of(name) == plan.task else None   # a U-Net has no backbone
    return SCRIPTS[plan.phases[name].script].fingerprint(parsed(plan, name), parents, rate)


def steps(plan, name):
    """In which the network of a row was trained, phase by phase: (2500, 4000)."""
    args, phase = parsed(plan, name), plan.phases[name]
    before = [s for start in plan.parents(name)[:1] for s in steps(plan, start)]   # the second makes masks
    if not phase.trains:
        return tuple(before)
    last_layer = phase.script == 'train1' and args.freeze == 'all'   # which takes none
    return (*before, 0 if last_layer else args.epochs*(args.steps_per_epoch or plan.images//args.batchsize))


def steps_by_fingerprint(plans):
    """{(label of a data set, fingerprint): steps} of every row that the plans can make. Backbones pass over
    all images, so without these it is not known."""
    known = [plan for plan in plans if plan.images or not plan.args.backbone]
    return {(plan.label, fingerprint(plan, method)): steps(plan, method)
            for plan in known for method in plan.phases}


def is_trained(plan, name):
    return plan.holds(name, fingerprint(plan, name), parsed(plan, name))


def to_train(plan, name):
    """The phases without which the weights of a phase cannot stand there, in the order of training."""
    if is_trained(plan, name):
        return []
    return list(dict.fromkeys([*(p for parent in plan.parents(name) for p in to_train(plan, parent)), name]))


def ensure(plan, name, queue):
    """Trains a phase and those before it, unless its weights are there. queue: of `queue_of`."""
    for phase in to_train(plan, name):
        with alone(plan.path(phase)):
            if not is_trained(plan, phase):   # another process may have been faster
                train(plan, phase, queue)


def train(plan, name, queue):
    """One phase, which says what it is and how many there are."""
    plan.demand_ours(name)
    argv = [*argv_of(plan, name), '--overwrite' if plan.about(name) else '--resume']
    script = plan.phases[name].script
    command = shlex.join(['python', script + '.py', *argv])
    number = queue.setdefault(plan.path(name), len(queue) + 1)
    print(f'phase {number} of {len(queue)}: {name} ({plan})\n== {command}', flush=True)
    if code := SCRIPTS[script].main(argv):
        raise Stopped(code)
    runlog.add_phase(plan, name, plan.about(name), command)


class Stopped(Exception):
    """A phase ended with this exit code, after saying why."""


# Rows

class Unit(NamedTuple):
    """A row of the tables on one seed, and the tests that it is to stand."""
    plan: Plan
    method: str
    tests: dict       # {name: Test}; searches are none of them: they need the model

    def __str__(self):
        return f'{self.method} ({self.plan})'


def tests_of(plan, method):
    """{name of a test: Test} asked for."""
    task, asked = plan.task_of(method), plan.args.tests
    tests = evaluation.tests_of(objects.asked(plan.load(), task), evaluation.possible(asked, task))
    return tests | (objects.asked(plan.load('_noises'), task).tests if 'noises' in asked else {})


def missing_tests(unit):
    """Names of the tests that have no row yet."""
    plan = unit.plan
    task = plan.task_of(unit.method)
    known = rowfile.read(rows.path(plan.args.out, task))
    mine = rowfile.find(known, dataset=plan.label, method=unit.method, seed=plan.seed,
                        settings=fingerprint(plan, unit.method))
    wanted = [*unit.tests, *evaluation.searches_of(evaluation.possible(plan.args.tests, task))]
    return [t for t in wanted if len(rowfile.find(mine, test=t)) < len(task.scores)]


def record(unit, queue):
    """Evaluates the weights of a row on the tests that it lacks; trains them first where needed."""
    missing, (plan, method, tests) = missing_tests(unit), unit
    if not missing:
        return
    ensure(plan, method, queue)
    print(f'evaluating {unit}', flush=True)
    data = objects.asked(plan.load(), plan.task_of(method))

    def keep(row, found=None):
        rows.add(plan.args.out, plan.label, row)
        if found is not None:   # how a search won stands in no column
            runlog.add(plan.args.out, {**row, 'dataset': plan.label, **found._asdict()})
    exam = evaluation.Exam(data, {t: tests[t] for t in missing if t in tests},
                           [t for t in missing if t not in tests], method)
    with evaluation.precision():   # float32: rows do not depend on the processor
        found = weightfiles.load(plan.path(method), evaluation.KINDS_OF[data.task.kind], data)
        evaluation.evaluate(*found, exam, keep)


def missing_masks(plan):
    """Names of the rows of masks that are missing; none where the truth is not known."""
    found = rowfile.find(rowfile.read(os.path.join(plan.args.out, 'masks.csv')), dataset=plan.label)
    mine = rowfile.find(found, seed=plan.seed, settings=fingerprint(plan, 'unet'))
    known = {r['method'] for r in mine + rowfile.find(found, method=overlap.RAW)}
    missing = [name for name in (*plan.masks, overlap.RAW) if name not in known]
    if missing:
        try:
            mydatasets.with_truth(plan.load())
        except UserError:   # photographs without masks
            return []
    return missing


def record_masks(plan, queue):
    """IoU, Dice and area of the masks of phase 2, where the truth is known."""
    missing = missing_masks(plan)
    if not missing:
        return
    ensure(plan, 'unet', queue)
    print(f'comparing masks with the true ones ({plan})', flush=True)
    data = plan.load()
    _, test = mydatasets.with_truth(data)
    with evaluation.precision():
        unet, about = weightfiles.load(plan.path('unet'), 'unet', data)
        for name in missing:
            if name == overlap.RAW:
                row = overlap.raw_row(overlap.MaskExam(data, test))
            else:
                exam = overlap.MaskExam(data, test, plan.masks[name], method=name)
                row = overlap.unet_row(unet, about, exam)
            rowfile.append(os.path.join(plan.args.out, 'masks.csv'), {**row, 'dataset': plan.label})


# Plans

def checked(plan):
    """(the plan with what its data set is like, tests). What would stop a row after hours is told now."""
    args = plan.args
    try:
        data = plan.load()
    except UserError:
        if args.tables_only:   # they need no data: without it the known names answer
            return plan._replace(monochrome=not plan.dataset.startswith('folder:')), {}
        raise
    labels.known_data(args.out, plan.label, plan.digest)
    plan = plan._replace(monochrome=data.monochrome, images=len(data.train), task=data.task)
    network = options.network_of(parsed(plan, 'baseline'), data.shape)
    if 'backbone' in network:
        plan = plan._replace(rate=learning_rate(network))
    if args.tables_only:
        return plan, {}
    plan.demand_possible(data)
    marks = ['unet'] if any(plan.task_of(m) == MASK for m in plan.methods) else []
    return plan, {m: tests_of(plan, m) for m in (*plan.methods, *marks)}


def queue_of(units):
    """{weights: number} of the phases that these units still have to train, in that order."""
    queue = {}
    for unit in units:
        names = [unit.method] if missing_tests(unit) else []
        if missing_masks(unit.plan):
            names.append('unet')
        for phase in (p for name in names for p in to_train(unit.plan, name)):
            unit.plan.demand_ours(phase)
            queue.setdefault(unit.plan.path(phase), len(queue) + 1)
    return queue


def measure(args, studies):
    """Makes the rows that are missing, of this shard. studies: pairs of `checked`."""
    units = [Unit(plan._replace(seed=seed), method, mine) for plan, tests in studies
             for seed in range(args.seeds) for method, mine in tests.items()]
    part, parts = args.shard
    queue = queue_of(units[part::parts])
    for plan, tests in studies:
        labels.remember_data(args.out, plan.label, plan.digest)
        for task, method in {plan.task_of(m): m for m in tests}.items():
            references.record(args.out, plan.label, objects.asked(plan.load(), task), tests[method])
    for unit in units[part::parts]:
        record(unit, queue)
        record_masks(unit.plan, queue)


def run(args, words):
    began = time.monotonic()
    if args.name and len(args.dataset) > 1:
        raise UserError('--name is for one data set; give one, or leave --name out')
    print(f'reading {", ".join(args.dataset)}', flush=True)
    studies = [checked(Plan(args, d, 0, monochrome=False)) for d in args.dataset]
    if not args.tables_only:
        try:
            measure(args, studies)
        except Stopped as e:
            print('stopped by a phase; the same command continues', file=sys.stderr)
            return e.args[0]
        runlog.add(args.out, {'command': shlex.join(['python', 'reproduce.py', *words]),
                              'seconds': round(time.monotonic() - began)})
    show(args.out, [plan for plan, _ in studies])


def show(out, plans):
    """Tables, figures and one page of them, from the rows in OUT. plans: one of each data set."""
    sections = pages.write_tables(out, [plan.label for plan in plans], steps_by_fingerprint(plans))
    print('drawing figures', flush=True)
    pages.draw_figures(out, plans)
    files = ', '.join(dict.fromkeys(rows.path(out, plan.task_of(m)) for plan in plans for m in plan.methods))
    print(f'rows: {files}, tables: {out}/tables.md, figures: {out}/figures')
    print(f'report: {pages.write_report(out, sections)}')


def main(argv=None):
    args, words = parse(argv), sys.argv[1:] if argv is None else argv
    return guard(lambda args: run(args, words), args)


if __name__ == '__main__':
    sys.exit(main())

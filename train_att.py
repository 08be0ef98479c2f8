"""The attention baseline, AG-CNN (Guan et al. 2018, arXiv 1801.09927).

A local branch looks at what the global one saw. The global branch is the classifier of phase 1; it stays
frozen while the local branch and the fusion are trained.
"""
import sys

import mymodels
from common import cli
from common.errors import guard, UserError
from common.quiet import keras
from training import checkpoints, finish, loop, options, probe, start, steps, validation, weightfiles


def arguments():
    p = options.parser(__doc__, 'python train_att.py mnist --global-classifier saved/mnist-baseline-0',
                       epochs=10, steps_per_epoch=100)
    options.add_network_arguments(p)
    p.add_argument('--global-classifier', metavar='WEIGHTS',
                   help='the trained global branch; None: phase 1 is run first, with the same options')
    p.add_argument('--tau', type=cli.number(0, 1, above=True), default=0.7,
                   help='share of the strongest activation that is attended to')
    return p


def parse(argv=None):
    return options.parse(arguments(), argv, lambda args: 'attention', script='train_att')


def fingerprint(args, parents=(), rate=None):
    return options.fingerprint('train_att', args, parents)


def train(job, model, rate):
    """The history of plain training of what is not frozen."""
    optimizer = start.adam(job, model.trainable_variables, rate)
    return loop.fit(job, loop.Work(
        start.augmented(start.augmentation(job)), steps.supervised_step(model, optimizer),
        {'model': model.variables, 'optimizer': optimizer.variables},
        validation.validator(model, job.data)))


def demand_classes(data):
    """The same data set. Errors: UserError where something else than a class is asked for."""
    if data.task.kind != 'classifier':
        raise UserError(f'attention is a baseline of classifiers, and {data.name} asks for {data.task}; take '
                        'another')
    return data


def train_global_branch(args, path):
    """Phase 1, with a name of its own."""
    job = start.begin(checkpoints.renamed(args, path), options.phase1_fingerprint(args))
    if job is None:
        return
    data = demand_classes(job.data)
    with job.strategy.scope():
        network = options.network_of(args, data.shape)
        job = job.settled(lr=args.lr or mymodels.learning_rate(network))
        model = probe.classifier(job, network)
        history = train(job, model, job.args.lr)
        finish.write(job, finish.Outcome(model, 'classifier', 'baseline', history, network))


def run(args):
    if args.freeze:
        raise UserError('--freeze is for phase 1; give it to train1.py, and its weights here with '
                        '--global-classifier')
    path = args.global_classifier or args.output + '-global'
    checkpoints.demand_output(args)
    if not args.global_classifier:
        train_global_branch(args, path)
    about = weightfiles.read_sidecar(path)
    if {'architecture', 'remover'} & set(about.get('network', {})):
        raise UserError(f'{path} was imported or cuts out what it sees, and attention has to know the layers '
                        'of its classifier; give weights of train1.py')
    parents = [about.get('settings')] if args.global_classifier else []   # else its settings are ours
    job = start.begin(args, fingerprint(args, parents), {'global': about})
    if job is None:
        return
    data = demand_classes(job.data)
    with job.strategy.scope():
        base, about = weightfiles.load(path, 'classifier', data)
        keras.utils.set_random_seed(args.seed)   # the same start whatever was built before
        model = mymodels.attention(data.shape, data.task, args.tau, base)
        job = job.settled(lr=args.lr or mymodels.SMALL_RATE)
        history = train(job, model, job.args.lr)
        finish.write(job, finish.Outcome(
            model, 'attention', 'attention', history, {**about.get('network', {}), 'tau': args.tau},
            {'global': path}, ('evaluate.py', args.dataset, args.output)))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

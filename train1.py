"""Phase 1: trains the classifier f on plain images, min_f L(f(x), y)."""
import sys

import mymodels
from common.errors import guard
from training import finish, loop, options, probe, start, steps, validation


def arguments():
    p = options.parser(__doc__, 'python train1.py mnist --epochs 25', epochs=25, steps_per_epoch=100)
    options.add_network_arguments(p)
    return p


def parse(argv=None):
    return options.parse(arguments(), argv, lambda args: 'baseline')


def fingerprint(args, parents=(), rate=None):
    return options.phase1_fingerprint(args)


def run(args):
    job = start.begin(args, fingerprint(args))
    if job is None:
        return
    data = job.data
    with job.strategy.scope():
        network = options.network_of(args, data.shape)
        job = job.settled(lr=args.lr or mymodels.learning_rate(network))
        model = probe.classifier(job, network)
        if args.freeze:
            mymodels.freeze(model, network.get('backbone'), args.freeze)
        validate = validation.validator(model, data)
        if args.freeze == 'all' and not network['dense']:
            history = probe.alone(job, validate)
        else:
            optimizer = start.adam(job, model.trainable_variables, job.args.lr)
            history = loop.fit(job, loop.Work(
                start.augmented(start.augmentation(job)), steps.supervised_step(model, optimizer),
                {'model': model.variables, 'optimizer': optimizer.variables}, validate))
        finish.write(job, finish.Outcome(model, model.task.kind, 'baseline', history, network,
                                         say=('train2.py', args.dataset, args.output)))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

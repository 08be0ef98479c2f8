"""The attention baseline, AG-CNN (Guan et al. 2018, arXiv 1801.09927).

A local branch looks at what the global one saw. The global branch is the classifier of phase 1; it stays
frozen while the local branch and the fusion are trained.
"""
import sys
import time

import mydatasets
import mymodels
from common import cli
from common.errors import guard
from common.quiet import keras
from training import checkpoints, finish, loop, options, start, steps, validation, weightfiles


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
    args = options.parse(arguments(), argv)
    args.output = args.output or f'saved/{mydatasets.label(args.dataset)}-attention-{args.seed}'
    return args


def settings(args, parents=()):
    return options.fingerprint('train_att', args, parents)


def global_branch(args, data, prepare):
    """(network, what its sidecar says): loaded, or trained here first with a name of its own."""
    path = args.global_classifier or args.output + '-global'
    network = start.network_options(args, data.shape)
    if not args.global_classifier:
        model = mymodels.classifier(data.shape, len(data.classes), backbone_weights=args.backbone_weights,
                                    **network)
        first = checkpoints.renamed(args, path)
        fingerprint = options.fingerprint('train1', args)
        if not checkpoints.finished(first, fingerprint):
            optimizer = start.adam(args, model.trainable_variables)
            step = steps.supervised_step(model, optimizer)
            history = loop.fit(prepare, step, data, first,
                                  {'model': model.variables, 'optimizer': optimizer.variables}, fingerprint,
                                  validation.validator(model, data))
            finish.finish(model, 'classifier', first, data, fingerprint, history, 'baseline',
                           network=network)
    return weightfiles.load(path, 'classifier', data.shape, data.classes, data.fit)


def run(args):
    path = args.global_classifier
    parents = [weightfiles.read_sidecar(path).get('settings')] if path else []
    fingerprint = settings(args, parents)
    if checkpoints.finished(args, fingerprint):
        return
    began, strategy = time.monotonic(), start.start(args)
    data = start.load_data(args)
    prepare = start.augmented(start.augmentation(args))
    with strategy.scope():
        base, about = global_branch(args, data, prepare)
        keras.utils.set_random_seed(args.seed)   # the same start if the global branch was trained just now
        model = mymodels.attention(data.shape, len(data.classes), args.tau, base)
        args.lr = args.lr or mymodels.SMALL_RATE
        optimizer = start.adam(args, model.trainable_variables)
        history = loop.fit(prepare, steps.supervised_step(model, optimizer), data, args,
                              {'model': model.variables, 'optimizer': optimizer.variables}, fingerprint,
                              validation.validator(model, data), began=began)
        finish.finish(model, 'attention', args, data, fingerprint, history, 'attention',
                       {'global': args.global_classifier or args.output + '-global'},
                       {**about.get('network', {}), 'tau': args.tau},
                       ['evaluate.py', args.dataset, args.output])


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

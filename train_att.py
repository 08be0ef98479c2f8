"""The attention baseline, AG-CNN (Guan et al. 2018, arXiv 1801.09927).

A local branch looks at what the global one saw. The global branch is the classifier of phase 1; it stays
frozen while the local branch and the fusion are trained.
"""
import sys
import time

from mycommon import guard  # first: it quietens TensorFlow

import keras

import myargs
import mycheckpoints
import mymodels
import mytrain
import myweights


def arguments():
    p = myargs.parser(__doc__, 'python train_att.py mnist --global-classifier saved/mnist-baseline-0',
                       epochs=10, steps_per_epoch=100)
    myargs.add_network_arguments(p)
    p.add_argument('--global-classifier', metavar='WEIGHTS',
                   help='the trained global branch; None: phase 1 is run first, with the same options')
    p.add_argument('--tau', type=myargs.number(0, 1, above=True), default=0.7,
                   help='share of the strongest activation that is attended to')
    return p


def parse(argv=None):
    args = myargs.parse(arguments(), argv)
    args.output = args.output or f'saved/{myargs.label(args.dataset)}-attention-{args.seed}'
    return args


def settings(args, parents=()):
    return myargs.fingerprint('train_att', args, parents)


def global_branch(args, data, prepare):
    """(network, what its sidecar says): loaded, or trained here first with a name of its own."""
    path = args.global_classifier or args.output + '-global'
    options = mytrain.network_options(args, data.shape)
    if not args.global_classifier:
        model = mymodels.classifier(data.shape, len(data.classes), backbone_weights=args.backbone_weights,
                                    **options)
        first = mycheckpoints.renamed(args, path)
        fingerprint = myargs.fingerprint('train1', args)
        if not mycheckpoints.finished(first, fingerprint):
            optimizer = mytrain.adam(args, model.trainable_variables)
            step = mytrain.supervised_step(model, optimizer)
            history = mytrain.fit(prepare, step, data, first,
                                  {'model': model.variables, 'optimizer': optimizer.variables}, fingerprint,
                                  mytrain.validator(model, data))
            mytrain.finish(model, 'classifier', first, data, fingerprint, history, 'baseline',
                           network=options)
    return myweights.load(path, 'classifier', data.shape, data.classes, data.fit)


def run(args):
    path = args.global_classifier
    parents = [myweights.read_sidecar(path).get('settings')] if path else []
    fingerprint = settings(args, parents)
    if mycheckpoints.finished(args, fingerprint):
        return
    began, strategy = time.monotonic(), mytrain.start(args)
    data = mytrain.load_data(args)
    prepare = mytrain.augmented(mytrain.augmentation(args))
    with strategy.scope():
        base, about = global_branch(args, data, prepare)
        keras.utils.set_random_seed(args.seed)   # the same start if the global branch was trained just now
        model = mymodels.attention(data.shape, len(data.classes), args.tau, base)
        args.lr = args.lr or mymodels.SMALL_RATE
        optimizer = mytrain.adam(args, model.trainable_variables)
        history = mytrain.fit(prepare, mytrain.supervised_step(model, optimizer), data, args,
                              {'model': model.variables, 'optimizer': optimizer.variables}, fingerprint,
                              mytrain.validator(model, data), began=began)
        mytrain.finish(model, 'attention', args, data, fingerprint, history, 'attention',
                       {'global': args.global_classifier or args.output + '-global'},
                       {**about.get('network', {}), 'tau': args.tau},
                       ['evaluate.py', args.dataset, args.output])


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

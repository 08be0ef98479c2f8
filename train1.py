"""Phase 1: trains the classifier f on plain images, min_f L(f(x), y)."""
import sys
import time

from mycommon import guard  # first: it quietens TensorFlow

import myargs
import mycheckpoints
import mymodels
import mytrain


def arguments():
    p = myargs.parser(__doc__, 'python train1.py mnist --epochs 25', epochs=25, steps_per_epoch=100)
    myargs.add_network_arguments(p)
    return p


def parse(argv=None):
    args = myargs.parse(arguments(), argv)
    args.output = args.output or f'saved/{myargs.label(args.dataset)}-baseline-{args.seed}'
    return args


def settings(args, parents=()):
    return myargs.fingerprint('train1', args)


def run(args):
    fingerprint = settings(args)
    if mycheckpoints.finished(args, fingerprint):
        return
    began, strategy = time.monotonic(), mytrain.start(args)
    data = mytrain.load_data(args)
    with strategy.scope():
        options = mytrain.network_options(args, data.shape)
        model = mymodels.classifier(data.shape, len(data.classes), backbone_weights=args.backbone_weights,
                                    **options)
        optimizer = mytrain.adam(args, model.trainable_variables)
        prepare = mytrain.augmented(mytrain.augmentation(args))
        step = mytrain.supervised_step(model, optimizer)
        history = mytrain.fit(prepare, step, data, args,
                              {'model': model.variables, 'optimizer': optimizer.variables}, fingerprint,
                              mytrain.validator(model, data), began=began)
        mytrain.finish(model, 'classifier', args, data, fingerprint, history, 'baseline', network=options,
                       say=['train2.py', args.dataset, args.output])


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

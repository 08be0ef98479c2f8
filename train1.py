"""Phase 1: trains the classifier f on plain images, min_f L(f(x), y)."""
import sys
import time

import mydatasets
import mymodels
from common.errors import guard
from training import checkpoints, finish, loop, options, start, steps, validation


def arguments():
    p = options.parser(__doc__, 'python train1.py mnist --epochs 25', epochs=25, steps_per_epoch=100)
    options.add_network_arguments(p)
    return p


def parse(argv=None):
    args = options.parse(arguments(), argv)
    args.output = args.output or f'saved/{mydatasets.label(args.dataset)}-baseline-{args.seed}'
    return args


def settings(args, parents=()):
    return options.fingerprint('train1', args)


def run(args):
    fingerprint = settings(args)
    if checkpoints.finished(args, fingerprint):
        return
    began, strategy = time.monotonic(), start.start(args)
    data = start.load_data(args)
    with strategy.scope():
        network = start.network_options(args, data.shape)
        model = mymodels.classifier(data.shape, len(data.classes), backbone_weights=args.backbone_weights,
                                    **network)
        optimizer = start.adam(args, model.trainable_variables)
        prepare = start.augmented(start.augmentation(args))
        step = steps.supervised_step(model, optimizer)
        history = loop.fit(prepare, step, data, args,
                              {'model': model.variables, 'optimizer': optimizer.variables}, fingerprint,
                              validation.validator(model, data), began=began)
        finish.finish(model, 'classifier', args, data, fingerprint, history, 'baseline', network=network,
                       say=['train2.py', args.dataset, args.output])


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

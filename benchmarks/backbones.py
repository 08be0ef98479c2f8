"""Images per second of pretrained networks: the step of phase 1, everything trained, and prediction.

Beside them the same networks in PyTorch (torchvision), when it is installed. All precisions of one network
and side are measured in one run, in turns. Weights are new ones, which are as fast as others.
"""
import argparse
import importlib.util
import sys

import numpy as np

import mymodels
import train1
from benchmarks.measure import call_of, in_turns, show
from benchmarks.steps import job_of, supervised
from common.keys import Key
from common.quiet import keras, tf
from mydatagen import Augmenter, to_float

CLASSES = 31


def ours(name, side, batch, precision):
    """{'training', 'prediction': call}."""
    keras.config.set_dtype_policy(precision if precision == 'float32' else f'mixed_{precision}')
    model = mymodels.classifier((side, side, 3), CLASSES, name, 'none', head='pooled')
    step = supervised(model, job_of(train1, batch, precision, '--backbone', name),
                      Augmenter(fill='nearest'))
    random = np.random.default_rng(0)
    data = {'x': tf.constant(random.integers(0, 256, (batch, side, side, 3), np.uint8)),
            'y': tf.constant(random.integers(0, CLASSES, batch), tf.int32)}
    training = tf.function(lambda b, number: step(b, Key.of(0, number)))
    prediction = tf.function(lambda b: {'y': tf.argmax(model(to_float(b['x']), training=False), 1)})
    return {'training': call_of(training, data, tf.constant(1, tf.int64)),
            'prediction': call_of(prediction, data)}


def calls_of(name, side, batch, precisions, peers=True):
    """{(what, who, precision): (call, images)}. peers: PyTorch too, where it is installed."""
    makers = {'ours': ours}
    if peers and importlib.util.find_spec('torchvision') is not None:
        from benchmarks import pytorch
        if name in pytorch.NAMES:
            makers['PyTorch'] = lambda *what: pytorch.backbone_calls(*what, CLASSES)
    return {(what, who, precision): (call, batch) for precision in precisions for who, make in makers.items()
            for what, call in make(name, side, batch, precision).items()}


def report(name, side, batch, rates, limit):
    """The table of one network: each row beside the faster precision of PyTorch."""
    def row(what, who, precision):
        middle, spread = rates[what, who, precision]
        peers = [r[0] for (w, by, _), r in rates.items() if (w, by) == (what, 'PyTorch')]
        return (what, who, precision, f'{middle:,.1f}', f'{100*spread:.0f} %',
                f'{middle/max(peers):.2f}' if peers else '')
    show(f'{name}, {side} pixels, batch {batch}; float32 matrix product {limit/1e9:.0f} GFLOP/s',
         ('step', 'by', 'precision', 'images/s ', 'spread ', "against PyTorch's best "),
         [row(*key) for key in sorted(rates, key=lambda k: (k[0] != 'training', k[1:]))])


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--backbone', nargs='+', default=['MobileNetV2', 'ResNet50'])
    p.add_argument('--side', type=int, nargs='+', default=[128, 224])
    p.add_argument('--batchsize', type=int, default=32)
    p.add_argument('--precision', nargs='+', default=['float32', 'bfloat16'])
    p.add_argument('--repeats', type=int, default=3)
    p.add_argument('--alone', action='store_true', help='without PyTorch')
    args = p.parse_args(argv)
    for name in args.backbone:
        for side in args.side:
            calls = calls_of(name, side, args.batchsize, args.precision, not args.alone)
            report(name, side, args.batchsize, *in_turns(calls, args.repeats))
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Phases 1 and 2 beside the same networks and steps in PyTorch, and phase 1 as it is usually written.

Usual is Keras fit, numpy augmentation, batch 8. PyTorch's rows are there when it is installed. All are
measured in one run, in turns.
"""
import argparse
import importlib.util
import sys

import numpy as np
from scipy import ndimage

import mymodels
from benchmarks.measure import call_of, counted, in_turns, show
from benchmarks.steps import steps
from common.keys import Key
from common.quiet import keras, tf

MOVE = 0.15
PHASES = 'phase 1', 'phase 2'


def usual(side, images=256, batch=8):
    """Phase 1 as it is usually written: call() is one epoch over `images` images."""
    keras.config.set_dtype_policy('float32')
    random = np.random.default_rng(0)
    x, y = random.random((images, side, side, 1)).astype(np.float32), random.integers(0, 10, images)

    class Augmented(keras.utils.PyDataset):
        def __len__(self):
            return images//batch

        def __getitem__(self, i):
            z = x[i*batch:(i + 1)*batch].copy()
            for k in range(batch):
                z[k] = ndimage.rotate(z[k], random.uniform(-15, 15), reshape=False, order=1)
                z[k] = ndimage.shift(z[k], (*random.uniform(-MOVE*side, MOVE*side, 2), 0), order=1)
                z[k] = np.minimum(z[k]*random.uniform(0.8, 1.2), 1)
            return z, y[i*batch:(i + 1)*batch]
    f = mymodels.classifier((side, side, 1), 10)
    f.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = Augmented()
    return lambda: f.fit(data, epochs=1, verbose=0), images


def peers(side, batch, precision):
    """{(step, who, precision): (call, images)} of PyTorch; none where it is not installed."""
    if importlib.util.find_spec('torch') is None:
        return {}
    from benchmarks import pytorch
    return {(name, 'PyTorch', precision): (call, batch)
            for name, call in pytorch.torch_steps(side, batch, precision).items()}


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--side', type=int, default=32)
    p.add_argument('--batchsize', type=int, default=128)
    p.add_argument('--repeats', type=int, default=5)
    args = p.parse_args(argv)
    side, batch, calls, flops = args.side, args.batchsize, {}, {}
    random = np.random.default_rng(0)
    data = {'x': tf.constant(random.integers(0, 256, (batch, side, side, 1), np.uint8)),
            'y': tf.constant(random.integers(0, 10, batch), tf.int32)}
    for precision in ('float32', 'bfloat16'):
        for name, step in steps(side, batch, precision, PHASES).items():
            keyed = lambda b, number, step=step: step(b, Key.of(0, number))  # noqa: E731
            flops[name] = counted(keyed, data, tf.constant(0, tf.int64))/batch
            calls[name, 'ours', precision] = (
                call_of(tf.function(keyed), data, tf.constant(1, tf.int64)), batch)
        calls |= peers(side, batch, precision)
    calls['phase 1', 'Keras fit, numpy augmentation, batch 8', 'float32'] = usual(side)
    rates, limit = in_turns(calls, args.repeats)

    def row(name, by, precision):
        (middle, spread), peer = rates[name, by, precision], rates.get((name, 'PyTorch', precision))
        return (name, by, precision, f'{middle:,.0f}', f'{100*spread:.0f} %',
                f'{100*middle*flops[name]/limit:.0f} %', f'{middle/peer[0]:.2f}' if peer else '')
    show(f'{side} pixels, batch {batch}; float32 matrix product {limit/1e9:.0f} GFLOP/s',
         ('step', 'by', 'precision', 'images/s ', 'spread ', 'of the matrix rate ', 'against PyTorch '),
         [row(*key) for key in rates])
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Images per second of every step, beside the share of the machine's float32 matrix rate that it reaches.

Operations are counted by TensorFlow's profiler on the traced step (convolutions, their gradients, matrix
products); the machine's rate is that of a float32 matrix product of side 2,048 measured between the steps.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from rich.console import Console
from rich.table import Table

import mybackgrounds
import mymodels
import train1
import train2
import train3
from common import binarization, geometry
from common.keys import Key
from common.quiet import keras, tf
from mydatagen import augmenter, to_float
from training import start
from training.steps import supervised_step

SECONDS = 1.5      # of one measurement
AGAIN = 16         # times that a part of a step is done in one call, as the call would outweigh it
PARTS = 'augmentation', 'Otsu', 'textures', 'composition', 'halo'


def counted(function, *args):
    """Floating-point operations of one call: tf.compat.v1.profiler on its graph."""
    graph = tf.function(function).get_concrete_function(*args).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def rate(call, images):
    """Images per second over about SECONDS, after a first call that compiles."""
    call()
    n, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        call()
        n += 1
    return n*images/(time.perf_counter() - began)


def matrix_rate(side=2048):
    """Operations per second of a float32 matrix product."""
    a = tf.random.stateless_normal((side, side), (0, 0))
    product = tf.function(lambda: tf.reduce_sum(a @ a))
    return rate(lambda: product().numpy(), 2*side**3)


def steps(side, batch, precision, channels=1, only=None):
    """{name: (function of (batch, key), True when it trains)} with networks of their own."""
    keras.config.set_dtype_policy(precision if precision == 'float32' else f'mixed_{precision}')
    shape = (side, side, channels)
    augment = augmenter()

    def arguments(script, *argv):
        args = script.parse(['toy', *argv, '--batchsize', str(batch)])
        args.lr, args.schedule, args.precision = args.lr or 1e-3, 'constant', precision
        return args
    def whole(prepare, step):
        return lambda batch, key: step(prepare(batch, key), key)
    found, plain = {}, start.augmented(augment)
    f = mymodels.classifier(shape, 10)
    args = arguments(train1)
    found['phase 1'] = whole(plain, supervised_step(f, start.adam(args, f.trainable_variables)))
    args = arguments(train2, 'f')
    frozen, unet = mymodels.classifier(shape, 10), mymodels.unet(shape)
    frozen.trainable = False
    found['phase 2'] = whole(plain, train2.make_step(
        unet, frozen, start.adam(args, unet.trainable_variables), train2.filler('border', shape), args,
        tf.constant(0.2)))
    if only:
        return {k: v for k, v in found.items() if k in only}
    forms = {'phase 3, textures': ('textures',), 'phase 3, adversary': ('adv',),
             'phase 3, adversary and textures': ('adv', 'textures'),
             "phase 3, the paper's plain form": ('adv', '--pool', '0', '--adversary', 'plain')}
    for name, back in forms.items():
        f = mymodels.classifier(shape, 10)
        args = arguments(train3, 'f', 'u', 'otsu', *back)
        extra = {}
        if 'adv' in back:
            net, draw = train3.adversary(shape, args)
            extra = {'adversary': (net, draw), 'optimizer_back': start.adam(args, net.trainable_variables)}
            if args.pool:
                extra['pool'] = tf.Variable(tf.zeros((args.pool, *shape), tf.float16), trainable=False)
        sources = train3.sources(args, None)
        found[name] = whole(train3.make_prepare(augment, sources, args), train3.make_step(
            f, start.adam(args, f.trainable_variables), None, sources, args, **extra))
    attention = mymodels.attention(shape, 10)
    found['attention'] = whole(plain, supervised_step(
        attention, start.adam(arguments(train1), attention.trainable_variables)))

    def evaluation(batch, key):
        return {'y': f(to_float(batch['x']))}

    def masks(batch, key):
        return {'m': unet(to_float(batch['x']))}

    def augmentation(batch, key):
        x, m = augment(to_float(batch['x']), to_float(batch['m']), key)
        return {'x': x, 'm': m}

    def otsu(batch, key):
        return {'m': binarization.otsu(to_float(batch['m']))}

    def textures(batch, key):
        return {'b': mybackgrounds.textures(to_float(batch['x']), key)}

    def composition(batch, key):
        return {'z': mybackgrounds.compose(batch['x_float'], batch['m_float'], batch['x_float'])}

    def halo(batch, key):
        return {'m': geometry.dilate_between(to_float(batch['m']), 0, 2, key)}
    return found | {'evaluation': evaluation, 'masks': masks, 'augmentation': augmentation, 'Otsu': otsu,
                    'textures': textures, 'composition': composition, 'halo': halo}


def repeated(step, times):
    """The step `times` times in one call, with a key of its own each time -> the last one's results."""
    def again(data, number):
        found = step(data, number)
        for i in tf.range(1, tf.constant(times, tf.int64)):
            found = step(data, number + i)
        return found
    return again if times > 1 else step


def measure(side, batch, precision, repeats, only=None):
    """[(name, images/s median, its spread, operations an image, share of the matrix rate)]."""
    random = np.random.default_rng(0)
    data = {'x': tf.constant(random.integers(0, 256, (batch, side, side, 1), np.uint8)),
            'y': tf.constant(random.integers(0, 10, batch), tf.int32),
            'm': tf.constant(random.integers(0, 2, (batch, side, side, 1)).astype(np.uint8)*255)}
    data |= {k + '_float': to_float(data[k]) for k in 'xm'}
    calls, flops = {}, {}
    for name, step in steps(side, batch, precision).items():
        if only and name not in only:
            continue
        whole = lambda b, number, step=step: step(b, Key.of(0, number))  # noqa: E731
        flops[name] = counted(whole, data, tf.constant(0, tf.int64))/batch
        times = AGAIN if name in PARTS else 1
        compiled = tf.function(repeated(whole, times))
        calls[name] = (lambda f=compiled: [v.numpy() for v in f(data, tf.constant(1, tf.int64)).values()],
                       times*batch)
    rates, limits = {name: [] for name in calls}, []
    for _ in range(repeats):   # interleaved: whatever else the machine does, it does to all of them
        limits.append(matrix_rate())
        for name, (call, images) in calls.items():
            rates[name].append(rate(call, images))
    limit = statistics.median(limits)
    rows = []
    for name, values in rates.items():
        middle = statistics.median(values)
        rows.append((name, middle, (max(values) - min(values))/middle, flops[name], middle*flops[name]/limit))
    return rows, limit


def start_up():
    """Seconds from the start of Python to the end of the first step of phase 1 on `toy`."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, 'train1.py', 'toy', '--epochs', '1', '--steps-per-epoch', '1',
                   '--batchsize', '8', '--output', os.path.join(folder, 'start'), '--quiet']
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--side', type=int, nargs='+', default=[32])
    p.add_argument('--batchsize', type=int, nargs='+', default=[128])
    p.add_argument('--precision', nargs='+', default=['float32', 'bfloat16'])
    p.add_argument('--repeats', type=int, default=5)
    p.add_argument('--only', nargs='+', help='names of steps')
    p.add_argument('--deterministic', action='store_true', help='as for the trainers (float32)')
    args = p.parse_args(argv)
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    console = Console(width=120)
    for side in args.side:
        for batch in args.batchsize:
            for precision in args.precision:
                rows, limit = measure(side, batch, precision, args.repeats, args.only)
                table = Table(title=f'{side} pixels, batch {batch}, {precision}; '
                              f'float32 matrix product {limit/1e9:.0f} GFLOP/s')
                for column in ('step', 'images/s', 'spread', 'MFLOP an image', 'of the float32 matrix rate'):
                    table.add_column(column, justify='left' if column == 'step' else 'right')
                for name, middle, spread, flops, share in rows:
                    table.add_row(name, f'{middle:,.0f}', f'{100*spread:.0f} %', f'{flops/1e6:.1f}',
                                  f'{100*share:.0f} %' if flops > 1e5 else '')
                console.print(table)
    if not args.only:
        print(f'start to end of the first step: {start_up():.1f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())

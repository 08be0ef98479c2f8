"""Images per second of every step, beside the share of the machine's float32 matrix rate that it reaches.

Operations are counted by TensorFlow's profiler on the traced step (convolutions, their gradients, matrix
products); the machine's rate is that of a float32 matrix product of side 2,048 measured between the steps.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

import mybackgrounds
import mydatasets
import mymodels
import train1
import train2
import train3
from benchmarks.measure import call_of, counted, in_turns, show
from common import binarization, geometry
from common.keys import Key
from common.quiet import keras, tf
from mydatagen import augmenter, to_float
from training import phase2, start
from training.steps import supervised_step

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CLASSES = 10
AGAIN = 16         # times that a part of a step is done in one call, as the call would outweigh it
PARTS = 'augmentation', 'Otsu', 'textures', 'composition', 'halo'
FORMS = {'phase 3, textures': ('textures',), 'phase 3, adversary': ('adv',),
         'phase 3, adversary and textures': ('adv', 'textures'),
         "phase 3, the paper's plain form": ('adv', '--pool', '0', '--adversary', 'plain')}


def job_of(script, batch, precision, *argv):
    """A Job of a trainer, as far as its steps ask for one."""
    args = script.parse(['toy', *argv, '--batchsize', str(batch), '--schedule', 'constant'])
    args.lr, args.precision = args.lr or 1e-3, precision
    return start.Job(args, None, tf.distribute.get_strategy(), '', {}, 0.)


def whole(prepare, step):
    """A step with its preparation, one after the other."""
    return lambda batch, key: step(prepare(batch, key), key)


def supervised(model, job, augment):
    """The whole step of phase 1 for that model."""
    optimizer = start.adam(job, model.trainable_variables, job.args.lr)
    return whole(start.augmented(augment), supervised_step(model, optimizer))


def masks_step(shape, job, augment):
    """The whole step of phase 2."""
    frozen, unet = mymodels.classifier(shape, CLASSES), mymodels.unet(shape)
    frozen.trainable = False
    optimizer = start.adam(job, unet.trainable_variables, job.args.lr)
    return whole(start.augmented(augment), phase2.make_step(
        unet, frozen, optimizer, phase2.filler('border', shape), job.args, tf.constant(0.2)))


def against(back, shape, job, augment):
    """The whole step of phase 3 on these backgrounds; its masks come with the batch."""
    args, f = job.args, mymodels.classifier(shape, CLASSES)
    adversary = optimizer_back = None
    if 'adv' in back:
        net = mymodels.generator(shape, args.tiles)
        adversary = mybackgrounds.Adversary(net, args.adversary, args.generator, args.pool, args.fresh)
        optimizer_back = start.adam(job, net.trainable_variables, args.lr_back)
    sources = train3.sources(args, mydatasets.Dataset(*[None]*len(mydatasets.Dataset._fields)), adversary)
    optimizer = start.adam(job, f.trainable_variables, args.lr)
    return whole(train3.make_prepare(augment, sources, args),
                 train3.make_step(f, optimizer, None, sources, args, optimizer_back))


def steps(side, batch, precision, only=None):
    """{name: function of (batch, key)} with networks of their own."""
    keras.config.set_dtype_policy(precision if precision == 'float32' else f'mixed_{precision}')
    shape, augment = (side, side, 1), augmenter()

    def job(script, *argv):
        return job_of(script, batch, precision, *argv)
    makers = {'phase 1': lambda: supervised(mymodels.classifier(shape, CLASSES), job(train1), augment),
              'phase 2': lambda: masks_step(shape, job(train2, 'f'), augment)}
    for name, back in FORMS.items():
        makers[name] = lambda back=back: against(
            back, shape, job(train3, 'f', 'u', 'otsu', *back), augment)
    makers['attention'] = lambda: supervised(mymodels.attention(shape, CLASSES), job(train1), augment)
    found = {name: make() for name, make in makers.items() if not only or name in only}
    return found | {name: part for name, part in parts(shape, augment).items() if not only or name in only}


def parts(shape, augment):
    """Parts of steps, and what is done outside of them."""
    f, unet = mymodels.classifier(shape, CLASSES), mymodels.unet(shape)

    def augmentation(batch, key):
        x, m = augment(to_float(batch['x']), to_float(batch['m']), key)
        return {'x': x, 'm': m}

    def halo(batch, key):
        return {'m': geometry.dilate_between(to_float(batch['m']), 0, 2, key)}

    def composition(batch, key):
        return {'z': mybackgrounds.compose(batch['x_float'], batch['m_float'], batch['x_float'])}
    return {'evaluation': lambda batch, key: {'y': f(to_float(batch['x']))},
            'masks': lambda batch, key: {'m': unet(to_float(batch['x']))},
            'augmentation': augmentation,
            'Otsu': lambda batch, key: {'m': binarization.otsu(to_float(batch['m']))},
            'textures': lambda batch, key: {'b': mybackgrounds.textures(to_float(batch['x']), key)},
            'composition': composition, 'halo': halo}


def repeated(step, times):
    """The step `times` times in one call, with a key of its own each time -> the last one's results."""
    def again(data, number):
        found = step(data, number)
        for i in tf.range(1, tf.constant(times, tf.int64)):
            found = step(data, number + i)
        return found
    return again if times > 1 else step


def measure(side, batch, precision, repeats, only=None):
    """([(name, images/s, spread, operations an image, share of the matrix rate)], the matrix rate)."""
    random = np.random.default_rng(0)
    data = {'x': tf.constant(random.integers(0, 256, (batch, side, side, 1), np.uint8)),
            'y': tf.constant(random.integers(0, CLASSES, batch), tf.int32),
            'm': tf.constant(random.integers(0, 2, (batch, side, side, 1)).astype(np.uint8)*255)}
    data |= {k + '_float': to_float(data[k]) for k in 'xm'}
    calls, flops = {}, {}
    for name, step in steps(side, batch, precision, only).items():
        keyed = lambda b, number, step=step: step(b, Key.of(0, number))  # noqa: E731
        flops[name] = counted(keyed, data, tf.constant(0, tf.int64))/batch
        times = AGAIN if name in PARTS else 1
        calls[name] = (call_of(tf.function(repeated(keyed, times)), data, tf.constant(1, tf.int64)),
                       times*batch)
    rates, limit = in_turns(calls, repeats)
    return [(name, middle, spread, flops[name], middle*flops[name]/limit)
            for name, (middle, spread) in rates.items()], limit


def start_up():
    """Seconds from the start of Python to the end of the first step of phase 1 on `toy`."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, 'train1.py', 'toy', '--epochs', '1', '--steps-per-epoch', '1',
                   '--batchsize', '8', '--output', os.path.join(folder, 'start'), '--quiet']
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
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
    for side in args.side:
        for batch in args.batchsize:
            for precision in args.precision:
                rows, limit = measure(side, batch, precision, args.repeats, args.only)
                show(f'{side} pixels, batch {batch}, {precision}; float32 matrix product {limit/1e9:.0f} '
                     'GFLOP/s', ('step', 'images/s ', 'spread ', 'MFLOP an image ',
                                 'of the float32 matrix rate '),
                     [(name, f'{middle:,.0f}', f'{100*spread:.0f} %', f'{flops/1e6:.1f}',
                       f'{100*share:.0f} %' if flops > 1e5 else '')
                      for name, middle, spread, flops, share in rows])
    if not args.only:
        print(f'start to end of the first step: {start_up():.1f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())

"""Is the test `pixels` strong? What other searches still turn of the images that its usual effort leaves.

Four times the steps; four times the starts; Square attack (Andriushchenko et al. 2020), which needs no
gradient; backgrounds that ascent makes against another network. The points of each are those by which adding
it would lower the row. The longer searches begin anew on all images, because they borrow what turned others;
the rest on what the usual effort leaves. Last, how many images are left when no pixel is protected: an attack
that leaves any of them is broken.
"""
import argparse
import itertools
import os
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table

import mydatasets
from common import ascent, cli
from common.errors import guard
from common.keys import Key, Stream
from common.quiet import tf
from readers import reading
from scoring import climbing, evaluation, pixels
from scoring.adversary import margin
from scoring.climbing import logits_behind
from scoring.objects import batches
from training import weightfiles

STEPS, STARTS = pixels.Effort(steps=4*pixels.USUAL.steps), pixels.Effort(draws=4)
SQUARE = 0.8             # of the image, the first squares
HALVED = 10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000   # of 10,000 queries, where that is halved
QUERIES = 250            # in one call, then images found wrong are left out


def square(model, objects, key, queries):
    """(n,) bool: which images are right behind all backgrounds that the Square attack asks for.

    Its L-infinity form, whose backgrounds, with all of [0, 1] allowed, are black and white: vertical stripes,
    then one square after the other in a random colour, kept where the margin of the wrong classes grows.
    """
    n, h, w, c = objects.x.shape
    line = tf.cast(key.uniform(n, (1, w, c)) < 0.5, tf.float32)
    b, best = tf.repeat(line, h, 1).numpy(), np.full(n, -np.inf, np.float32)
    shares = SQUARE/2.**np.searchsorted(np.array(HALVED)*queries/10_000, np.arange(queries))
    sides = np.maximum(1, np.round(np.sqrt(shares)*h)).astype(np.int32)

    @tf.function
    def run(x, y, m, b, best, key, sides):
        right, k = tf.ones_like(y, tf.bool), tf.shape(y)[0]
        for i in tf.range(len(sides)):
            side, mine = sides[i], key.fold(i)
            top, left = (tf.cast(u*tf.cast(h - side + 1, tf.float32), tf.int32)[:, None, None]
                         for u in tf.unstack(mine.fold(0).uniform(k, (2,)), axis=1))
            rows, cols = tf.range(h)[:, None], tf.range(w)
            inside = (rows >= top) & (rows < top + side) & (cols >= left) & (cols < left + side)
            colour = tf.cast(mine.fold(1).uniform(k, (1, 1, c)) < 0.5, tf.float32)
            tried = tf.where(inside[..., None], colour, b)
            logits = logits_behind(model, x, m, tried)
            value = margin(logits, y)
            right &= tf.argmax(logits, 1, output_type=tf.int32) == y
            b = tf.where((value > best)[:, None, None, None], tried, b)
            best = tf.maximum(value, best)
        return b, best, right
    right = np.ones(n, bool)
    for call, first in enumerate(range(0, queries, QUERIES)):
        for number, (rows, k) in enumerate(batches(np.flatnonzero(right), objects.batchsize)):
            mine = key.fold(1 + call).fold(number)
            found = run(*objects.take(rows), b[rows], best[rows], mine, sides[first:first + QUERIES])
            for part, new in zip((b, best, right), found):
                part[rows[:k]] = new.numpy()[:k]
    return right


def transferred(model, source, objects, key):
    """(n,) bool: which images are right behind what ascent finds against another network, from every start by
    every loss."""
    rates = tf.constant(climbing.RATE*(1 - np.arange(pixels.USUAL.steps)/pixels.USUAL.steps), tf.float32)
    right = np.ones(len(objects.y), bool)

    def made(loss):
        @tf.function
        def ascended(x, y, m, b):
            for rate in rates:
                b = ascent.ascend(lambda b: loss(logits_behind(source, x, m, b), y), b, rate)
            return tf.argmax(logits_behind(model, x, m, b), 1, output_type=tf.int32) == y
        return ascended
    ascended = {name: made(loss) for name, loss in climbing.LOSSES.items()}
    for number, (loss, start) in enumerate(itertools.product(climbing.LOSSES, pixels.STARTS)):
        b = pixels.STARTS[start](objects.x, key.fold(number)).numpy()
        for rows, k in batches(np.flatnonzero(right), objects.batchsize):
            right[rows[:k]] = ascended[loss](*objects.take(rows), b[rows]).numpy()[:k]
    return right


def columns(model, source, objects, key, queries):
    """(column, cell) of one network, each as soon as it is found."""
    n = len(objects.y)
    usual = pixels.search(model, objects, key)
    left = usual.right
    rest = objects.take(np.flatnonzero(left))
    every = np.ones(len(rest.y), bool)
    yield 'as they are', f'{100*np.mean(usual.plain):.1f}'
    yield 'usual effort', f'{100*len(rest.y)/n:.1f}'
    more = {'4 x steps': lambda: pixels.search(model, objects, key.fold(101), STEPS).right[left],
            '4 x starts': lambda: pixels.search(model, objects, key.fold(102), STARTS).right[left],
            f'Square, {queries:,}': lambda: square(model, rest, key.fold(103), queries)}
    if source is not None:
        more['transferred'] = lambda: transferred(model, source, rest, key.fold(104))
    for name, run in more.items():
        right = run() if len(rest.y) else every
        every = every & right
        yield name, f'{100*(np.sum(right) - len(rest.y))/n:+.1f}'
    yield 'all of these', f'{100*np.sum(every)/n:.1f}'
    bare = pixels.search(model, objects._replace(m=tf.zeros_like(objects.m)), key)
    yield 'nothing protected', f'{100*np.mean(bare.right):.1f}'


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('dataset')
    p.add_argument('weights', nargs='+')
    p.add_argument('--source', metavar='WEIGHTS', help='another network, whose backgrounds are tried')
    p.add_argument('--images', type=cli.whole(1), default=500)
    p.add_argument('--queries', type=cli.whole(1), default=5000, help='of Square attack')
    p.add_argument('--seed', type=cli.whole(0), default=0)
    reading.add_arguments(p)
    return p


def run(args):
    data = mydatasets.load(args.dataset, reading.Reading.of(args), train=False)
    objects, key = pixels.subjects(data, args.images), Key.of(args.seed).fold(Stream.PIXELS)
    found = {}
    with evaluation.precision():
        source = weightfiles.load(args.source, evaluation.KINDS, data)[0] if args.source else None
        for path in args.weights:
            began, model = time.monotonic(), weightfiles.load(path, evaluation.KINDS, data)[0]
            name, cells = os.path.basename(weightfiles.stem(path)), {}
            for column, cell in columns(model, source, objects, key, args.queries):
                cells[column] = cell
                print(f'{name}: {column} {cell} ({time.monotonic() - began:.0f} s)', flush=True)
            found[name] = {**cells, 'seconds': f'{time.monotonic() - began:.0f}'}
    table = Table(title=f'{args.dataset}: accuracy in % on {len(objects.y)} test images, and by how many '
                  'points more searches lower what the usual effort leaves')
    names = list(next(iter(found.values())))
    for column in ('weights', *names):
        table.add_column(column, justify='left' if column == 'weights' else 'right')
    for name, cells in found.items():
        table.add_row(name, *(cells[c] for c in names))
    Console(width=160).print(table)


def main(argv=None):
    return guard(run, cli.parse(arguments(), argv))


if __name__ == '__main__':
    sys.exit(main())

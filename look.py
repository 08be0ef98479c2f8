"""Looks at a data set before training, and at its masks before phase 3: counts, and a sheet of pictures."""
import argparse
import sys

import numpy as np

import mybackgrounds
import mydatasets
from common import binarization, cli
from common.errors import guard
from common.files import printable
from common.quiet import tf
from mydatagen import in_order, to_float
from readers import reading
from readers.reading import Reading
from report import formats
from report.sheets import MOST, png, save_sheet
from training import weightfiles

FRAME = 4                # pixels, the border that border_colour looks at too
MASKS = 40               # training images whose masks are shown
CUT = 1., 0., 1.         # the colour that stands where a mask removes


def _parts(data):
    """{name: (images, paste)} of training, validation and test images."""
    parts = {'train': (data.train, None), 'validation': (data.validation, None)}
    return parts | {name: (test.images(), test.paste) for name, test in data.tests.items()}


def _cells(images, paste, task, each):
    """For every class (range of numbers) `each` pictures from all over it, beside them their masks; its name
    and count."""
    groups = dict(list(task.groups(images.y).items())[:MOST])
    rows = list(groups.values())
    shown = [r[np.unique(np.linspace(0, len(r) - 1, min(each, len(r))).astype(int))] for r in rows]
    few = images.take(np.concatenate(shown))
    pictures = []
    for batch in mydatasets.Test(lambda: few, paste).batches():
        x = np.round(batch['x'].numpy()*255).astype(np.uint8)
        pictures += zip(x, batch['m'].numpy()) if 'm' in batch else zip(x)
    found, cells = iter(pictures), []
    for name, all_of_it, few_of_it in zip(groups, rows, shown):
        strip = [p for _ in few_of_it for p in next(found)]
        if strip:
            cells.append((strip, [f'{name}: {len(all_of_it):,}']))
    return cells


@tf.function(reduce_retracing=True)
def unevenness(x):
    """How far the frame of each image is from its border colour, mean absolute difference. (n,) in [0, 1]."""
    apart = tf.abs(x - mybackgrounds.border_colour(x))
    inside = apart[:, FRAME:-FRAME, FRAME:-FRAME]
    pixels = tf.size(apart[0]) - tf.size(inside[0])
    return (tf.reduce_sum(apart, (1, 2, 3)) - tf.reduce_sum(inside, (1, 2, 3)))/tf.cast(pixels, tf.float32)


def masked(args, data):
    """(title, cells): the training images with the least plain ground, beside them what their masks keep."""
    unet, _ = weightfiles.load(args.unet, 'unet', data)
    binarize = binarization.binarizer(args.binarize)
    uneven = np.concatenate([unevenness(to_float(b['x'])).numpy() for b in in_order(data.train)])
    rows = np.argsort(-uneven, kind='stable')[:MASKS]
    cells, colour = [], tf.constant(CUT[:data.shape[-1]])
    for batch in in_order(data.train.take(rows)):
        x = to_float(batch['x'])
        m = binarize(unet(x, training=False), x)
        kept = mybackgrounds.compose(x, m, colour)
        for picture, part, y in zip(batch['x'].numpy(), kept.numpy(), batch['y'].numpy()):
            pair = [picture, np.round(255*part).astype(np.uint8)]
            cells.append((pair, [f'{len(cells) + 1} {data.task.words([y])[0]}']))
    return f'masks ({args.binarize}) of the {len(rows)} training images with the least plain ground', cells


def counts(parts, task):
    """Table: images of every class in every part; tests of the same images on other backgrounds once."""
    columns, seen = {}, {}
    for name, (images, paste) in parts.items():
        first = seen.setdefault(id(images.y), name) if paste else name
        if first != name:
            columns[first][0] += 1
            continue
        seen[id(images.y)] = name
        columns[name] = [0, {group: len(rows) for group, rows in task.groups(images.y).items()}]
    heads = [f'{name}\nand {more} more' if more else name for name, (more, _) in columns.items()]
    names = next(iter(columns.values()))[1]
    lines = [[printable(c), *(f'{n[c]:,}' for _, n in columns.values())] for c in names]
    lines.append(['all', *(f'{sum(n.values()):,}' for _, n in columns.values())])
    return formats.Table('Images', ['class' if task.names else 'value', *heads], lines, [])


def arguments():
    p = argparse.ArgumentParser(
        epilog='example: python look.py folder:PATH --sheet look.png',
        description='A data set before training, and its masks before phase 3: counts of every class, split '
        'and test set, and a sheet of pictures.', formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; monochrome ones also as '
                   'NAME_backgrounds and NAME_noises')
    p.add_argument('--sheet', type=png, metavar='FILE.png', help='to write; None: saved/DATASET-sheet.png')
    p.add_argument('--each', type=cli.whole(1, 20), default=3, metavar='K', help='pictures of each class')
    p.add_argument('--limit', type=cli.whole(1), help='use only N training images', metavar='N')
    p.add_argument('--unet', metavar='WEIGHTS', help='of train2.py: the sheet also shows the masks of the '
                   f'{MASKS} training images whose ground is least plain, the hardest ones')
    p.add_argument('--binarize', choices=binarization.BINARIZE, default='otsu', help='of these masks')
    reading.add_arguments(p)
    return p


def run(args):
    if args.unet:
        weightfiles.read_sidecar(args.unet)   # a wrong path is told before the data are read
    data = mydatasets.load(args.dataset, Reading.of(args), args.limit)
    parts = _parts(data)
    formats.show(counts(parts, data.task)._replace(title=f'Images of {printable(args.dataset)}'))
    sections = [(f'{name}: {len(images):,} images', _cells(images, paste, data.task, args.each))
                for name, (images, paste) in parts.items()]
    if data.backgrounds is not None:
        sections.append((f'backgrounds: {len(data.backgrounds):,} photographs',
                         [([b], []) for b in data.backgrounds[:12]]))
    if args.unet:
        sections.append(masked(args, data))
    path = args.sheet or f'saved/{mydatasets.label(args.dataset)}-sheet.png'
    save_sheet(path, sections)
    h, w, c = data.shape
    colour = 'colour' if c == 3 else 'monochrome'
    print(f'{w}x{h} pixels, {colour}, {data.task}\nsheet: {path}')


def main(argv=None):
    return guard(run, cli.parse(arguments(), argv))


if __name__ == '__main__':
    sys.exit(main())

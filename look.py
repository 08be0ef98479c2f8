"""Looks at a data set before training: counts of every class and split, and a sheet of pictures."""
import argparse
import sys

import numpy as np

import mydatasets
from common import cli
from common.errors import guard
from common.files import printable
from readers import reading
from readers.reading import Reading
from report import formats
from report.sheets import MOST, png, save_sheet


def _parts(data):
    """{name: (images, paste)} of training, validation and test images."""
    parts = {'train': (data.train, None), 'validation': (data.validation, None)}
    return parts | {name: (test.images(), test.paste) for name, test in data.tests.items()}


def _cells(images, paste, classes, each):
    """For every class `each` pictures from all over it (beside them their masks), its name and count."""
    rows = [np.flatnonzero(images.y == c) for c in range(len(classes))][:MOST]
    shown = [r[np.unique(np.linspace(0, len(r) - 1, min(each, len(r))).astype(int))] for r in rows]
    few = images.take(np.concatenate(shown))
    pictures = []
    for batch in mydatasets.Test(lambda: few, paste).batches():
        x = np.round(batch['x'].numpy()*255).astype(np.uint8)
        pictures += zip(x, batch['m'].numpy()) if 'm' in batch else zip(x)
    found, cells = iter(pictures), []
    for name, all_of_it, few_of_it in zip(classes, rows, shown):
        strip = [p for _ in few_of_it for p in next(found)]
        if strip:
            cells.append((strip, [f'{name}: {len(all_of_it):,}']))
    return cells


def counts(parts, classes):
    """Table: images of every class in every part; tests of the same images on other backgrounds once."""
    columns, seen = {}, {}
    for name, (images, paste) in parts.items():
        first = seen.setdefault(id(images.y), name) if paste else name
        if first != name:
            columns[first][0] += 1
            continue
        seen[id(images.y)] = name
        columns[name] = [0, np.bincount(images.y, minlength=len(classes))]
    heads = [f'{name}\nand {more} more' if more else name for name, (more, _) in columns.items()]
    lines = [[printable(c), *(f'{n[i]:,}' for _, n in columns.values())] for i, c in enumerate(classes)]
    lines.append(['all', *(f'{n.sum():,}' for _, n in columns.values())])
    return formats.Table('Images', ['class', *heads], lines, [])


def arguments():
    p = argparse.ArgumentParser(
        epilog='example: python look.py folder:PATH --sheet look.png',
        description='A data set before training: counts of every class, split and test set, and a sheet of '
        'pictures.', formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; monochrome ones also as '
                   'NAME_backgrounds and NAME_noises')
    p.add_argument('--sheet', type=png, metavar='FILE.png', help='to write; None: saved/DATASET-sheet.png')
    p.add_argument('--each', type=cli.whole(1, 20), default=3, metavar='K', help='pictures of each class')
    p.add_argument('--limit', type=cli.whole(1), help='use only N training images', metavar='N')
    reading.add_arguments(p)
    return p


def run(args):
    data = mydatasets.load(args.dataset, Reading.of(args), args.limit)
    parts = _parts(data)
    formats.show(counts(parts, data.classes)._replace(title=f'Images of {printable(args.dataset)}'))
    sections = [(f'{name}: {len(images):,} images', _cells(images, paste, data.classes, args.each))
                for name, (images, paste) in parts.items()]
    if data.backgrounds is not None:
        sections.append((f'backgrounds: {len(data.backgrounds):,} photographs',
                         [([b], []) for b in data.backgrounds[:12]]))
    path = args.sheet or f'saved/{mydatasets.label(args.dataset)}-sheet.png'
    save_sheet(path, sections)
    h, w, c = data.shape
    colour = 'colour' if c == 3 else 'monochrome'
    print(f'{w}x{h} pixels, {colour}, {len(data.classes)} classes\nsheet: {path}')


def main(argv=None):
    return guard(run, cli.parse(arguments(), argv))


if __name__ == '__main__':
    sys.exit(main())

"""Scores of masks against the true ones: IoU, Dice and area, beside Otsu's threshold on the raw pixels."""
from mycommon import Key, guard  # first: it quietens TensorFlow

import argparse
import os
import sys

import numpy as np
import tensorflow as tf

import myargs
import mybackgrounds
import mydatasets
import myfigures
import mymodels
import myrows
import mytables
import myweights
from mydatagen import spread, to_float
from myevaluation import (BATCH, data_arguments, load_data, method_name, precision, record, row_dataset,
                          row_method)

RAW = 'raw-otsu'          # method of the rows of the baseline
PICTURES = 8              # images of the figure
FIELDS = 'iou', 'dice', 'area', 'true_area'


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python evaluate_seg.py mnist saved/mnist-unet-0',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; the truth is x > 0 for '
                   'monochrome sets, and masks/ for a folder')
    p.add_argument('unet', help='weights of train2.py')
    p.add_argument('--binarize', choices=mymodels.BINARIZE, default='otsu', help='of the masks')
    p.add_argument('--area', type=myargs.share, default=0.2, help='for `quantile` masks')
    p.add_argument('--csv', metavar='FILE', help='append the rows to this file, each once')
    p.add_argument('--imsave', metavar='DIR', help='a picture of images and masks in this folder')
    p.add_argument('--method', type=method_name, help='name of the row; None: unet-BINARIZE')
    data_arguments(p)
    return p


def parse(argv=None):
    return myargs.parse(arguments(), argv)


def raw_otsu(x):
    """Otsu's threshold (1979) on the grey pixels; the object is what the border is not.

    x: (n, h, w, c) in [0, 1] -> (n, h, w, 1) in {0, 1}.
    """
    grey = tf.reduce_mean(x, -1, keepdims=True)
    m = mymodels.otsu(grey)
    return tf.where(mybackgrounds.border_colour(m) > 0.5, 1 - m, m)


def truth(batch):
    """True masks (n, h, w, 1) in {0, 1} of a batch of a mydatasets.Test: its own, or x > 0."""
    if 'm' in batch:
        return tf.round(to_float(batch['m']))
    return tf.cast(batch['x'] > 0, tf.float32)


def overlap(m, t):
    """{iou, dice, area, true_area} of each image, (n,); soft masks count in part. m, t: (n, h, w, 1)."""
    both, mine, true = (tf.reduce_sum(v, (1, 2, 3)) for v in (m*t, m, t))
    empty = tf.cast(mine + true == 0, tf.float32)   # nothing found where nothing is: perfect
    pixels = float(t.shape[1]*t.shape[2])
    return {'iou': tf.math.divide_no_nan(both, mine + true - both) + empty,
            'dice': tf.math.divide_no_nan(2*both, mine + true) + empty,
            'area': mine/pixels, 'true_area': true/pixels}


def scores(mask, test, batchsize=BATCH):
    """{n, iou, dice, area, true_area}: means over a Test's images. mask: x (n, h, w, c) -> (n, h, w, 1)."""
    @tf.function(reduce_retracing=True)
    def total(batch):
        return {k: tf.reduce_sum(v) for k, v in overlap(mask(batch['x']), truth(batch)).items()}
    n, sums = len(test.images()), dict.fromkeys(FIELDS, 0.)
    for batch in test.batches(batchsize):
        for k, v in total(batch).items():
            sums[k] += float(v)
    return {'n': n, **{k: round(v/n, 6) for k, v in sums.items()}}


def row(dataset, method, seed, settings, found):
    """One row for myrows.append. found: of `scores`."""
    return {'dataset': row_dataset(dataset), 'method': method, 'seed': seed, **found,
            'settings': settings}


def unet_row(unet, about, data, test, binarize='otsu', area=0.2, method=None, batchsize=BATCH):
    """The row of a U-Net's binarised masks. Call it in `precision`."""
    binarizer = mymodels.binarizer(binarize, area)
    found = scores(lambda x: binarizer(unet(x, training=False), x), test, batchsize)
    name = method or f'{row_method(about, data.name)}-{binarize}'
    return row(data.name, name, about.get('seed', 0), about.get('settings', ''), found)


def raw_row(data, test, batchsize=BATCH):
    """The row of Otsu on the raw pixels, which is the same for every U-Net."""
    return row(data.name, RAW, 0, '', scores(raw_otsu, test, batchsize))


def pictures(path, unet, test, binarize='otsu', area=0.2, count=PICTURES):
    """A figure of test images from all over the set: image, mask, binarised mask, object on textures."""
    x = to_float(spread(test.images(), count)['x'])
    m = unet(x, training=False)
    b = mymodels.binarizer(binarize, area)(m, x)
    z = mybackgrounds.compose(x, b, mybackgrounds.textures(x, Key.of(0)))
    myfigures.masks(path, *(np.asarray(v) for v in (x, m, b, z)))


def table(rows, name):
    """The rows of one run as they are."""
    lines = [[r['method'], *(f'{r[k]:.3f}' for k in FIELDS), str(r['n'])] for r in rows]
    return mytables.Table(f'Masks on {rows[0]["dataset"]} ({name})',
                          ['masks', 'IoU', 'Dice', 'area', 'true area', 'images'], lines, [])


def run(args):
    myweights.read_sidecar(args.unet)   # a wrong path is told before the data are read
    if args.csv:
        myrows.read(args.csv)
    data = load_data(args)
    name, test = mydatasets.with_truth(data)
    with precision(args.precision):
        unet, about = myweights.load(args.unet, 'unet', data.shape, fit=data.fit)
        rows = [unet_row(unet, about, data, test, args.binarize, args.area, args.method, args.batchsize),
                raw_row(data, test, args.batchsize)]
        if args.imsave:
            picture = f'{os.path.basename(myweights.stem(args.unet))}-{args.binarize}.png'
            pictures(os.path.join(args.imsave, picture), unet, test, args.binarize, args.area)
    for r in rows if args.csv else []:
        record(args.csv, r)
    if not args.quiet:
        mytables.show(table(rows, name))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

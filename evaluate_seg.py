"""Scores of masks against the true ones: IoU, Dice and area, beside Otsu's threshold on the raw pixels."""
import argparse
import os
import sys

import numpy as np

import mybackgrounds
import mydatasets
from common import binarization, cli
from common.errors import guard
from common.keys import Key
from mydatagen import spread, to_float
from report import figures, formats
from scoring import rowfile
from scoring.arguments import data_arguments, load_data, method_name
from scoring.evaluation import precision
from scoring.overlap import FIELDS, MaskExam, raw_row, unet_row
from scoring.rows import record
from training import weightfiles

PICTURES = 8              # images of the figure


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python evaluate_seg.py mnist saved/mnist-unet-0',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; the truth is x > 0 for '
                   'monochrome sets, and masks/ for a folder')
    p.add_argument('unet', help='weights of train2.py')
    p.add_argument('--binarize', choices=binarization.BINARIZE, default='otsu', help='of the masks')
    p.add_argument('--area', type=cli.share, default=0.2, help='for `quantile` masks')
    p.add_argument('--csv', metavar='FILE', help='append the rows to this file, each once')
    p.add_argument('--imsave', metavar='DIR', help='a picture of images and masks in this folder')
    p.add_argument('--method', type=method_name, help='name of the row; None: unet-BINARIZE')
    data_arguments(p)
    return p


def parse(argv=None):
    return cli.parse(arguments(), argv)


def pictures(path, unet, exam, count=PICTURES):
    """A figure of test images from all over the set: image, mask, binarised mask, object on textures."""
    x = to_float(spread(exam.test.images(), count)['x'])
    m = unet(x, training=False)
    b = binarization.binarizer(exam.binarize, exam.area)(m, x)
    z = mybackgrounds.compose(x, b, mybackgrounds.textures(x, Key.of(0)))
    figures.masks(path, [np.asarray(v) for v in (x, m, b, z)])


def table(rows, name):
    """The rows of one run as they are."""
    lines = [[r['method'], *(f'{r[k]:.3f}' for k in FIELDS), str(r['n'])] for r in rows]
    return formats.Table(f'Masks on {rows[0]["dataset"]} ({name})',
                          ['masks', 'IoU', 'Dice', 'area', 'true area', 'images'], lines, [])


def run(args):
    weightfiles.read_sidecar(args.unet)   # a wrong path is told before the data are read
    if args.csv:
        rowfile.read(args.csv)
    data = load_data(args)
    name, test = mydatasets.with_truth(data)
    with precision(args.precision):
        unet, about = weightfiles.load(args.unet, 'unet', data)
        exam = MaskExam(data, test, args.binarize, args.area, args.method, args.batchsize)
        rows = [unet_row(unet, about, exam), raw_row(exam)]
        if args.imsave:
            picture = f'{os.path.basename(weightfiles.stem(args.unet))}-{args.binarize}.png'
            pictures(os.path.join(args.imsave, picture), unet, exam)
    if args.csv:
        for r in rows:
            record(args.csv, r)
    if not args.quiet:
        formats.show(table(rows, name))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

"""Class and confidence of photographs: a line for each, a CSV file, a sheet of pictures, an explanation."""
import argparse
import csv
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from common import binarization, cli
from common.errors import guard, UserError
from common.files import printable, whole_file
from common.quiet import tf
from mydatagen import to_float
from mydatasets import pad32
from readers import folders, photographs
from report import sheets
from scoring import occlusion
from scoring.evaluation import precision
from training import weightfiles

KINDS = 'classifier', 'attention'
BRIGHT = 127             # median of the border above which a monochrome image looks dark on bright


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python predict.py saved/PATH-adv-textures-0 photos/ --explain '
        '--sheet predictions.png', formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('weights', help='of train1.py, train3.py or train_att.py')
    p.add_argument('images', nargs='+', help='photographs, or folders: all images in and below them')
    p.add_argument('--csv', metavar='FILE.csv', type=_csv, help='writes image, class and confidence, and '
                   'the columns of --explain, to this file')
    p.add_argument('--sheet', metavar='FILE.png', type=sheets.png,
                   help=f'draws the first {sheets.MOST} images with their predictions')
    p.add_argument('--explain', action='store_true', help='also where the model looks (occlusion: seconds '
                   'an image) and the mask: its share of the image, and the share of the look inside it')
    p.add_argument('--unet', metavar='WEIGHTS', help='of phase 2, for the mask; None: those that the weights '
                   'were trained with, if they are there')
    p.add_argument('--invert', action='store_true', help='dark objects on bright ground become bright ones '
                   'on dark, as in the monochrome sets')
    p.add_argument('--skip-damaged', action='store_true', help='leave out damaged photographs')
    p.add_argument('--batchsize', type=cli.whole(1, 4096), default=64, help='images at a time')
    p.add_argument('--precision', choices=('float32', 'bfloat16', 'float16'), default='float32',
                   help='of the networks')
    p.add_argument('--quiet', action='store_true', help='print nothing but errors and notes')
    return p


def _csv(path):
    if not path.lower().endswith('.csv'):
        raise argparse.ArgumentTypeError(f'{path!r} is no name of a CSV file; let it end in .csv')
    return path


def parse(argv=None):
    return cli.parse(arguments(), argv)


# Photographs as training read them

def files_of(paths):
    """The images that the arguments name, in their order. Errors: UserError for none."""
    found = []
    for path in paths:
        below = folders.pictures_below(path) if os.path.isdir(path) else [path]
        if not below:
            raise UserError(f'{printable(path)}: no images in or below it ({" ".join(folders.ENDINGS)}); '
                            'give another folder')
        found += below
    return found


def reader(shape, invert=False, fit=photographs.FITS[0]):
    """path -> uint8 image of `shape`, made square by `fit`; 28x28 ones padded to 32x32, as their sets are."""
    side, channels = shape[0], shape[-1]

    def read(path):
        padded = (side, channels) == (32, 1) and photographs.size_of(path) == (28, 28)
        x = photographs.read_image(path, 28 if padded else side, channels, fit)
        x = 255 - x if invert else x
        return pad32(x[None])[0] if padded else x
    return read


def batches(paths, read, batchsize, skip_damaged=False):
    """(paths, uint8 (n, h, w, c)) batch by batch; damaged files raise their UserError, or are noted."""
    def read_or_say(path):
        try:
            return read(path)
        except UserError as e:
            return UserError(str(e))   # a new one: the old one holds on to the pixels it broke at
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for i in range(0, len(paths), batchsize):
            part = paths[i:i + batchsize]
            read_ones = list(pool.map(read_or_say, part))
            for one in (r for r in read_ones if isinstance(r, UserError)):
                if not skip_damaged:
                    raise UserError(f'{one} (or leave it out with --skip-damaged)')
                print(f'note: {one} (skipped)', file=sys.stderr)
            good = [(p, x) for p, x in zip(part, read_ones) if not isinstance(x, UserError)]
            if good:
                yield [p for p, _ in good], np.stack([x for _, x in good])


def looks_inverted(x):
    """Has a monochrome image (h, w, 1) a bright border? Then it is dark on bright, as on paper."""
    return np.median(np.concatenate([x[0], x[-1], x[:, 0], x[:, -1]])) > BRIGHT


# Explanation

def mask_network(args, about):
    """x -> binarised masks (n, h, w, 1), by the arguments' or the sidecar's generator, or None."""
    path = args.unet
    if path is None:
        kept, beside = about.get('trained_from'), os.path.dirname(args.weights)
        kept = kept.get('unet') if isinstance(kept, dict) else None
        places = [kept, os.path.join(beside, os.path.basename(kept))] if isinstance(kept, str) else []
        path = next((p for p in places if os.path.isfile(weightfiles.stem(p) + '.weights.h5')), None)
    if path is None:
        print(f'note: no mask generator is known for {args.weights}; give one with --unet to see masks',
              file=sys.stderr)
        return None
    unet, _ = weightfiles.load(path, 'unet', weightfiles.Like(about['shape'], weightfiles.fit_of(about)))
    own = about.get('arguments') if isinstance(about.get('arguments'), dict) else {}
    name = own.get('binarize') if own.get('binarize') in ('otsu', '0.5', 'snap') else 'otsu'
    binarize = binarization.binarizer(name)
    return lambda x: binarize(unet(x, training=False), x)


def coloured(x, heat):
    """Heat (n, h, w) in [0, 1] over images (n, h, w, c) in [0, 1] -> uint8 (n, h, w, 3)."""
    from matplotlib import colormaps   # late: half a second
    colours = colormaps['inferno'](heat)[..., :3]
    return np.round(255*(0.3*x.mean(-1, keepdims=True) + 0.7*colours)).astype(np.uint8)


def explain(model, mask, x):
    """Images (n, h, w, c) in [0, 1] -> (figures for rows, uint8 pictures) of each image."""
    heat = occlusion.occlusion(model, x)
    rows, pictures = [{} for _ in x], [[h] for h in coloured(x, heat)]
    if mask is not None:
        for row, shown, m, h in zip(rows, pictures, mask(x).numpy(), heat):
            row['mask'] = round(float(m.mean()), 4)
            row['look_inside'] = round(float((h*m[..., 0]).sum()/max(h.sum(), 1e-9)), 4)
            shown.insert(0, np.round(m*255).astype(np.uint8))
    return rows, pictures


# Results

def line_of(row):
    text = f'{printable(row["image"])}\t{row["class"]}\t{100*row["confidence"]:.1f} %'
    if 'mask' in row:
        text += f'\tmask {100*row["mask"]:.0f} %\tlook inside {100*row["look_inside"]:.0f} %'
    return text


def write_csv(path, rows, explained):
    fields = ['image', 'class', 'confidence', *(['mask', 'look_inside'] if explained else [])]
    with whole_file(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8',
                                             errors='surrogateescape') as f:
        table = csv.DictWriter(f, fields, lineterminator='\n')
        table.writeheader()
        table.writerows(rows)


def predictions(args, model, about, mask, paths):
    """(row, image and pictures of the explanation as uint8) of every sound photograph, in order."""
    shape, classes = tuple(about['shape']), about['classes']
    shares = tf.function(lambda x: tf.nn.softmax(tf.cast(model(x, training=False), tf.float32)),
                         input_signature=[tf.TensorSpec((None, *shape))])
    read = reader(shape, args.invert, weightfiles.fit_of(about))
    for names, pixels in batches(paths, read, args.batchsize, args.skip_damaged):
        x = to_float(pixels)
        notes, pictures = explain(model, mask, x.numpy()) if args.explain else ([{}]*len(x), [[]]*len(x))
        for name, image, p, note, shown in zip(names, pixels, shares(x).numpy(), notes, pictures):
            best = int(p.argmax())
            row = {'image': name, 'class': classes[best], 'confidence': round(float(p[best]), 6), **note}
            yield row, [image, *shown]


def title(args, n, mask):
    """Of the sheet."""
    more = f', the first {sheets.MOST} of them' if n > sheets.MOST else ''
    legend = f' (image, {"mask, " if mask else ""}look)' if args.explain else ''
    return f'{n:,} images by {os.path.basename(weightfiles.stem(args.weights))}{more}{legend}'


def run(args):
    paths = files_of(args.images)
    for written in filter(None, (args.csv, args.sheet)):
        if os.path.realpath(written) in map(os.path.realpath, paths):
            raise UserError(f'{printable(written)} is one of the images; write to another file')
    with precision(args.precision):
        model, about = weightfiles.load(args.weights, KINDS)
        mask = mask_network(args, about) if args.explain else None
    rows, cells, bright = [], [], 0
    for row, pictures in predictions(args, model, about, mask, paths):
        rows.append(row)
        if len(cells) < sheets.MOST:
            caption = f'{row["class"]}  {100*row["confidence"]:.1f} %'
            cells.append((pictures, [os.path.basename(row['image']), caption]))
        bright += pictures[0].shape[-1] == 1 and looks_inverted(pictures[0])
        if not args.quiet:
            print(line_of(row), flush=True)
    if not rows:
        raise UserError('all images are damaged; give others')
    if bright > len(rows)/2:
        mend = 'leave out --invert' if args.invert else 'if these are dark on bright, add --invert'
        print(f'note: {bright} of {len(rows)} images have a bright border, but these weights learnt bright '
              f'objects on dark ground; {mend}', file=sys.stderr)
    if args.csv:
        write_csv(args.csv, rows, mask is not None)
    if args.sheet:
        sheets.save_sheet(args.sheet, [(title(args, len(rows), mask), cells)])


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

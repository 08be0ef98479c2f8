"""Class and confidence of photographs, or a number: a line for each, a CSV file, a sheet, an explanation."""
import argparse
import csv
import functools
import hashlib
import os
import sys
from typing import NamedTuple

import numpy as np

from common import cli
from common.errors import guard, UserError
from common.files import printable, whole_file
from common.quiet import tf
from mydatagen import to_float
from readers import folders, frames
from report import cutouts, sheets
from scoring import occlusion, overlap
from scoring.evaluation import precision
from training import weightfiles

BRIGHT = 127             # median of the border above which a monochrome image looks dark on bright


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python predict.py saved/PATH-adv-textures-0 photos/ --explain '
        '--sheet predictions.png', formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('weights', help='of train1.py, train3.py or train_att.py; for --cutout U-Nets')
    p.add_argument('images', nargs='+', help='photographs, or folders: all images in and below them')
    p.add_argument('--csv', metavar='FILE.csv', type=_csv, help='writes image, class and confidence (or '
                   'value and unit), and the columns of --explain, to this file')
    p.add_argument('--sheet', metavar='FILE.png', type=sheets.png,
                   help=f'draws the first {sheets.MOST} images with their predictions')
    p.add_argument('--cutout', metavar='DIR', help='writes the photographs with transparent ground into this '
                   'folder, as PNG of their own size; for weights that mark objects')
    p.add_argument('--explain', action='store_true', help='also where the model looks (occlusion: seconds '
                   'an image) and the mask: its share of the image, and the share of the look inside it')
    p.add_argument('--unet', metavar='WEIGHTS', help='of phase 2, for the mask; None: those that the weights '
                   'were trained with, if they are there')
    p.add_argument('--margin', type=_margin, default='auto', metavar='PIXELS',
                   help='black pixels around what is read, for monochrome weights. auto: as in training, '
                   'where images of 28x28 were padded by 2 to 32x32: other sizes are read onto 28x28 and '
                   'padded too, 32x32 itself is taken as it is. An object drawn to the edge of its image is '
                   'a stranger to the network: give it more, such as 6, which the digits of MNIST have')
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


def _margin(text):
    return text if text == 'auto' else cli.whole(0, 999)(text)


def parse(argv=None):
    return cli.parse(arguments(), argv)


def note(text):
    """One line beside the results."""
    print(f'note: {text}', file=sys.stderr)


# Photographs

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


def looks_inverted(x, margin=0):
    """Has a monochrome image (h, w, 1) a bright border inside its margin? Then it is dark on bright."""
    x = x[margin:len(x) - margin, margin:len(x) - margin]
    return np.median(np.concatenate([x[0], x[-1], x[:, 0], x[:, -1]])) > BRIGHT


# Explanation

def digest_of(path):
    """SHA-256 of a file, as sidecars name it."""
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def parent(about, role):
    """[path, digest] of weights that these were trained from, by their sidecar; None for what it lacks."""
    identity = about.get('identity')
    named = about.get('trained_from'), identity.get('parents') if isinstance(identity, dict) else None
    found = [v.get(role) if isinstance(v, dict) else None for v in named]
    return [v if isinstance(v, str) else None for v in found]


def known_unet(weights, about):
    """Path of the mask generator that the weights were trained with, or None. Notes tell what is passed over.

    The file beside the weights comes first, since they travel together; then the place that the sidecar names
    from there; then the same from the current folder.
    """
    kept, wanted = parent(about, 'unet')
    if kept is None:
        return None
    folder, shown = os.path.dirname(weights), printable(weights)
    places = os.path.join(folder, os.path.basename(kept)), os.path.join(folder, kept), kept
    for path in dict.fromkeys(map(os.path.normpath, places)):
        file = weightfiles.stem(path) + '.weights.h5'
        if not os.path.isfile(file):
            continue
        if wanted is None:
            note(f'{shown} names its mask generator but not its digest; {printable(file)} is taken')
            return path
        if digest_of(file) == wanted:
            return path
        note(f'{printable(file)} is not the mask generator that {shown} was trained with (another digest), '
             'so it is passed over')
    return None


def mask_network(args, about):
    """x -> binarised masks (n, h, w, 1), by the arguments' or the sidecar's generator, or None."""
    path = args.unet or known_unet(args.weights, about)
    if path is None:
        note(f'no mask generator is known for {printable(args.weights)}; give one with --unet to see masks')
        return None
    unet, _ = weightfiles.load(path, 'unet', weightfiles.Like(about['shape'], weightfiles.fit_of(about)))
    own = about.get('arguments') if isinstance(about.get('arguments'), dict) else {}
    name = own.get('binarize') if own.get('binarize') in ('otsu', '0.5', 'snap') else 'otsu'
    return overlap.masks(unet, name)


# Results

def said(row, between='\t'):
    """The answer of a row as text."""
    if 'value' in row:
        return f'{row["value"]:.4g}{between}{row["unit"]}'
    return f'{row["class"]}{between}{100*row["confidence"]:.1f} %'


def line_of(row):
    """A row as one line, its cells parted by tabs."""
    text = f'{printable(row["image"])}\t{said(row)}'
    if 'mask' in row:
        text += f'\tmask {100*row["mask"]:.0f} %\tlook inside {100*row["look_inside"]:.0f} %'
    return text


def write_csv(path, rows, explained):
    """The rows as a CSV file; names that are no text keep their bytes. Errors: UserError for no room."""
    fields = [k for k in rows[0] if explained or k not in ('mask', 'look_inside')]
    with whole_file(path) as temporary, open(temporary, 'w', newline='', encoding='utf-8',
                                             errors='surrogateescape') as f:
        table = csv.DictWriter(f, fields, lineterminator='\n')
        table.writeheader()
        table.writerows(rows)


def predictions(model, images, explained=None):
    """(row, [image, pictures of the explanation], uint8) of every photograph, in order.

    images: (paths, uint8 (n, h, w, c)) batch by batch. explained: x -> what `occlusion.explain` returns, or
    None. Everything comes batch by batch: take it inside `precision`.
    """
    outputs = tf.function(lambda x: model(x, training=False),
                          input_signature=[tf.TensorSpec(model.input_shape)])
    for names, pixels in images:
        x = to_float(pixels)
        figures, pictures = explained(x.numpy()) if explained else ([{}]*len(x), [[]]*len(x))
        for name, image, answer, more, shown in zip(names, pixels, model.task.cells(outputs(x)), figures,
                                                    pictures):
            yield {'image': name, **answer, **more}, [image, *shown]


def title(args, n, mask):
    """Of the sheet."""
    more = f', the first {sheets.MOST} of them' if n > sheets.MOST else ''
    legend = f' (image, {"mask, " if mask else ""}look)' if args.explain else ''
    return f'{n:,} images by {os.path.basename(weightfiles.stem(args.weights))}{more}{legend}'


class Results(NamedTuple):
    """What is left when all images are predicted."""
    rows: list       # of the CSV file
    cells: list      # of the sheet
    bright: int      # images with a bright border
    resized: int     # images that were brought to the size that training had


def collect(args, found, frame):
    """The Results of all `predictions`; each is printed as it comes. Errors: UserError for none."""
    rows, cells, bright, resized = [], [], 0, 0
    for row, pictures in found:
        rows.append(row)
        if len(cells) < sheets.MOST:
            cells.append((pictures, [os.path.basename(row['image']), said(row, '  ')]))
        if pictures[0].shape[-1] == 1 and looks_inverted(pictures[0], frame.margin):
            bright += 1
        if frame.resizes(row['image']):
            resized += 1
        if not args.quiet:
            print(line_of(row), flush=True)
    if not rows:
        raise UserError('all images are damaged; give others')
    return Results(rows, cells, bright, resized)


def tell(args, results, frame):
    """Notes on images that may not be what the network learnt from."""
    n, inner = len(results.rows), f'{frame.inner}x{frame.inner}'
    if results.resized:
        note(f'{results.resized} of {n} images are not {inner}: they were brought to it, with a margin of '
             f'{frame.margin} black pixels as in training; where objects touch the edge, more --margin helps')
    if results.bright > n/2:
        mend = 'leave out --invert' if args.invert else 'if these are dark on bright, add --invert'
        note(f'{results.bright} of {n} images have a bright border, but these weights learnt bright objects '
             f'on dark ground; {mend}')


def demand_fitting(args):
    """Errors: UserError for options that these weights have no answer to."""
    kind = weightfiles.read_sidecar(args.weights)['kind']
    marks, name = kind in weightfiles.MASKS, printable(args.weights)
    if args.cutout and not marks:
        raise UserError(f'{name} holds a {kind}, which marks no object; give a U-Net of train3.py, or leave '
                        'out --cutout')
    if marks and not args.cutout:
        raise UserError(f'{name} holds a {kind}, which answers with masks alone; give --cutout DIR')
    others = [f'--{o}' for o in ('csv', 'sheet', 'explain') if getattr(args, o)]
    if marks and others:
        raise UserError(f'{others[0]} is for answers, and {name} gives masks alone; leave it out')


def cut_out(args, paths, model, about):
    """Writes every photograph with the model's mask as its alpha."""
    frame = frames.frame_of(about, weightfiles.fit_of(about), args.margin, args.invert)
    places, n = cutouts.places(args.cutout, paths), 0
    look = tf.function(lambda x: model(x, training=False),
                       input_signature=[tf.TensorSpec(model.input_shape)])
    for names, pixels in frames.batches(paths, frame.read, args.batchsize, args.skip_damaged):
        for path, mask in zip(names, look(to_float(pixels)).numpy()):
            cutouts.save(places[path], path, frame, mask[..., 0])
            n += 1
            if not args.quiet:
                print(f'{printable(places[path])}\tobject {100*mask.mean():.0f} %', flush=True)
    if not n:
        raise UserError('all images are damaged; give others')


def run(args):
    paths = files_of(args.images)
    for written in filter(None, (args.csv, args.sheet)):
        if os.path.realpath(written) in map(os.path.realpath, paths):
            raise UserError(f'{printable(written)} is one of the images; write to another file')
    demand_fitting(args)
    with precision(args.precision):   # until the last image: it also keeps GPUs from TF32
        model, about = weightfiles.load(args.weights)
        if args.cutout:
            cut_out(args, paths, model, about)
            return
        frame = frames.frame_of(about, weightfiles.fit_of(about), args.margin, args.invert)
        mask = mask_network(args, about) if args.explain else None
        images = frames.batches(paths, frame.read, args.batchsize, args.skip_damaged)
        explained = functools.partial(occlusion.explain, model, mask) if args.explain else None
        results = collect(args, predictions(model, images, explained), frame)
    tell(args, results, frame)
    if args.csv:
        write_csv(args.csv, results.rows, mask is not None)
    if args.sheet:
        sheets.save_sheet(args.sheet, [(title(args, len(results.rows), mask), results.cells)])


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

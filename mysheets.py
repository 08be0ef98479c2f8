"""Contact sheets: pictures with captions as one PNG; and a data set looked at before training."""
from mycommon import guard, whole_file  # first: it quietens TensorFlow

import argparse
import os
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import myargs
import mydatasets
import mytables
from myfolder import printable

WIDTH = 1600             # pixels of a sheet
HIGH = 96                # pictures of a smaller height are enlarged by a whole factor
GAP, FONT, TITLE = 8, 13, 18   # pixels
MOST = 100               # cells of a section; a sheet of thousands would tell nothing


def _font(size):
    import matplotlib   # late; its DejaVu Sans knows more letters than Pillow's own font
    path = os.path.join(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
    return ImageFont.truetype(path, size)


def _strip(pictures):
    """Pictures (h, w, 1 or 3) uint8 of one size side by side -> image, enlarged where they are small."""
    h, w = pictures[0].shape[:2]
    times = max(1, -(-HIGH//h))
    strip = Image.new('RGB', (len(pictures)*(times*w + 2) - 2, times*h), 'white')
    for i, picture in enumerate(pictures):
        one = Image.fromarray(np.broadcast_to(picture, (h, w, 3)).copy())
        strip.paste(one.resize((times*w, times*h), Image.Resampling.NEAREST), (i*(times*w + 2), 0))
    return strip


def _shortened(line, font, width):
    """The line, cut with an ellipsis where it is wider than `width` pixels."""
    line = printable(line)[:int(width)]   # no letter is narrower than a pixel
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + '…') > width:
        line = line[:-1]
    return line + '…'


def _section(title, cells, font, title_font):
    """One titled block of cells in rows -> image."""
    cells = [(_strip(pictures), lines) for pictures, lines in cells[:MOST]]
    height = (max((s.height for s, _ in cells), default=0)
              + max((len(lines) for _, lines in cells), default=0)*(FONT + 4))
    wide = max((s.width for s, _ in cells), default=0)
    captions = max((font.getlength(printable(t)) for _, lines in cells for t in lines), default=0)
    wide = max(wide, int(min(captions, 220)) + 1)
    per_row = max(1, (WIDTH - GAP)//(wide + GAP))
    rows = -(-len(cells)//per_row)
    block = Image.new('RGB', (max(WIDTH, wide + 2*GAP), TITLE + 3*GAP + rows*(height + 2*GAP)), 'white')
    draw = ImageDraw.Draw(block)
    draw.text((GAP, GAP), _shortened(title, title_font, block.width - 2*GAP), 'black', title_font)
    for i, (strip, lines) in enumerate(cells):
        x, y = GAP + i % per_row*(wide + GAP), TITLE + 3*GAP + i//per_row*(height + 2*GAP)
        block.paste(strip, (x, y))
        for j, line in enumerate(lines):
            draw.text((x, y + strip.height + 2 + j*(FONT + 4)), _shortened(line, font, wide), 'black', font)
    return block


def save_sheet(path, sections):
    """Sections [(title, [(pictures, lines of caption)])] as one PNG, MOST cells of each.

    pictures: a list of uint8 (h, w, 1 or 3) of one size, drawn side by side.
    """
    font, title_font = _font(FONT), _font(TITLE)
    blocks = [_section(title, cells, font, title_font) for title, cells in sections]
    sheet = Image.new('RGB', (max(b.width for b in blocks), sum(b.height for b in blocks)), 'white')
    y = 0
    for block in blocks:
        sheet.paste(block, (0, y))
        y += block.height
    with whole_file(path) as temporary:
        sheet.save(temporary, format='PNG')


def png(path):
    """argparse type: the name of a PNG file, so that no photograph is written over by a slip."""
    if not path.lower().endswith('.png'):
        raise argparse.ArgumentTypeError(f'{path!r} is no name of a PNG file; let it end in .png')
    return path


# Looking at a data set: `python mydatasets.py DATASET`

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
    return mytables.Table('Images', ['class', *heads], lines, [])


def arguments():
    p = argparse.ArgumentParser(
        prog='mydatasets.py', epilog='example: python mydatasets.py folder:PATH --sheet look.png',
        description='A data set before training: counts of every class, split and test set, and a sheet of '
        'pictures.', formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}; monochrome ones also as '
                   'NAME_backgrounds and NAME_noises')
    p.add_argument('--sheet', type=png, metavar='FILE.png', help='to write; None: saved/DATASET-sheet.png')
    p.add_argument('--each', type=myargs.whole(1, 20), default=3, metavar='K', help='pictures of each class')
    p.add_argument('--data-dir', help='of tensorflow-datasets (or set TFDS_DATA_DIR)')
    p.add_argument('--size', type=myargs.whole(8), help='side in pixels; None: that of the set')
    p.add_argument('--limit', type=myargs.whole(1), help='use only N training images', metavar='N')
    myargs.add_folder_arguments(p)
    return p


def run(args):
    data = mydatasets.load(args.dataset, args.data_dir, args.size, args.limit, fit=args.fit,
                           skip_damaged=args.skip_damaged)
    parts = _parts(data)
    mytables.show(counts(parts, data.classes)._replace(title=f'Images of {printable(args.dataset)}'))
    sections = [(f'{name}: {len(images):,} images', _cells(images, paste, data.classes, args.each))
                for name, (images, paste) in parts.items()]
    if data.backgrounds is not None:
        sections.append((f'backgrounds: {len(data.backgrounds):,} photographs',
                         [([b], []) for b in data.backgrounds[:12]]))
    path = args.sheet or f'saved/{myargs.label(args.dataset)}-sheet.png'
    save_sheet(path, sections)
    h, w, c = data.shape
    colour = 'colour' if c == 3 else 'monochrome'
    print(f'{w}x{h} pixels, {colour}, {len(data.classes)} classes\nsheet: {path}')


def main(argv=None):
    return guard(run, myargs.parse(arguments(), argv))


if __name__ == '__main__':
    sys.exit(main())

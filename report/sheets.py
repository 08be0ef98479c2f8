"""Contact sheets: pictures with captions as one PNG."""
import argparse
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from common.files import printable, whole_file

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

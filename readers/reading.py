"""How images are read: one value, for every command that is to see the same ones."""
from typing import NamedTuple

from common import cli
from readers.photographs import FITS

MAX_SIDE = 1024   # pixels of an image, and of the networks that take it


class Reading(NamedTuple):
    """Where prepared sets lie, the side in pixels (None: that of the set), how photographs become square, and
    whether damaged ones are left out."""
    data_dir: str | None = None
    size: int | None = None
    fit: str = FITS[0]
    skip_damaged: bool = False

    @classmethod
    def of(cls, args):
        """That of parsed arguments."""
        return cls(args.data_dir, args.size, args.fit, args.skip_damaged)

    def words(self):
        """The options with which another command reads the images as this one does."""
        words = []
        for option, value in (('--data-dir', self.data_dir), ('--size', self.size)):
            if value:
                words += [option, str(value)]
        if self.fit != FITS[0]:
            words += ['--fit', self.fit]
        if self.skip_damaged:
            words.append('--skip-damaged')
        return words


def add_arguments(p):
    """The options of a Reading."""
    p.add_argument('--data-dir', help='of tensorflow-datasets (or set TFDS_DATA_DIR)')
    p.add_argument('--size', type=cli.whole(8, MAX_SIDE),
                   help='side in pixels; None: that of the set (folders 64)')
    p.add_argument('--fit', choices=FITS, default=FITS[0],
                   help='photographs that are not square: their central square, or all of them, padded with '
                   'the colour of their own border')
    p.add_argument('--skip-damaged', action='store_true', help='leave out damaged photographs of a folder')

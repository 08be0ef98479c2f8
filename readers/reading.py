"""How photographs are read: the options that every command with a data set takes."""
from readers.photographs import FITS


def add_folder_arguments(p):
    p.add_argument('--fit', choices=FITS, default=FITS[0],
                   help='photographs that are not square: their central square, or all of them, padded with '
                   'the colour of their own border')
    p.add_argument('--skip-damaged', action='store_true', help='leave out damaged photographs of a folder')


def same_images(args):
    """The options with which another command reads the images as this one does."""
    given = {'--data-dir': args.data_dir, '--size': args.size, '--fit': (args.fit != FITS[0]) and args.fit}
    words = [w for option, value in given.items() if value for w in (option, str(value))]
    return words + ['--skip-damaged']*args.skip_damaged

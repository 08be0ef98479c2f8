"""What the evaluators share on their command lines."""
import argparse
import re

import mydatasets
from common import cli
from readers import reading
from scoring.evaluation import BATCH


def data_arguments(p):
    """Options of the data and of the run."""
    g = p.add_argument_group('data')
    reading.add_arguments(g)
    g = p.add_argument_group('run')
    g.add_argument('--batchsize', type=cli.whole(1), default=BATCH, help='images at a time')
    g.add_argument('--precision', choices=('float32', 'bfloat16', 'float16'), default='float32',
                   help='of the networks; float32 gives the same rows on every processor')
    g.add_argument('--quiet', action='store_true', help='print nothing but errors')


def method_name(text):
    """argparse type: the name of a row."""
    if not re.fullmatch(r'[\w.@-]{1,100}', text):
        raise argparse.ArgumentTypeError(f'{text!r} is no name; use letters, digits and hyphens')
    return text


def load_data(args, train=False):
    """The data set of the arguments. train: its training images too; scores need the tests alone."""
    return mydatasets.load(args.dataset, reading.Reading.of(args), train=train)

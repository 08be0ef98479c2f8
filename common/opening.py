"""The first line of a command that trains: TensorFlow takes seconds to load, and nobody should wonder."""
import sys


def loading():
    """Says that TensorFlow is being loaded, unless --quiet or --help is among the words typed."""
    if not {'--quiet', '-h', '--help'} & set(sys.argv[1:]):
        print('background-invariance: loading TensorFlow ...', flush=True)

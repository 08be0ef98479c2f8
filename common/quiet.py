"""TensorFlow and Keras, quiet and with oneDNN: every module takes `tf` and `keras` from here."""
import contextlib
import gc
import os
import platform
import sys

__all__ = 'keras', 'silence', 'tf'

# Before TensorFlow is imported: its start-up notes would hide ours, and its errors reach us as exceptions.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# And its fast convolutions, which it takes by itself only where a processor has AVX-512: with AVX2 alone they
# train the U-Net 1.5 times as fast (benchmarks/README.md)
if platform.machine().lower() in ('x86_64', 'amd64'):
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '1')


@contextlib.contextmanager
def silence():
    """File descriptor 2 closed to TensorFlow's C++ start-up notes, which no setting keeps back."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


@contextlib.contextmanager
def without(*names):
    """Modules that are as if not installed, unless they are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


# Nothing of what they load is ever garbage: looking it through again and again takes a sixth of loading them
gc.disable()
# Keras loads these two where they are installed, for galleries and wrappers that nobody here asks for,
# which takes a third of the time
with silence(), without('matplotlib', 'sklearn'):
    import keras
    import tensorflow as tf
    tf.get_logger().setLevel('ERROR')
gc.freeze()
gc.enable()

"""tf.data, without waiting for its tuner."""
from common.quiet import tf


def untuned(data):
    """The same tf.data, with threads for all cores from the beginning and none that tunes their number.

    The tuner's looks lie 10, 20, 40 ms ... up to a minute apart, and whoever drops an iterator may have to
    wait for the next one (TensorFlow 2.21): phases took up to twice their time.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)

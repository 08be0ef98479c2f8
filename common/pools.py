"""Backgrounds remembered from earlier steps: cheaper than new ones, and what fooled f once stays in sight."""
import math

from common.quiet import tf

POOL_BYTES = 2**27       # at most: they stand in every checkpoint too


def empty(rows, shape):
    """A pool of up to `rows` backgrounds of shape (h, w, c), as far as they fit into POOL_BYTES; None for 0.

    Half precision: the smallest numbers that collectives between machines carry.
    """
    if not rows:
        return None
    rows = max(1, min(rows, POOL_BYTES//(2*math.prod(shape))))
    return tf.Variable(tf.zeros((rows, *shape), tf.float16), trainable=False,
                       aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)


def remember(pool, fresh, key):
    """Writes the fresh backgrounds of all replicas over the oldest of the pool; returns how many it holds."""
    new = tf.cast(tf.stop_gradient(fresh), pool.dtype)
    if key.parts > 1:
        new = tf.distribute.get_replica_context().all_gather(new, 0)
    size, count = pool.shape[0], key.parts*len(fresh)
    rows = (key.step*count + tf.range(count, dtype=tf.int64)) % size
    pool.scatter_update(tf.IndexedSlices(new[-size:], rows[-size:]))   # no row twice in one update
    return tf.minimum((key.step + 1)*count, size)


def recall(pool, held, mirrored=True):
    """Source of remembered backgrounds, mirrored at random in both directions or not. held: their number."""
    def recalled(x, key):
        n = tf.shape(x)[0]
        rows = tf.cast(key.uniform(n)*tf.cast(held, tf.float32), tf.int64)
        b = tf.cast(tf.gather(pool, rows), tf.float32)
        if not mirrored:
            return b
        u = key.fold(1).uniform(n, (2, 1, 1, 1))
        b = tf.where(u[:, 0] < 0.5, b[:, :, ::-1], b)
        return tf.where(u[:, 1] < 0.5, b[:, ::-1], b)
    return recalled

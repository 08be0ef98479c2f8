"""Affine warps, distances and dilation of images and masks, in the graph."""
from common.quiet import tf


@tf.function(jit_compile=True, autograph=False)
def warp(x, maps, outside='constant'):
    """Images seen through one affine map each, bilinear. x: (n, h, w, c); maps: (n, 6) a, b, u, c, d, v.

    Pixel (column i, row j) of the result is read at column a i + b j + u, row c i + d j + v; `outside` the
    image lies 0 (`constant`), its nearest pixel (`nearest`), or the image once more (`wrap`). Out of plain
    operations, because XLA makes one fast loop of them; TensorFlow's own op takes twice the time.
    """
    n, (h, w, channels) = tf.shape(x)[0], x.shape[1:]
    a, b, u, c, d, v = (m[:, None, None] for m in tf.unstack(maps, 6, 1))
    i, j = tf.range(w, dtype=tf.float32), tf.range(h, dtype=tf.float32)[:, None]
    col, row = a*i + b*j + u, c*i + d*j + v
    if outside == 'wrap':
        x = tf.concat([x, x[:, :1]], 1)
        x = tf.concat([x, x[:, :, :1]], 2)
        # the remainder of a tiny negative number is rounded up to the side itself
        col, row = (tf.minimum(tf.math.floormod(at, side), side - 1e-3) for at, side in ((col, w), (row, h)))
    else:
        rim = 1 if outside == 'constant' else 0
        x = tf.pad(x, [[0, 0], [rim, rim + 1], [rim, rim + 1], [0, 0]])
        col = tf.clip_by_value(col + rim, 0., w - 1. + 2*rim)
        row = tf.clip_by_value(row + rim, 0., h - 1. + 2*rim)
    width, left, top = x.shape[2], tf.floor(col), tf.floor(row)
    flat, corner = tf.reshape(x, [n, x.shape[1]*width, channels]), tf.cast(top*width + left, tf.int32)
    p = [tf.gather(flat, corner + step, batch_dims=1) for step in (0, 1, width, width + 1)]
    right, down = (col - left)[..., None], (row - top)[..., None]
    upper, lower = p[0] + right*(p[1] - p[0]), p[2] + right*(p[3] - p[2])
    return upper + down*(lower - upper)


@tf.function(jit_compile=True, autograph=False)
def squared_distance(m, reach):
    """To the nearest pixel of the binary masks m (n, h, w, 1), in pixels; more than reach**2 beyond `reach`.

    First down the columns, then along the rows (Felzenszwalb and Huttenlocher 2012); no object is outside.
    """
    far = float(reach*reach + 1)

    def along_columns(d):
        around = tf.pad(d, [[0, 0], [reach, reach], [0, 0], [0, 0]], constant_values=far)
        h = d.shape[1]
        return tf.reduce_min([around[:, k:k + h] + float((k - reach)**2) for k in range(2*reach + 1)], 0)
    turned = tf.transpose(along_columns(tf.where(m > 0.5, 0., far)), [0, 2, 1, 3])
    return tf.transpose(along_columns(turned), [0, 2, 1, 3])


def dilate(m, radius):
    """Binary masks grown by a disk of `radius` pixels (scikit-image's disk). m: (n, h, w, 1) in {0, 1}."""
    return dilate_between(m, radius, radius, None)


def dilate_between(m, low, high, key):
    """Each mask grown by its own radius from low..high, so that no width of halo gives the object away."""
    if high == 0:
        return m
    radius = key.uniform(tf.shape(m)[0], (1, 1, 1), low, high + 1, tf.int32) if low < high else high
    return tf.cast(squared_distance(m, high) <= tf.cast(tf.square(radius), tf.float32), m.dtype)


def swell_between(m, low, high, key):
    """Soft masks, each grown by its own radius from low..high: the largest value within a disk of it.

    m: (n, h, w, 1) in [0, 1].
    """
    radius = key.uniform(tf.shape(m)[0], (1, 1, 1), low, high + 1, tf.int32)
    grown = m
    for r in range(1, high + 1):
        dy, dx = tf.meshgrid(tf.range(-r, r + 1), tf.range(-r, r + 1), indexing='ij')
        disk = tf.where(dy*dy + dx*dx <= r*r, 0., -1.)[..., None]   # -1: below every value of a mask
        swollen = tf.nn.dilation2d(m, disk, [1]*4, 'SAME', 'NHWC', [1]*4)
        grown = tf.where(radius == r, swollen, grown)
    return grown


def feather(m, radius):
    """Masks (n, h, w, 1) with an edge that falls off over about 2 `radius` pixels; radius 0 leaves them."""
    if not radius:
        return m
    blurred = m
    for _ in range(2):   # two boxes make a tent; the rim repeated, so that the frame is no edge
        around = tf.pad(blurred, [[0, 0], [radius, radius], [radius, radius], [0, 0]], 'SYMMETRIC')
        blurred = tf.nn.avg_pool2d(around, 2*radius + 1, 1, 'VALID')
    return blurred


def flood(passable):
    """What is reached from the frame through passable pixels, 8-connected. {0, 1} float32 (n, h, w, 1)."""
    inside = tf.zeros_like(passable[:, 1:-1, 1:-1])
    frame = tf.pad(inside, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1.)

    def spread(reached, grew):
        more = tf.nn.max_pool2d(reached, 3, 1, 'SAME')*passable
        return more, tf.reduce_any(more > reached)
    return tf.while_loop(lambda reached, grew: grew, spread, [frame*passable, True])[0]

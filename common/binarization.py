"""Binarisation of masks: (n, h, w, 1) in [0, 1] -> {0, 1}, except `none`."""
from common.geometry import flood
from common.quiet import tf

# Binarisation of masks: (n, h, w, 1) in [0, 1] -> {0, 1}, except `none`.

def otsu(m, bins=256):
    """Each mask at its own threshold (Otsu 1979), equal to scikit-image's `m > threshold_otsu(m, 256)`."""
    n = tf.shape(m)[0]
    flat = tf.cast(tf.reshape(m, [n, -1]), tf.float32)
    low, high = tf.reduce_min(flat, 1, keepdims=True), tf.reduce_max(flat, 1, keepdims=True)
    width = tf.where(high > low, (high - low)/bins, 1.)
    index = tf.clip_by_value(tf.cast((flat - low)/width, tf.int32), 0, bins - 1)
    counts = tf.cast(tf.math.bincount(index, minlength=bins, maxlength=bins, axis=-1), tf.float32)
    centres = low + width*(tf.range(bins, dtype=tf.float32) + 0.5)
    weight1, moment1 = tf.cumsum(counts, 1), tf.cumsum(counts*centres, 1)
    weight2, moment2 = weight1[:, -1:] - weight1, moment1[:, -1:] - moment1
    between = weight1*weight2*tf.square(tf.math.divide_no_nan(moment1, weight1)
                                        - tf.math.divide_no_nan(moment2, weight2))
    threshold = tf.gather(centres, tf.argmax(between[:, :-1], 1), batch_dims=1)[:, None, None, None]
    return tf.cast(m > tf.where(high > low, threshold[:, 0, 0], high)[:, :, None, None], tf.float32)


def half(m):
    return tf.cast(m > 0.5, tf.float32)


def quantile(m, area=0.2):
    """The `area` brightest pixels of each mask."""
    flat = tf.sort(tf.reshape(m, [-1, m.shape[1]*m.shape[2]]), 1)
    threshold = flat[:, int((1 - area)*(flat.shape[1] - 1))]
    return tf.cast(m > threshold[:, None, None, None], tf.float32)


SNAP_ROUNDS = 3
PRIOR = 0.02, 0.98       # a mask is never surer than this before the colours are looked at
SPREAD = 0.02            # least deviation of a colour, as a share of the range: noise and rounding
CUT_ROUNDS, CUT_SPREAD = 10, 0.05   # chosen on validation images that stand on clean white (docs/log.md)


def snap(m, x, rounds=SNAP_ROUNDS, spread=SPREAD):
    """Masks snapped to their images: which of two colour models each pixel is more likely from, {0, 1}.

    The object's colours are one Gaussian, the ground's another around a quadratic surface (a lit wall);
    expectation maximisation (Dempster et al. 1977), started from the masks, which also stay the prior.
    m: (n, h, w, 1) in [0, 1]; x: their images (n, h, w, c) in [0, 1].
    """
    n, (h, w, c) = tf.shape(x)[0], x.shape[1:]
    v, u = (tf.reshape(t, [-1]) for t in tf.meshgrid(tf.linspace(-1., 1., h), tf.linspace(-1., 1., w),
                                                     indexing='ij'))
    surface = tf.stack([tf.ones_like(u), u, v, u*u, u*v, v*v], 1)
    colours = tf.reshape(tf.cast(x, tf.float32), [n, h*w, c])
    prior = tf.clip_by_value(tf.reshape(tf.cast(m, tf.float32), [n, h*w]), *PRIOR)
    odds = tf.math.log(prior/(1 - prior))
    p = prior
    for _ in range(rounds):
        p = tf.sigmoid(odds + log_density(colours, p, surface[:, :1], spread)
                       - log_density(colours, 1 - p, surface, spread))
    return tf.cast(tf.reshape(p, [n, h, w, 1]) > 0.5, tf.float32)


def cut(m, x):
    """`snap` until the colours settle, and only what reaches the frame is ground: {0, 1}.

    For products of several colours, whose inside may be as white as the ground.
    """
    return 1 - flood(1 - snap(m, x, CUT_ROUNDS, CUT_SPREAD))


def log_density(colours, weights, terms, spread):
    """Log density of colours (n, p, c) under a Gaussian around their own weighted least-squares fit, (n, p).

    weights: (n, p); terms: (p, k), what the mean is a linear function of. Up to a constant.
    """
    weights = weights/tf.reduce_sum(weights, 1, keepdims=True) + 1e-9
    k, c = terms.shape[1], colours.shape[-1]
    weighted = weights[:, :, None]*terms                                          # (n, p, k)
    normal = tf.matmul(weighted, terms[None], transpose_a=True) + 1e-6*tf.eye(k)
    fit = tf.linalg.solve(normal, tf.matmul(weighted, colours, transpose_a=True))
    rest = colours - tf.matmul(terms[None], fit)
    covariance = tf.matmul(weights[:, :, None]*rest, rest, transpose_a=True) + spread**2*tf.eye(c)
    distance = tf.reduce_sum(tf.matmul(rest, tf.linalg.inv(covariance))*rest, -1)
    return -0.5*(distance + tf.linalg.logdet(covariance)[:, None])


BINARIZE = {'otsu': lambda m, x: otsu(m), '0.5': lambda m, x: half(m), 'quantile': lambda m, x: quantile(m),
            'snap': snap, 'cut': cut, 'none': lambda m, x: m}


def binarizer(name, area=0.2):
    """The named binarisation as a function of masks and their images."""
    return (lambda m, x: quantile(m, area)) if name == 'quantile' else BINARIZE[name]

"""Backgrounds: the composition, and the sources that training draws from.

Images are (n, h, w, c), masks (n, h, w, 1), all float32 in [0, 1]. A source is a callable (x, key) -> b.
"""
import math

from common import patterns, pools
from common.errors import UserError
from common.keys import Stream
from common.geometry import warp
from common.quiet import tf
from mydatagen import to_float

CONTRAST = 1., 20.       # of random thresholds: the slope of the sigmoid
TEXTURE_CELLS = 2., 32.  # cells across the image at the coarsest and the finest scale
PIECE_ZOOM = 2., 8.      # of pieces of images; from the square root of 2 on they lie inside however turned


def compose(x, m, b):
    """Object of x (m = 1) over background b; images (n, h, w, c), mask (n, h, w, 1), all in [0, 1]."""
    return m*x + (1 - m)*b


def border_colour(x, width=4):
    """Median of the outer pixels at top, left and right (the object may rest on the bottom). (n, 1, 1, c).

    The median, not the mean: clothes that touch the border would tint it, and then the classifier could read
    the filled object's silhouette as well as the object.
    """
    n, channels = tf.shape(x)[0], x.shape[-1]
    strips = [x[:, :width], x[:, width:, :width], x[:, width:, -width:]]
    pixels = tf.sort(tf.concat([tf.reshape(s, [n, -1, channels]) for s in strips], 1), 1)
    return pixels[:, tf.shape(pixels)[1]//2][:, None, None, :]


# Training sources: (x, key) -> b.

def black(x, key):
    return tf.zeros_like(x)


def noise(x, key):
    """Uniform in [0, 1], every pixel and channel by itself."""
    return key.uniform(tf.shape(x)[0], x.shape[1:])


def in_ratio(u, low, high):
    """u in [0, 1) -> from low to high, every ratio alike."""
    return low*(high/low)**u


def threshold(field, key):
    """Fields (n, h, w, c) -> backgrounds in [0, 1], whatever the scale of the field.

    Each field is brought to mean 0 and deviation 1, shifted by a normal threshold and squashed at a
    contrast between soft and hard: sparse, dense, plain, grey and black-and-white backgrounds all occur,
    and stay to occur.
    """
    mean, variance = tf.nn.moments(field, (1, 2), keepdims=True)
    n, c = tf.shape(field)[0], field.shape[-1]
    shift = key.fold(0).normal(n, (1, 1, c))
    contrast = in_ratio(key.fold(1).uniform(n, (1, 1, 1)), *CONTRAST)
    return tf.sigmoid(contrast*((field - mean)*tf.math.rsqrt(variance + 1e-6) - shift))


def tinted(b, key):
    """Colour backgrounds between two random colours of their own, (n, h, w, c) in [0, 1].

    Thresholded channels show pure and far colours alone; fields, walls and skin are pale and near to each
    other. So each image draws how saturated its two colours are and how much of the way between them it
    goes. A quarter stays as it is, and monochrome ones all do.
    """
    n, c = tf.shape(b)[0], b.shape[-1]
    if c == 1:
        return b
    u = key.fold(0).uniform(n, (3, 1, 1, 1))
    ends = key.fold(1).uniform(n, (2, 1, 1, c))
    grey = tf.reduce_mean(ends, -1, keepdims=True)
    ends = grey + u[:, :1]*(ends - grey)
    return tf.where(u[:, 1] < 0.25, b, ends[:, 0] + u[:, 2]*(ends[:, 1] - ends[:, 0])*b)


def textures(x, key):
    """Random textures; in colour two of them, one in blobs on the other, as ground and growth in a field."""
    if x.shape[-1] == 1:
        return texture(x, key)
    first, second = (tinted(texture(x, key.fold(i)), key.fold(10 + i)) for i in (0, 1))
    return tf.where(texture(x[..., :1], key.fold(2)) < 0.5, first, second)


def texture(x, key, max_stretch=4.):
    """Smooth random noise seen at a random scale, stretch, angle and contrast, each image its own.

    Uniform noise is magnified by a random affine map (and wraps around); with several channels they share
    the map and, in half of the images, the noise (grey), so that neither shape nor hue is tied to a class.
    """
    n, side, channels = tf.shape(x)[0], x.shape[1], x.shape[-1]
    u = key.fold(1).uniform(n, (6,))
    cells = in_ratio(u[:, 0], TEXTURE_CELLS[0], min(TEXTURE_CELLS[1], side))
    zoom = cells/side                                       # grid cells per pixel
    stretch = max_stretch**u[:, 1]
    angle = 2*math.pi*u[:, 2]
    a, b = zoom*tf.cos(angle), -zoom*tf.sin(angle)
    c, d = zoom/stretch*tf.sin(angle), zoom/stretch*tf.cos(angle)
    centre = (side - 1)/2
    x0, y0 = side*u[:, 3] - (a + b)*centre, side*u[:, 4] - (c + d)*centre
    field = warp(key.fold(2).uniform(n, (side, side, channels)), tf.stack([a, b, x0, c, d, y0], 1), 'wrap')
    if channels > 1:
        grey = (u[:, 5] < 0.5)[:, None, None, None]
        field = tf.where(grey, tf.repeat(field[..., :1], channels, -1), field)
    return threshold(field, key.fold(3))


def photographs(images):
    """Source of random crops, half of them mirrored. images: uint8 (k, H, W, c), H and W >= those of x."""
    pictures = tf.constant(images)
    _, height, width, channels = images.shape

    def real(x, key):
        n, (h, w) = tf.shape(x)[0], x.shape[1:3]
        if h > height or w > width or x.shape[-1] != channels:
            raise UserError(f'backgrounds of {width}x{height}x{channels} are too small for images of '
                            f'{w}x{h}x{x.shape[-1]}; give larger ones with --backgrounds')
        u = key.uniform(n, (3,))
        which = tf.cast(u[:, 0]*len(images), tf.int32)
        first = u[:, 1:]*[height - h + 1, width - w + 1]
        rows = tf.cast(first[:, :1], tf.int32) + tf.range(h)
        cols = tf.cast(first[:, 1:], tf.int32) + tf.range(w)
        cols = tf.where(key.fold(1).uniform(n, (1,)) < 0.5, cols[:, ::-1], cols)
        index = tf.stack([tf.broadcast_to(i, [n, h, w]) for i in
                          (which[:, None, None], rows[:, :, None], cols[:, None, :])], -1)
        return to_float(tf.gather_nd(pictures, index))
    return real


def pieces(images):
    """Source of enlarged, turned pieces of the training images, of every two drawn the one with more in it;
    half of them `tinted`. images: uint8 (k, h, w, c) as large as x.

    They have what photographs have and textures lack, edges and shading, and no photograph is asked for.
    """
    pictures = tf.constant(images)

    def piece(x, key):
        n, middle = tf.shape(x)[0], (x.shape[1] - 1)/2
        u = key.uniform(n, (5,))
        zoom = in_ratio(u[:, 0], *PIECE_ZOOM)
        a, b = tf.cos(2*math.pi*u[:, 1])/zoom, tf.sin(2*math.pi*u[:, 1])/zoom
        reach = middle*(abs(a) + abs(b))   # of the piece, from its centre
        col, row = (reach + 2*(middle - reach)*at for at in (u[:, 2], u[:, 3]))
        maps = tf.stack([a, -b, col - (a - b)*middle, b, a, row - (b + a)*middle], 1)
        found = tf.gather(pictures, tf.cast(u[:, 4]*len(pictures), tf.int32))
        return warp(to_float(found), maps, 'nearest')

    def fuller(x, key):
        two = [piece(x, key.fold(i)) for i in (0, 1)]
        more, less = (tf.math.reduce_variance(p, (1, 2, 3), keepdims=True) for p in two)
        b = tf.where(more > less, *two)
        return tf.where(key.fold(2).uniform(tf.shape(x)[0], (1, 1, 1)) < 0.5, b, tinted(b, key.fold(3)))
    return fuller


def patterns_source(side):
    """The six test patterns themselves, the upper bound where a set has no real photographs."""
    pictures = tf.constant([p(side)[..., None] for p in patterns.PATTERNS.values()], tf.float32)

    def six(x, key):
        return tf.gather(pictures, key.uniform(tf.shape(x)[0], (), 0, len(pictures), tf.int32))
    return six


# The adversary: the source that learns

def reverse(b, scale):
    """b itself forward, -scale times the gradient backward: the generator ascends on what f descends on."""
    return (1 + scale)*tf.stop_gradient(b) - scale*b


class Adversary:
    """f_b: a background generator, how its output becomes a background, and a pool of those it made before.

    head: `plain`, the sigmoid of its logits (the paper), or `threshold`, a random threshold and contrast.
    role: `trained`, or the controls `untrained` (its first random weights stay) and `redrawn` (new ones at
    every step). fresh: with a pool every fresh-th background is new, the others are remembered ones.
    """

    def __init__(self, net, head='threshold', role='trained', pool=0, fresh=1):
        self.net, self.head, self.role = net, head, role
        self.turns = fresh if pool else 1
        self.pool = None
        if self.turns > 1:
            self.pool = pools.empty(pool, net.output_shape[1:])

    @property
    def learns(self):
        return self.role == 'trained'

    def renew(self, key):
        """Begins anew with another generator; those that it has drawn stay remembered."""
        for v, weights in zip(self.net.trainable_variables, new_weights(self.net, key)):
            v.assign(weights)

    def draw(self, n, key):
        """(n, h, w, c) fresh backgrounds in [0, 1]."""
        z = key.normal(n, self.net.input_shape[1:])
        logits = redrawn(self.net, z, key.fold(3)) if self.role == 'redrawn' else self.net(z, training=True)
        if self.head == 'plain':
            return tf.sigmoid(logits)
        return tinted(threshold(logits, key.fold(1)), key.fold(2))

    def __call__(self, x, key):
        """A source like the others, for pictures."""
        return self.draw(len(x), key)

    def play(self, x, batch, key):
        """(backgrounds for x, the fresh ones among them) in a step whose batch has `batch` images.

        The gradient of the fresh ones is turned, so that the generator ascends.
        """
        fresh = self.draw(len(x[::self.turns]), key.fold(Stream.ADVERSARY))
        shown = reverse(fresh, batch/len(fresh)) if self.learns else tf.stop_gradient(fresh)
        sources = [lambda x, key: shown]
        if self.pool is not None:
            held = pools.remember(self.pool, fresh, key)
            sources += [pools.recall(self.pool, held)]*(self.turns - 1)
        return mixed(sources)(x, key.fold(Stream.POOL)), fresh


def new_weights(net, key):
    """Random ones for a generator, alike on all replicas: uniform (Glorot, Bengio 2010), biases 0."""
    weights = []
    for i, v in enumerate(net.trainable_variables):
        kernel = len(v.shape) == 4                       # (h, w, in, out)
        limit = (6/(v.shape[0]*v.shape[1]*(v.shape[2] + v.shape[3])))**0.5 if kernel else 0.
        weights.append(limit*tf.random.stateless_uniform(v.shape, key.fold(i).seed, -1., 1.))
    return weights


def redrawn(net, z, key):
    """net(z) with `new_weights`."""
    return net.stateless_call(new_weights(net, key), [], z, training=True)[0]


# Several sources

def mixed(sources):
    """One source out of several: the images of a batch take turns (a batch is in random order)."""
    def mix(x, key):
        parts = [source(x[i::len(sources)], key.fold(100 + i)) for i, source in enumerate(sources)]
        return interleave(parts, tf.shape(x)[0])
    return sources[0] if len(sources) == 1 else mix


def interleave(parts, n):
    """The inverse of x[0::k], x[1::k] ...: equal parts (up to one row) -> (n, ...)."""
    if len(parts) == 1:
        return parts[0]
    longest = -(-n//len(parts))
    padded = [tf.pad(p, [[0, longest - tf.shape(p)[0]]] + [[0, 0]]*(p.shape.rank - 1)) for p in parts]
    stacked = tf.stack(padded, 1)
    return tf.reshape(stacked, tf.concat([[longest*len(parts)], tf.shape(stacked)[2:]], 0))[:n]

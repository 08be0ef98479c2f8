"""The worst background of each image: ascent on its pixels, the limit of any generator of backgrounds.

Adversarial training (Madry et al. 2018) with the background in the place of a perturbation.
"""
from typing import NamedTuple

from common import cli, pools
from common.errors import UserError
from common.geometry import dilate
from common.quiet import tf


def slope(loss, b):
    """(the loss of each image (n,), its gradient (n, h, w, c)) at the backgrounds b.

    loss: backgrounds (n, h, w, c) in [0, 1] -> the loss of each image.
    """
    with tf.GradientTape() as tape:
        tape.watch(b)
        values = loss(b)
        value = tf.reduce_sum(values)   # no image knows of another: the gradient is each one's own
    return values, tape.gradient(value, b)


def moved(b, gradient, rate):
    """b after a step along the signs of the gradient, in [0, 1]. rate: of all, or (n, 1, 1, 1)."""
    return tf.clip_by_value(b + rate*tf.sign(gradient), 0., 1.)


def ascend(loss, b, rate, steps=1, free=1., falling=False):
    """b after so many steps, a number or (), without a gradient. loss: backgrounds -> the loss of each image.
    free: {0, 1}, the pixels that move. falling: the first step is of the rate, each later one less."""
    def step(i, b):
        _, gradient = slope(loss, b)
        part = 1. - tf.cast(i, tf.float32)/tf.cast(steps, tf.float32) if falling else 1.
        return i + 1, moved(b, free*gradient, rate*part)
    _, b = tf.while_loop(lambda i, _: i < steps, step, (0, b))
    return tf.stop_gradient(b)


def worst_of(loss, first, others):
    """For each image the background behind which its loss is highest, (n, h, w, c), of `first`, which is such
    a batch, and `others`, batches or single ones (h, w, c)."""
    worst, top = first, loss(first)
    for b in others:
        value = loss(b)
        worst, top = tf.where((value > top)[:, None, None, None], b, worst), tf.maximum(value, top)
    return worst


def worst_of_each(count, b, harm):
    """Of every `count` backgrounds in a row the one that harms most, (n/count, h, w, c). harm: (n,)."""
    groups = tf.reshape(harm, (-1, count))
    return tf.gather(b, tf.range(len(groups))*count + tf.argmax(groups, 1, tf.int32))


def add_arguments(group):
    """The options of the source `pixels`, for train3.py."""
    group.add_argument('--ascent-steps', type=cli.whole(1, 100), default=20, metavar='K',
                       help='of `pixels`, from random textures or remembered backgrounds')
    group.add_argument('--ascent-rate', type=cli.part, default=0.1, metavar='R', help='of one of these steps')
    group.add_argument('--ascent-rim', type=cli.whole(0, 16), default=0, metavar='R',
                       help='pixels around the masks that ascent leaves as they were drawn')
    group.add_argument('--ascent-dilate', type=cli.whole(0, 16), default=0, metavar='R',
                       help='pixels by which masks are grown more where `pixels` lays its backgrounds')
    group.add_argument('--ascent-warmup', type=cli.share, default=0., metavar='SHARE',
                       help='of the training, over which the steps of ascent grow from one to K')
    group.add_argument('--ascent-tries', type=cli.whole(1, 100), default=1, metavar='N',
                       help='remembered backgrounds that are tried for each image; the worst is the start')
    group.add_argument('--ascent-keep', type=cli.whole(1, 100), default=1, metavar='N',
                       help='of every N images of a batch the background that harms most is remembered, and '
                       'not mirrored')
    group.add_argument('--ascent-falling', action='store_true', help='the rate falls to 0 during an ascent')


class Steps(NamedTuple):
    """Of an ascent while f is trained."""
    count: int
    rate: float       # of each, of the range 0 to 1
    rim: int = 0      # pixels around the mask where the background stays as it starts
    warmup: int = 0   # steps of training over which they grow from one to all
    tries: int = 1    # remembered backgrounds, of which an ascent starts from the worst
    keep: int = 1     # of so many found backgrounds the worst is remembered
    falling: bool = False   # does the rate fall to 0?

    def at(self, step):
        """How many they are in a step of training, () int32."""
        if not self.warmup:
            return self.count
        return tf.cast(tf.minimum(1 + step*self.count//self.warmup, self.count), tf.int32)


class Ascent:
    """A source of backgrounds that looks at each image and takes `steps`, a Steps.

    With a pool every fresh-th image starts from `start`, (x, key) -> b, the others from what ascent had found
    behind other images in earlier steps, so that a few steps are enough. All of that is remembered and
    mirrored at random, or of every so many the worst, and shown as it is: strokes that turn a digit do so the
    right way up. Within a rim the background stays where it starts, because what is drawn there can make
    another object of this one. Warming up (curriculum adversarial training: Cai et al. 2018) is for networks
    that learn nothing but to guess when all steps come at once.
    """

    def __init__(self, start, steps, pool=None, fresh=1):
        self.start, self.steps = start, steps
        self.pool, self.turns = (pool, fresh) if fresh > 1 else (None, 1)

    @classmethod
    def of(cls, args, start, shape, training):
        """The one of train3.py's arguments, for images of that shape. training: its number of steps.

        Errors: UserError where one is to choose among remembered backgrounds and none are, or to keep the
        worst of so many and a device gets others.
        """
        warmup = round(args.ascent_warmup*training)
        steps = Steps(args.ascent_steps, args.ascent_rate, args.ascent_rim, warmup, args.ascent_tries,
                      args.ascent_keep, args.ascent_falling)
        found = cls(start, steps, pools.empty(args.pool, shape), args.fresh)
        if max(steps.tries, steps.keep) > 1 and found.pool is None:
            name = '--ascent-tries' if steps.tries > 1 else '--ascent-keep'
            raise UserError(f'{name} chooses among remembered backgrounds, but none are remembered; '
                            'leave it out, or give --pool 1 or more and --fresh 2 or more')
        parts = tf.distribute.get_strategy().num_replicas_in_sync*len(args.back)
        if steps.keep > 1 and args.batchsize % (parts*steps.keep):
            raise UserError(f'--ascent-keep {steps.keep} does not divide the {args.batchsize/parts:g} images '
                            'that ascent gets in a step on a device; give a divisor of that')
        return found

    @property
    def variables(self):
        """What it remembers, for checkpoints."""
        return [] if self.pool is None else [self.pool]

    def __call__(self, x, key):
        """Where the ascent starts, which needs no weights."""
        return self.start(x, key)

    def kept(self, b, loss):
        """What is remembered of the backgrounds b."""
        return b if self.steps.keep == 1 else worst_of_each(self.steps.keep, b, loss(b))

    def play(self, b, loss, key, m=None):
        """The backgrounds behind which the loss of each image is high. b: those of `start`; m: masks."""
        if self.pool is not None:
            size, count = self.pool.shape[0], key.parts*len(b)//self.steps.keep
            held = tf.maximum(tf.minimum(key.step*count, size), 1)
            places = key.part*len(b) + tf.range(len(b))   # in the global batch
            known = (key.step > 0) & (places % self.turns > 0)
            recall = pools.recall(self.pool, held, mirrored=self.steps.keep == 1)
            others = [recall(b, key.fold(i)) for i in range(2, self.steps.tries + 1)]   # it folds 1 itself
            b = tf.where(known[:, None, None, None], worst_of(loss, recall(b, key), others), b)
        free = 1 - dilate(m, self.steps.rim) if self.steps.rim else 1.
        b = ascend(loss, b, self.steps.rate, self.steps.at(key.step), free, self.steps.falling)
        if self.pool is not None:
            pools.remember(self.pool, self.kept(b, loss), key)
        return b

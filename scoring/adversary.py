"""Accuracy under attack: background generators trained against one frozen classifier, the strongest counts.

max over f_b of sum_i L(f(m_i x_i + (1 - m_i) b_i), y_i) with the true masks, x > 0 grown by the halo of the
tests. The attack is white box, but its generators never see the image that they are laid behind, and the
brightness of b is kept in 0.2 to 0.5 only as a mean over a batch (without it attacks turn plain white and
stay so). So what it leaves is an upper bound on robust accuracy, not the worst case: a background made for
each image, or a longer search, can only leave less.

L is the margin (Carlini and Wagner 2017) in the first restart, the cross-entropy in the second, and so on.
Cross-entropy has no gradient where a network is sure (it left 97 % of one trained on textures, MNIST).
There the margin is stronger, but noisy: it left 45, 71 and 86 % under three choices of steps and penalty.
Where a network is weak, cross-entropy is the stronger. Single numbers say little: compare over seeds.
"""
import math
from typing import NamedTuple

import numpy as np

import mybackgrounds
import mydatasets
import mymodels
from common.errors import UserError
from common.keys import Key, Stream
from common.quiet import keras, tf
from mydatagen import in_order, to_float

BRIGHTNESS = 0.2, 0.5    # of the backgrounds, mean over a batch
TOLERANCE = 0.05         # attackers further outside count only when there are no others
WEIGHT = 20.             # of the penalty outside
MARGIN = 10.             # the mean margin on plain images is brought to it: no scale of logits is a defence
ENOUGH = 2., 5.          # margin and cross-entropy of an image that is fooled for good
SELECTION = 2000         # training images, kept from the generators, on which the strongest is found
CHUNK = 50               # steps in one call of the graph
# what the keys of the attack (its attackers count from 0), of an attacker and of a step are folded with
ORDER, TEST = 31, 1 << 20         # which images are kept for the selection; backgrounds of the test images
WEIGHTS, STEPS, CHOICE = 0, 1, 2  # first weights; training; backgrounds of the selection
ROWS, NOISE = 0, 1                # images; backgrounds


class Effort(NamedTuple):
    """How hard the attack tries: len(rates)*restarts generators, each from new weights."""
    steps: int = 1000
    restarts: int = 2
    rates: tuple = (1e-4, 1e-3)   # of Adam
    batchsize: int = 64


USUAL = Effort()


class Attacker(NamedTuple):
    """A trained generator, draw(n, key) -> b (n, h, w, 1) in [0, 1], and how it did on the selection."""
    draw: object
    accuracy: float
    brightness: float
    rate: float
    objective: str      # margin or cross-entropy
    restart: int        # from 0


class Attack(NamedTuple):
    """What the strongest attacker left of the test images, and which one it was."""
    correct: int
    n: int
    brightness: float   # of its backgrounds in [0, 1], mean over the test images
    rate: float
    objective: str
    restart: int        # from 0

    def line(self):
        """It in words."""
        return (f'the strongest generator leaves {100*self.correct/self.n:.2f} % of {self.n:,} images '
                f'({self.objective}, rate {self.rate:g}, restart {self.restart + 1}; mean brightness of its '
                f'backgrounds {self.brightness:.3f})')


def new_generator(shape, key):
    """(network, draw): untrained, its weights a function of the key alone."""
    net = mymodels.generator(shape, tiles=2)
    seeds = key.uniform(len(net.trainable_variables), (), 0, 2**31 - 1, tf.int32).numpy()
    for v, seed in zip(net.trainable_variables, seeds):
        if len(v.shape) > 1:   # biases stay 0
            v.assign(keras.initializers.GlorotUniform(int(seed))(v.shape))

    def draw(n, key):
        return tf.sigmoid(net(key.normal(n, net.input_shape[1:]), training=True))
    return net, draw


def penalty(b):
    """How far the mean brightness lies outside BRIGHTNESS."""
    mean = tf.reduce_mean(b)
    return tf.nn.relu(BRIGHTNESS[0] - mean) + tf.nn.relu(mean - BRIGHTNESS[1])


def margin(logits, y):
    """Best logit of the other classes minus that of the true, (n,): above 0 an image is misclassified."""
    logits = tf.cast(logits, tf.float32)
    others = tf.where(tf.one_hot(y, logits.shape[1], True, False), -math.inf, logits)
    return tf.reduce_max(others, 1) - tf.gather(logits, y, batch_dims=1)


def scale_of(model, images):
    """Mean margin by which the model is right about plain images."""
    @tf.function(reduce_retracing=True)
    def total(batch):
        return tf.reduce_sum(tf.nn.relu(-margin(model(to_float(batch['x']), training=False), batch['y'])))
    return max(sum(float(total(b)) for b in in_order(images))/len(images), 1e-3)


def objectives(scale):
    """What attacks maximise, by name: (logits, y) -> (n,), bounded or they would outweigh the penalty."""
    return {'margin': lambda logits, y: tf.minimum(MARGIN*margin(logits, y)/scale, ENOUGH[0]),
            'cross-entropy': lambda logits, y: tf.minimum(tf.nn.sparse_softmax_cross_entropy_with_logits(
                y, tf.cast(logits, tf.float32)), ENOUGH[1])}


def train(model, images, fooled, rate, key, effort=USUAL):
    """The draw of a generator trained on `images` against the model, which is not changed.

    fooled: one of `objectives`.
    """
    net, draw = new_generator(images.x.shape[1:], key.fold(WEIGHTS))
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(net.trainable_variables)
    x_all, y_all = tf.constant(images.x), tf.constant(images.y, tf.int32)

    def step(key):
        rows = key.fold(ROWS).uniform(effort.batchsize, (), 0, len(images), tf.int32)
        x, y = to_float(tf.gather(x_all, rows)), tf.gather(y_all, rows)
        with tf.GradientTape() as tape:
            b = draw(effort.batchsize, key.fold(NOISE))
            logits = model(mybackgrounds.compose(x, mydatasets.true_mask(x), b), training=False)
            loss = WEIGHT*penalty(b) - tf.reduce_mean(fooled(logits, y))
        optimizer.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)

    @tf.function
    def run(first, n):
        for i in tf.range(n):
            step(key.fold(STEPS).fold(first + i))
    for first in range(0, effort.steps, CHUNK):
        run(tf.constant(first), tf.constant(min(CHUNK, effort.steps - first)))
    return draw


def measure(model, images, draw, key, batchsize=500):
    """(right answers, mean brightness of the backgrounds), every image on a background of its own."""
    @tf.function(reduce_retracing=True)
    def look(batch, number):
        x = to_float(batch['x'])
        b = draw(batchsize, key.fold(number))[:tf.shape(x)[0]]
        logits = model(mybackgrounds.compose(x, mydatasets.true_mask(x), b), training=False)
        right = tf.argmax(logits, 1, output_type=tf.int32) == batch['y']
        return tf.math.count_nonzero(right), tf.reduce_sum(tf.reduce_mean(b, (1, 2, 3)))
    found = [look(b, tf.constant(i)) for i, b in enumerate(in_order(images, batchsize))]
    return sum(int(r) for r, _ in found), sum(float(b) for _, b in found)/len(images)


def split(images, key, selection=SELECTION):
    """(images that generators train on, others of the training set on which the strongest is found)."""
    selection = min(selection, len(images)//4)
    order = np.argsort(key.fold(ORDER).uniform(len(images)).numpy(), kind='stable')
    return images.take(np.sort(order[selection:])), images.take(np.sort(order[:selection]))


def demand_monochrome(data):
    """Errors: UserError for a data set in colour."""
    if not data.monochrome:
        raise UserError('the attack needs masks x > 0, which say nothing in the colour images of '
                        f'{data.name}; leave out --adversarial, or attack of --tests')


def attackers(model, data, seed, effort=USUAL):
    """Every trained Attacker, the strongest (least accuracy on the selection) first. Errors: UserError."""
    demand_monochrome(data)
    key = Key.of(seed).fold(Stream.ATTACK)
    images, selection = split(data.train, key)
    found, wanted = [], list(objectives(scale_of(model, selection)).items())
    for rate in effort.rates:
        for restart in range(effort.restarts):
            mine = key.fold(len(found))
            objective, fooled = wanted[restart % len(wanted)]
            draw = train(model, images, fooled, rate, mine, effort)
            right, brightness = measure(model, selection, draw, mine.fold(CHOICE))
            found.append(Attacker(draw, right/len(selection), brightness, rate, objective, restart))
    low, high = BRIGHTNESS[0] - TOLERANCE, BRIGHTNESS[1] + TOLERANCE
    return sorted(found, key=lambda a: (not low <= a.brightness <= high, a.accuracy))


def attack(model, data, seed, effort=USUAL):
    """The Attack on the test images by the strongest attacker of the model.

    data: a monochrome mydatasets.Dataset. A pure function of model, data, seed and effort, up to the rounding
    of the processor. Errors: UserError for colour sets.
    """
    strongest = attackers(model, data, seed, effort)[0]
    images = next(iter(data.tests.values())).images()
    right, brightness = measure(model, images, strongest.draw, Key.of(seed).fold(Stream.ATTACK).fold(TEST))
    return Attack(right, len(images), brightness, strongest.rate, strongest.objective, strongest.restart)

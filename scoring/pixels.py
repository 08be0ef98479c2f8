"""Accuracy behind the worst background of each image that ascent on its pixels finds.

max over b of L(f(m_i x_i + (1 - m_i) b_i), y_i) for each image by itself, over every pixel outside the object
grown by the halo of the tests, b in [0, 1]: sign-gradient ascent (Madry et al. 2018) with a falling step,
from several starts and by two losses in turn (as AutoAttack combines them: Croce and Hein 2020). The last
starts are backgrounds that have turned other images. There every search has twice the steps of the one before
for half as many images, those nearest to being turned (successive halving: Jamieson and Talwalkar 2016), so
that it costs no more. An image counts as right only if it is right as it is and at every start and step of
every search. What is left is an upper bound on robust accuracy: a longer search, or another one, can only
leave less.
"""
import itertools
from typing import NamedTuple

import numpy as np

import mybackgrounds
import mydatasets
from common.keys import Key, Stream
from common.quiet import tf
from scoring.climbing import Climb, climber, judger, lender, LOSSES, spans
from scoring.objects import batches, known, Objects, side_by_side

IMAGES, PHOTOGRAPHS = 1000, 200   # searched: the first of a monochrome set, evenly spaced ones of photographs
STARTS = {'noise': mybackgrounds.noise, 'black': mybackgrounds.black, 'textures': mybackgrounds.textures}
OTHERS = 'others'   # later starts: what other images fell for, the most harmful to each of CANDIDATES
CANDIDATES = 100


class Effort(NamedTuple):
    """How hard is tried: a search from each of the starts."""
    steps: int = 100
    starts: tuple = (*STARTS, *[OTHERS]*5)
    draws: int = 1       # times that each search is made, every one from another draw

    @property
    def searches(self):
        """(loss, start, times) of each: times the steps, on one image in so many."""
        times = [2**self.starts[:i + 1].count(OTHERS) for i in range(len(self.starts))]
        once = zip(itertools.cycle(LOSSES), self.starts, times)
        return [search for search in once for _ in range(self.draws)]


USUAL = Effort()


class Found(NamedTuple):
    """What searches found out about Objects, as arrays of their rows."""
    plain: np.ndarray    # (n,) is the image right as it is?
    right: np.ndarray    # (n,) and in all searches?
    b: np.ndarray        # (n, h, w, c) in [0, 1]: what turned it, or came nearest to that
    left: dict           # {search: how many images are right after it and those before}


class Pixels(NamedTuple):
    """What ascent leaves of n images."""
    correct: int
    n: int
    plain: int           # right as they are
    left: dict           # {search: how many are right after it and those before}

    def line(self):
        """It in words."""
        steps = ', '.join(f'{name} {100*k/self.n:.1f}' for name, k in self.left.items())
        return (f'ascent leaves {100*self.correct/self.n:.2f} % of {self.n:,} images (as they are '
                f'{100*self.plain/self.n:.1f}; then {steps})')


def subjects(data, most=None):
    """The Objects that are searched, grown by the halo. most: images; None: IMAGES or PHOTOGRAPHS.

    Folders stand in the order of their classes, so of photographs every so many-th is taken.
    """
    images = known(data).images()
    count = min(len(images), most or (IMAGES if data.monochrome else PHOTOGRAPHS))
    rows = np.arange(count) if data.monochrome else np.linspace(0, len(images) - 1, count).astype(int)
    return Objects.of(images.take(rows), mydatasets.HALO)


def move_on(climb, objects, state, rows, looks):
    """Some rows of the objects climb on for `looks` looks. state: a Climb of arrays, which is changed."""
    def move(some, k):
        found = climb(objects.take(some), Climb(*(part[some] for part in state)), looks)
        for part, new in zip(state, found):
            part[some[:k]] = new.numpy()[:k]
    side_by_side(move, batches(rows, objects.batchsize))


def borrowed(lend, objects, turned, key):
    """(n, h, w, c) where `others` starts. turned: backgrounds that turned images, an array; noise where there
    are none yet."""
    if not len(turned):
        return mybackgrounds.noise(objects.x, key).numpy()
    candidates = tf.constant(turned[np.argsort(key.uniform(len(turned)).numpy())[:CANDIDATES]])
    return by_batches(objects, lambda some, rows: lend(some, candidates), objects.x.shape[1:])


def margins_of(judge, objects, b):
    """(n,) margins of the wrong classes behind backgrounds b, an array."""
    return by_batches(objects, lambda some, rows: judge(some, b[rows]))


def by_batches(objects, ask, shape=()):
    """(n, *shape) answers to ask(Objects, their rows), a batch at a time."""
    found = np.empty((len(objects.y), *shape), np.float32)

    def fill(rows, k):
        found[rows[:k]] = ask(objects.take(rows), rows).numpy()[:k]
    side_by_side(fill, batches(np.arange(len(found)), objects.batchsize))
    return found


def search(model, objects, key, effort=USUAL):
    """The Found of the searches of an effort, one after the other, each on images that are right so far.

    objects: their m is 1 on the pixels that stay as they are. A function of key and effort, up to rounding.
    """
    x, n, left = objects.x, len(objects.x), {}
    # in bfloat16 the first searches find as much as in float32, the long ones less (docs/log.md)
    climbs = {(name, rough): climber(model, loss, rough) for name, loss in LOSSES.items()
              for rough in (True, False)}
    lend, judge = lender(model), judger(model)
    whole, state = objects._replace(m=tf.ones_like(objects.m)), Climb.begin(x.numpy())   # no background
    move_on(next(iter(climbs.values())), whole, state, np.arange(n), np.int32(1))
    plain, right, worst = state.right, state.right.copy(), x.numpy().copy()
    near = np.full(n, -np.inf, np.float32)   # the margin of the wrong classes behind `worst`
    for number, (loss, start, times) in enumerate(effort.searches):
        rows, mine = np.flatnonzero(right), key.fold(number)
        rows = np.sort(rows[np.argsort(-near[rows], kind='stable')[:-(-n//times)]])
        some = objects.take(rows)
        if start == OTHERS:
            b = borrowed(lend, some, worst[plain & ~right], mine)
        else:
            b = STARTS[start](x, mine).numpy()[rows]
        state = Climb.begin(b)
        for looks in spans(times*effort.steps):
            move_on(climbs[loss, start != OTHERS], some, state, np.flatnonzero(state.right), looks)
        right[rows] = state.right
        margins = margins_of(judge, some, state.best)
        nearer = margins > near[rows]
        near[rows[nearer]], worst[rows[nearer]] = margins[nearer], state.best[nearer]
        left[f'{times*effort.steps:,} steps from {start} by {loss}'] = int(right.sum())
    return Found(plain, right, worst, left)


def pixels(model, data, seed):
    """The Pixels of a model. data: monochrome, or photographs with masks (others: UserError).

    A pure function of model, data and seed, up to the rounding of the processor.
    """
    found = search(model, subjects(data), Key.of(seed).fold(Stream.PIXELS))
    return Pixels(int(found.right.sum()), len(found.right), int(found.plain.sum()), found.left)

"""How much of a network's answers is the background: everything that audit.py measures of one network."""
from typing import NamedTuple

import numpy as np

import mydatasets
from common.keys import Key, Stream
from common.quiet import tf
from mydatagen import in_order, to_float
from scoring import challenge, evaluation, objects, occlusion, pixels, unseen

LOOKED = 40        # photographs, evenly spaced, that are covered patch by patch
COARSE = 16        # places of the patch along a side
SHOWN = 5          # that lean most on their background


class Looks(NamedTuple):
    """Where a network looks on some photographs of the test."""
    rows: np.ndarray     # (k,) of the test
    inside: np.ndarray   # (k,) share of the look inside the mask
    area: np.ndarray     # (k,) share of the image that the mask covers
    heat: np.ndarray     # (k, h, w) in [0, 1]

    def leaning(self):
        """Numbers of the SHOWN that lean most on their background, the first most: whose object gets the
        least of the look for its size. Photographs without a mask of anything come last."""
        share = np.where(self.area > 0, self.inside/np.maximum(self.area, 1e-9), np.inf)
        return np.argsort(share, kind='stable')[:SHOWN]


class Findings(NamedTuple):
    """What was measured, photograph by photograph."""
    subject: str             # name of the test whose objects are known
    images: object           # its Images, with masks
    right: dict              # {test: (n,) bool}
    answers: np.ndarray      # (n,) to the photographs of the subject as they are
    turned: np.ndarray       # (n,) number of the background of another class that turns it, -1: none
    further: np.ndarray      # of challenge
    looks: Looks
    worst: object = None     # pixels.Pixels


def with_masks(data, images=None):
    """The data set whose first test has masks (those of `images`, else its own) and stays the same object.

    Errors: UserError.
    """
    if images is None:
        name, test = mydatasets.with_truth(data)
        images = test.images()
    else:
        name = next(iter(data.tests))
    tests = {name: mydatasets.Test(lambda: images)}   # first: it is the one that scores find
    return data._replace(tests=tests | {k: t for k, t in data.tests.items() if k != name})


def examine(model, data, most=None, say=None):
    """The Findings on a data set of `with_masks`. most: images of the search for the worst background, None
    for none. say(text): called before each part. Errors: UserError."""
    say = say or (lambda text: None)
    subject, test = next(iter(data.tests.items()))
    images, right = test.images(), {}
    groups = {'the tests': lambda: data.tests, 'the Backgrounds Challenge': lambda: challenge.tests(data),
              'unseen backgrounds': lambda: unseen.tests(data)}
    for what, tests in groups.items():
        say(what)
        for name, one in tests().items():
            answers = evaluation.answers(model, one)
            right[name] = answers == one.images().y
            if name == subject:
                plain = answers
    say(f'{challenge.DRAWS} backgrounds of other classes')
    turned = challenge.turned(model, images)
    say('where it looks')
    some = np.linspace(0, len(images) - 1, min(LOOKED, len(images))).astype(int)
    found = Findings(subject, images, right, plain, turned, challenge.further(images),
                     looks(model, images, some))
    if most is None:
        return found
    say('the worst background of each image')
    some = pixels.subjects(data, most)
    search = pixels.search(model, some, Key.of(0).fold(Stream.PIXELS))
    worst = pixels.Pixels(int(search.right.sum()), len(search.right), int(search.plain.sum()), search.left)
    return found._replace(worst=worst)


def looks(model, images, rows):
    """The Looks at some rows, by covering patches (occlusion)."""
    some = objects.Objects.of(images.take(rows), 0)
    x, m = some.x.numpy(), some.m.numpy()[..., 0]
    side = x.shape[1]
    heat = occlusion.occlusion(model, x, stride=max(1, side//COARSE))
    inside = (heat*m).sum((1, 2))/np.maximum(heat.sum((1, 2)), 1e-9)
    return Looks(rows, inside, m.mean((1, 2)), heat)


def masked(images, mask):
    """The Images with masks of a function of images in [0, 1] -> (n, h, w, 1) in {0, 1}."""
    make = tf.function(lambda x: tf.cast(tf.round(255*mask(to_float(x))), tf.uint8), reduce_retracing=True)
    found = np.concatenate([make(batch['x']).numpy() for batch in in_order(images, 64)])
    return type(images)(images.x, images.y, found, images.read, images.shape)

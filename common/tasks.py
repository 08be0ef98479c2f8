"""What f is asked for: one of several classes, a number, or a mask. The one place that knows the task.

A task is a value that a data set brings, and that weights keep. It owns the outputs of the last layer, the
loss, what is counted while training, and the scores with their units; nobody else asks which task it is.
y: labels or targets (n,), or masks; outputs: of the network, (n, outputs) or masks; answers: what they say,
like y.
"""
import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from common.errors import UserError
from common.quiet import tf

CHANCE, KNOWN = 1.5, 0.5   # masks hide the object from f where it is right in less than CHANCE/classes, and
                           # surely do not from KNOWN on
BLIND, SURE = 2/3, 1/3     # the same for numbers, as shares of the error of always answering the mean
HUBER = 0.05               # deviations: smaller errors count squared. Nearly the absolute error: where small
                           # errors cost nothing, masks of phase 2 keep but the ends of objects (docs/log.md)
NATS = 3.                  # per deviation: not to know it costs about ln 10, as for ten classes, so that
                           # areas and brightness weigh beside it what they weigh beside a cross-entropy
EDGE = 1e-6                # pixels of a mask are never surer in the loss
GROUPS = 10                # ranges of a number, where classes are counted and shown
UNIT = 'value'             # of the numbers of a folder, whatever it is


class Score(NamedTuple):
    """A mean over test images, and which direction of it is good."""
    name: str
    unit: str              # `share`: in [0, 1]
    better: str            # more or less

    @property
    def meaning(self):
        """'mean absolute error (degrees), the less the better'."""
        others = f'share of answers with an error of at most {self.name.removeprefix("within-")}'
        what = {'iou': 'intersection over union with the true masks',
                'mae': 'mean absolute error'}.get(self.name, others)
        return f'{what} ({"%" if self.unit == "share" else self.unit}), the {self.better} the better'


def text(value, unit, digits=1):
    """A value of a score: shares in %, others in their own unit, with `digits` + 2 figures in all."""
    return f'{100*value:.{digits}f} %' if unit == 'share' else f'{value:#.{digits + 2}g}'.rstrip('.')


@dataclass(frozen=True)
class Classes:
    """One of several names. y: int32 (n,); outputs: logits (n, classes)."""
    names: tuple = ()

    kind = 'classifier'    # of its network
    dtype = tf.int32       # of y
    loss_name, measure_name = 'ce', 'accuracy'
    validation = 'val_accuracy', 'val_shapes', 'val_masked'
    scores = Score('accuracy', 'share', 'more'),
    rotates = mirrors = True   # may augmentation?
    saved = {}             # noqa: RUF012  what sidecars say of it beside the names
    constant = None        # the answer of those who do not look, if that tells anything

    @property
    def outputs(self):
        """Of the last layer, how many."""
        return len(self.names)

    def __str__(self):
        return f'{len(self.names)} classes'

    def loss(self, y, outputs):
        """Cross-entropy of each image, (n,)."""
        return tf.nn.sparse_softmax_cross_entropy_with_logits(y, tf.cast(outputs, tf.float32))

    def answers(self, outputs):
        return tf.argmax(outputs, 1, output_type=tf.int32)

    def measure(self, y, answers):
        """1 where an answer is right, else 0, (n,)."""
        return tf.cast(answers == y, tf.float32)

    def sums(self, y, answers):
        """{name of a score: its sum over the images}."""
        return {'accuracy': tf.reduce_sum(self.measure(y, answers))}

    def right(self, y, answers):
        """(n,) bool."""
        return np.equal(y, answers)

    def words(self, y):
        return [self.names[k] for k in y]

    def cells(self, outputs):
        """What is told of each image: [{class, confidence}]."""
        shares = tf.nn.softmax(tf.cast(outputs, tf.float32)).numpy()
        return [{'class': self.names[k], 'confidence': round(float(p[k]), 6)}
                for k, p in zip(shares.argmax(1), shares)]

    def groups(self, y):
        """{name: rows of it}."""
        return {name: np.flatnonzero(y == k) for k, name in enumerate(self.names)}

    def moved(self, y, angle, side):
        return y

    def target(self, y, mask):
        """What f is to answer where the label is y and the object's mask is mask()."""
        return y

    def spec(self, shape):
        """tf.TensorSpec of y. shape: of the images."""
        return tf.TensorSpec([None], self.dtype)

    def known(self, measure):
        """Does a classifier of that accuracy see the object?"""
        return measure >= KNOWN

    def hidden(self, measure):
        """In words, why a classifier of that accuracy does not see the object; None when it does."""
        if measure >= CHANCE/len(self.names):
            return None
        return f'the accuracy of f(m x) is {100*measure:.1f} %, which is chance'


@dataclass(frozen=True)
class Number:
    """A number in a unit of its own. y: float32 (n,) in that unit; outputs: standardised, (n, 1)."""
    unit: str
    mean: float            # of the targets in training, by which they are standardised
    deviation: float
    spread: float          # mean absolute distance from the mean: the error of always answering it
    low: float             # the least and the largest target
    high: float
    tolerance: float       # an answer counts as right within it
    turned: bool = False   # is it the angle by which the image was turned, counter-clockwise, in degrees?

    kind = 'regressor'
    dtype = tf.float32
    outputs = 1
    loss_name, measure_name = 'huber', 'error'
    validation = 'val_error', 'val_shapes_error', 'val_masked_error'
    names = ()

    @classmethod
    def of(cls, y, where, unit=UNIT):
        """The task of telling numbers like y, which are from `where`. Errors: UserError if all are equal."""
        y = np.asarray(y, np.float64)
        mean, low, high = float(y.mean()), float(y.min()), float(y.max())
        if high - low <= 1e-5*max(abs(low), abs(high)):   # all that float32 could tell apart
            raise UserError(f'{where}: all numbers are the same, so there is nothing to learn; give others')
        tolerance = float(f'{(high - low)/GROUPS:.2g}')
        return cls(unit, mean, float(y.std()), float(np.abs(y - mean).mean()), low, high, tolerance)

    @classmethod
    def angle(cls, most, tolerance):
        """The task of telling by how many degrees, uniform between -most and most, an image was turned."""
        return cls('degrees', 0., most/math.sqrt(3), most/2, -most, most, tolerance, turned=True)

    @classmethod
    def read(cls, found):
        """That of a sidecar's field, which may be a stranger's. Errors: ValueError."""
        fields = {f.name: f.type for f in dataclasses.fields(cls)}
        if not isinstance(found, dict) or set(found) != set(fields):
            raise ValueError('other fields')
        for name, kind in fields.items():
            if type(found[name]) not in ((int, float) if kind is float else (kind,)):
                raise ValueError(f'{name} is no {kind.__name__}')
            if kind is float and not abs(found[name]) < 1e30:
                raise ValueError(f'{name} is not finite')
        if not 1 <= len(found['unit']) <= 100 or not found['unit'].isprintable():
            raise ValueError('unit is no short text')
        if not found['deviation'] > 0 < found['tolerance'] or not found['low'] < found['high']:
            raise ValueError('no range')
        return cls(**found)

    @property
    def saved(self):
        return {'task': dataclasses.asdict(self)}

    @property
    def scores(self):
        return (Score('mae', self.unit, 'less'), Score(f'within-{self.tolerance:g}', 'share', 'more'))

    @property
    def rotates(self):
        return self.turned

    mirrors = rotates      # what a gauge shows is another number in a mirror

    @property
    def constant(self):
        """The answer of those who do not look: the middle of the angles, or the mean."""
        return 0. if self.turned else self.mean

    def __str__(self):
        return f'a number from {self.low:g} to {self.high:g} ({self.unit})'

    def loss(self, y, outputs):
        """Huber's loss (1964) of each image, (n,), in NATS a deviation: of outliers the absolute error."""
        error = tf.abs(tf.cast(outputs, tf.float32)[:, 0] - self.standardised(y))
        return NATS*tf.where(error < HUBER, tf.square(error)/(2*HUBER), error - HUBER/2)

    def standardised(self, y):
        return (y - self.mean)/self.deviation

    def answers(self, outputs):
        """In the unit."""
        return tf.cast(outputs, tf.float32)[:, 0]*self.deviation + self.mean

    def measure(self, y, answers):
        """Absolute error in the unit, (n,)."""
        return tf.abs(answers - y)

    def sums(self, y, answers):
        error, (mae, within) = self.measure(y, answers), self.scores
        return {mae.name: tf.reduce_sum(error),
                within.name: tf.reduce_sum(tf.cast(error <= self.tolerance, tf.float32))}

    def right(self, y, answers):
        return np.abs(np.asarray(answers) - np.asarray(y)) <= self.tolerance

    def words(self, y):
        return [f'{v:.3g}' for v in np.asarray(y, float)]

    def cells(self, outputs):
        """What is told of each image: [{value, unit}]."""
        return [{'value': float(f'{v:.6g}'), 'unit': self.unit} for v in self.answers(outputs).numpy()]

    def groups(self, y):
        """By ranges of equal length, the first and the last open."""
        ends = np.linspace(self.low, self.high, GROUPS + 1)
        which = np.digitize(y, ends[1:-1])
        return {f'{a:.3g} to {b:.3g}': np.flatnonzero(which == k)
                for k, (a, b) in enumerate(zip(ends, ends[1:]))}

    def moved(self, y, angle, side):
        """y of images that were turned by `angle` (radians) more and, where `side` is -1, then mirrored."""
        return side*(y + angle*(180/math.pi)) if self.turned else y

    target, spec = Classes.target, Classes.spec

    def known(self, measure):
        return measure <= SURE*self.spread

    def hidden(self, measure):
        if measure <= BLIND*self.spread:
            return None
        return (f'the error of f(m x) is {measure:.3g} ({self.unit}), hardly less than that of always '
                f'answering {self.constant:.3g}')


@dataclass(frozen=True)
class Mask:
    """Which pixels the object has. y: {0, 1} (n, h, w, 1); outputs: masks in [0, 1], (n, h, w, 1)."""
    kind = 'segmenter'
    loss_name, measure_name = 'mask_loss', 'iou'
    validation = 'val_iou', 'val_shapes_iou', 'val_masked_iou'
    scores = Score('iou', 'share', 'more'),
    rotates = mirrors = True
    saved = {}             # noqa: RUF012
    names, constant = (), None
    moved = Classes.moved

    def __str__(self):
        return 'masks'

    def target(self, y, mask):
        return mask()

    def spec(self, shape):
        return tf.TensorSpec([None, *shape[:2], 1])

    def loss(self, y, outputs):
        """Cross-entropy of the pixels plus 1 - Dice (Milletari et al. 2016), of each image, (n,)."""
        p = tf.clip_by_value(tf.cast(outputs, tf.float32), EDGE, 1 - EDGE)
        cross = -tf.reduce_mean(y*tf.math.log(p) + (1 - y)*tf.math.log(1 - p), (1, 2, 3))
        both, all_of_it = (tf.reduce_sum(v, (1, 2, 3)) for v in (y*p, y + p))
        return cross + 1 - 2*both/all_of_it

    def answers(self, outputs):
        return tf.cast(outputs > 0.5, tf.float32)

    def measure(self, y, answers):
        """Intersection over union of each image, (n,); nothing found where nothing is counts as 1."""
        both, either = (tf.reduce_sum(v, (1, 2, 3)) for v in (y*answers, tf.maximum(y, answers)))
        return tf.where(either > 0, tf.math.divide_no_nan(both, either), 1.)

    def sums(self, y, answers):
        return {'iou': tf.reduce_sum(self.measure(y, answers))}


def of(task):
    """A task as it is; a whole number stands for that many classes."""
    return Classes(tuple(map(str, range(task)))) if isinstance(task, int) else task


ANY_CLASSES, MASK = Classes(), Mask()   # classes whose names do not matter; masks

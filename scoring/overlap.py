"""Masks against the true ones: IoU, Dice and area."""
from typing import NamedTuple

import mybackgrounds
from common import binarization
from common.quiet import tf
from mydatagen import to_float
from scoring.evaluation import BATCH
from scoring.rows import row_dataset, row_method

RAW = 'raw-otsu'          # method of the rows of the baseline
FIELDS = 'iou', 'dice', 'area', 'true_area'


def raw_otsu(x):
    """Otsu's threshold (1979) on the grey pixels; the object is what the border is not.

    x: (n, h, w, c) in [0, 1] -> (n, h, w, 1) in {0, 1}.
    """
    grey = tf.reduce_mean(x, -1, keepdims=True)
    m = binarization.otsu(grey)
    return tf.where(mybackgrounds.border_colour(m) > 0.5, 1 - m, m)


def truth(batch):
    """True masks (n, h, w, 1) in {0, 1} of a batch of a mydatasets.Test: its own, or x > 0."""
    if 'm' in batch:
        return tf.round(to_float(batch['m']))
    return tf.cast(batch['x'] > 0, tf.float32)


def overlap(m, t):
    """{iou, dice, area, true_area} of each image, (n,); soft masks count in part. m, t: (n, h, w, 1)."""
    both, mine, true = (tf.reduce_sum(v, (1, 2, 3)) for v in (m*t, m, t))
    empty = tf.cast(mine + true == 0, tf.float32)   # nothing found where nothing is: perfect
    pixels = float(t.shape[1]*t.shape[2])
    return {'iou': tf.math.divide_no_nan(both, mine + true - both) + empty,
            'dice': tf.math.divide_no_nan(2*both, mine + true) + empty,
            'area': mine/pixels, 'true_area': true/pixels}


def scores(mask, test, batchsize=BATCH):
    """{n, iou, dice, area, true_area}: means over a Test's images. mask: x (n, h, w, c) -> (n, h, w, 1)."""
    @tf.function(reduce_retracing=True)
    def total(batch):
        return {k: tf.reduce_sum(v) for k, v in overlap(mask(batch['x']), truth(batch)).items()}
    n, sums = len(test.images()), dict.fromkeys(FIELDS, 0.)
    for batch in test.batches(batchsize):
        for k, v in total(batch).items():
            sums[k] += float(v)
    return {'n': n, **{k: round(v/n, 6) for k, v in sums.items()}}


def masks(unet, binarize='otsu', area=0.2):
    """x (n, h, w, c) in [0, 1] -> binarised masks (n, h, w, 1). area: for `quantile`."""
    binarizer = binarization.binarizer(binarize, area)
    return lambda x: binarizer(unet(x, training=False), x)


class MaskExam(NamedTuple):
    """What every mask generator is asked."""
    data: object               # mydatasets.Dataset, for the name of the rows
    test: object               # mydatasets.Test whose true masks are known
    binarize: str = 'otsu'     # of common.binarization
    area: float = 0.2          # for `quantile`
    method: str | None = None  # of the row; None: what the sidecar and `binarize` say
    batchsize: int = BATCH

    def row(self, mask, method, about):
        """One row for rowfile.append. mask: x -> (n, h, w, 1)."""
        return {'dataset': row_dataset(self.data.name), 'method': method, 'seed': about.get('seed', 0),
                **scores(mask, self.test, self.batchsize), 'settings': about.get('settings', '')}


def unet_row(unet, about, exam):
    """The row of a U-Net's binarised masks. Call it in `precision`. about: its sidecar."""
    method = exam.method or f'{row_method(about, exam.data.name)}-{exam.binarize}'
    return exam.row(masks(unet, exam.binarize, exam.area), method, about)


def raw_row(exam):
    """The row of Otsu on the raw pixels, which is the same for every U-Net."""
    return exam.row(raw_otsu, RAW, {})

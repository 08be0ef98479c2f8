"""Masks against the true ones: IoU, Dice and area."""
import mybackgrounds
from common import binarization
from common.quiet import tf
from mydatagen import to_float
from scoring.evaluation import BATCH, row_dataset, row_method

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


def mask_row(dataset, method, seed, settings, found):
    """One row for rowfile.append. found: of `scores`."""
    return {'dataset': row_dataset(dataset), 'method': method, 'seed': seed, **found,
            'settings': settings}


def unet_row(unet, about, data, test, binarize='otsu', area=0.2, method=None, batchsize=BATCH):
    """The row of a U-Net's binarised masks. Call it in `precision`."""
    binarizer = binarization.binarizer(binarize, area)
    found = scores(lambda x: binarizer(unet(x, training=False), x), test, batchsize)
    name = method or f'{row_method(about, data.name)}-{binarize}'
    return mask_row(data.name, name, about.get('seed', 0), about.get('settings', ''), found)


def raw_row(data, test, batchsize=BATCH):
    """The row of Otsu on the raw pixels, which is the same for every U-Net."""
    return mask_row(data.name, RAW, 0, '', scores(raw_otsu, test, batchsize))

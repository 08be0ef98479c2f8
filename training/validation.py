"""Validation: images held out of the training set, plain and on shapes neither trained on nor tested."""
import math

import numpy as np

import mybackgrounds
import mydatasets
from common.keys import Key, Stream
from common.quiet import tf
from mydatagen import in_order, to_float

def validation_shapes(x, key, count=12):
    """The validation family, never trained on: random ellipses, rectangles and lines on a plain ground,
    grey or coloured in half of the images, black and white in the others."""
    n, side, channels = tf.shape(x)[0], x.shape[1], x.shape[-1]
    grid = tf.cast(tf.range(side), tf.float32)
    b = tf.ones_like(x)*key.fold(0).uniform(n, (1, 1, channels))
    for i in tf.range(count):   # traced once
        u = key.fold(1 + i).uniform(n, (6, 1, 1))
        angle = math.pi*u[:, 2]
        dx, dy = grid[None, None, :] - side*u[:, 0], grid[None, :, None] - side*u[:, 1]
        along, across = dx*tf.cos(angle) + dy*tf.sin(angle), dy*tf.cos(angle) - dx*tf.sin(angle)
        long, wide = side*(0.05 + 0.2*u[:, 3]), side*(0.05 + 0.2*u[:, 4])
        shapes = (tf.square(along/long) + tf.square(across/wide) < 1,
                  (abs(along) < long) & (abs(across) < wide),
                  abs(across) < 1)
        kind = tf.cast(3*u[:, 5], tf.int32)
        inside = tf.where(kind == 0, shapes[0], tf.where(kind == 1, shapes[1], shapes[2]))[..., None]
        b = tf.where(inside, key.fold(50 + i).uniform(n, (1, 1, channels)), b)
    return tf.where(key.fold(100).uniform(n, (1, 1, 1)) < 0.5, tf.round(b), b)


def validator(model, data, mask=None, own=None, seed=0):
    """() -> {'val_accuracy', 'val_shapes'}, or what else the task of f measures. mask: image -> object mask;
    without it x > 0 grown by the halo serves monochrome sets, and colour sets are judged on plain images
    alone. own: image -> the mask that f is to answer with, if it is; None: those of the set."""
    if mask is None and data.monochrome:
        mask = mydatasets.true_mask
    task, (plain, shapes, _) = model.task, model.task.validation
    images, kept = data.validation, not isinstance(data.validation.x, list)
    drawn = []   # batches on shapes, the same at every validation, as long as there is memory for them

    @tf.function(reduce_retracing=True)
    def on_shapes(x, number):
        x = to_float(x)
        b = validation_shapes(x, Key.of(seed, number).fold(Stream.VALIDATION))
        return tf.cast(tf.round(255*mybackgrounds.compose(x, mask(x), b)), tf.uint8)

    @tf.function(reduce_retracing=True)
    def total(x, y):
        return tf.reduce_sum(task.measure(y, task.answers(model(to_float(x)))))

    @tf.function(reduce_retracing=True)
    def masks(batch):
        return tf.round(own(to_float(batch['x'])) if own else to_float(batch['m']))

    def validate():
        sums = {plain: 0.}
        if mask is not None:
            sums[shapes] = 0.
        for number, batch in enumerate(in_order(images)):
            y = task.target(batch['y'], lambda batch=batch: masks(batch))
            sums[plain] += float(total(batch['x'], y))
            if mask is None:
                continue
            z = drawn[number] if number < len(drawn) else on_shapes(batch['x'], tf.constant(number))
            if kept and number == len(drawn):
                drawn.append(z)
            sums[shapes] += float(total(z, y))
        return {k: v/len(images) for k, v in sums.items()}
    return validate


def mask_validator(unet, classifier, images, binarize, fill, most=2000):
    """() -> {'val_area': of the binarised masks, 'val_masked': accuracy of f(m x)} on `most` images, the
    second by the name and measure of its task.

    binarize: (m, x) -> m; fill: x -> the colour where the mask removes.
    """
    images, task = images.take(np.arange(len(images))[:most]), classifier.task

    @tf.function(reduce_retracing=True)
    def look(batch):
        x = to_float(batch['x'])
        m = binarize(unet(x), x)
        z = mybackgrounds.compose(x, m, fill(x))
        measured = task.measure(batch['y'], task.answers(classifier(z)))
        return tf.reduce_sum(tf.reduce_mean(m, (1, 2, 3))), tf.reduce_sum(measured)

    def validate():
        area, measured = np.sum([[float(v) for v in look(b)] for b in in_order(images)], 0)/len(images)
        return {'val_area': float(area), task.validation[-1]: float(measured)}
    return validate

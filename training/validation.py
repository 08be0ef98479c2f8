"""Validation: images held out of the training set, plain and on shapes neither trained on nor tested."""
import mybackgrounds
import mydatasets
from common.keys import Key
from common.quiet import tf
from mydatagen import in_order, to_float

# Validation: images held out of the training set, plain and before shapes neither trained on nor tested

def validator(model, data, mask=None, seed=0):
    """() -> {'val_accuracy', 'val_shapes'}. mask: image -> object mask; without it x > 0 grown by the halo
    serves monochrome sets, and colour sets are judged on plain images alone."""
    if mask is None and data.monochrome:
        mask = mydatasets.true_mask
    images, kept = data.validation, not isinstance(data.validation.x, list)
    drawn = []   # batches before shapes, the same at every validation, as long as there is memory for them

    @tf.function(reduce_retracing=True)
    def before_shapes(x, number):
        x = to_float(x)
        b = mybackgrounds.validation_shapes(x, Key.of(seed, number).fold(77))
        return tf.cast(tf.round(255*mybackgrounds.compose(x, mask(x), b)), tf.uint8)

    @tf.function(reduce_retracing=True)
    def correct(x, y):
        return tf.reduce_sum(tf.cast(tf.argmax(model(to_float(x)), 1, output_type=tf.int32) == y, tf.int32))

    def validate():
        total = dict.fromkeys(['val_accuracy'] + ['val_shapes']*(mask is not None), 0)
        for number, batch in enumerate(in_order(images)):
            total['val_accuracy'] += int(correct(batch['x'], batch['y']))
            if mask is not None:
                z = drawn[number] if number < len(drawn) else before_shapes(batch['x'], tf.constant(number))
                total['val_shapes'] += int(correct(z, batch['y']))
                drawn.extend([z]*(kept and number == len(drawn)))
        return {k: v/len(images) for k, v in total.items()}
    return validate

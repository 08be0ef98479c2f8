"""Networks that somebody else made: what they want of an image, and their answer as logits.

A Keras file becomes a Keras model that can be trained; a SavedModel a function that can be asked.
"""
import os
from typing import NamedTuple

from common.errors import brief, UserError
from common.files import printable
from common.quiet import keras, tf
from keras import layers, ops
from readers import kerasfiles, savedmodels

BGR_MEAN = 103.939, 116.779, 123.68   # ImageNet, 0..255 (VGG's release)
TORCH_MEAN, TORCH_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)   # ImageNet, 0..1
TINY = 1e-30               # of a probability whose logarithm is taken
MAX_SIDE = 1024            # pixels
OUTPUTS = 'logits', 'probabilities'


# Inputs: images in [0, 1] -> what a network was trained on; of Keras' own parts, so that exported files load
# where this module is not

def _caffe():
    scale = layers.Rescaling(255., [-m for m in BGR_MEAN])
    return lambda x: scale(ops.flip(x, -1))


INPUTS = {'0..1': lambda: lambda x: x,
          '0..255': lambda: layers.Rescaling(255.),
          '-1..1': lambda: layers.Rescaling(2., -1.),
          'caffe': _caffe,                                   # BGR minus the mean of ImageNet
          'torch': lambda: layers.Normalization(mean=TORCH_MEAN, variance=[d**2 for d in TORCH_DEVIATION])}


class How(NamedTuple):
    """How a network wants its images, and what its outputs mean."""
    input: str                  # of INPUTS
    output: str = OUTPUTS[0]    # logits, or probabilities: then their logarithm is taken
    order: tuple | None = None  # number of the output of each class; None: as they come


class Foreign(NamedTuple):
    """A network as it was read. Its answers are logits wherever its last layer let that be seen."""
    path: str
    format: str                 # keras, h5 or savedmodel
    net: object                 # Keras model, or function of images
    side: int | None            # of its images; None: any
    outputs: int                # 1: one number between two classes
    logits: bool                # are its answers known to be logits?
    architecture: dict | None   # Keras' own JSON, of the network as it was saved


def read(path):
    """The Foreign of a file or folder. Errors: UserError, one line."""
    path = os.path.normpath(path)
    name, ending = printable(path), os.path.splitext(path)[1]
    if os.path.isdir(path):
        net, image, answer = savedmodels.read(path)
        if image.dtype != tf.float32:
            raise UserError(f'{name} takes numbers of {image.dtype.name}, needed is float32; export it so')
        side, outputs = _side(image.shape, image.dtype, name), _outputs(answer, name)
        return Foreign(path, 'savedmodel', net, side, outputs, False, None)
    if ending not in kerasfiles.FORMATS:
        raise UserError(f'{name} is neither weights of this project nor .keras, .h5 or a SavedModel; check '
                        'the path')
    model, architecture = kerasfiles.read(path)
    side, outputs = _checked(model, name)
    opened, logits = as_logits(model)
    return Foreign(path, kerasfiles.FORMATS[ending], opened, side, outputs, logits, architecture)


def _checked(model, name):
    """(side, number of outputs) of a Keras model."""
    if not getattr(model, 'inputs', None) or not model.outputs:
        raise UserError(f'{name} does not say the shape of its images; save it after its first prediction')
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UserError(f'{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs, needed is '
                        'one of each; give a network that takes an image and answers with its classes')
    return (_side(model.inputs[0].shape, model.inputs[0].dtype, name), _outputs(model.outputs[0].shape, name))


def _side(shape, dtype, name):
    """Of the images of a network's input, None for any. Errors: UserError."""
    shape = tuple(shape) if tf.TensorShape(shape).rank is not None else ()
    shown = 'x'.join('?' if s is None else str(s) for s in shape[1:]) or 'anything'
    if len(shape) == 4 and shape[1] == 3 != shape[3]:
        raise UserError(f'{name} wants its channels first ({shown}); save it with channels last')
    if len(shape) != 4 or shape[3] != 3 or not tf.as_dtype(dtype).is_floating:
        raise UserError(f'{name} takes {shown} of {tf.as_dtype(dtype).name}, needed are photographs, '
                        'height x width x 3 of float32; give a network of photographs in colour')
    if shape[0] is not None:
        raise UserError(f'{name} takes {shape[0]} images at a time; save it with a batch of any size (None)')
    if shape[1] != shape[2] or shape[1] is not None and not 8 <= shape[1] <= MAX_SIDE:
        raise UserError(f'{name} takes images of {shown}; needed are square ones of 8 to {MAX_SIDE} pixels')
    return shape[1]


def _outputs(shape, name):
    shape = tuple(shape) if tf.TensorShape(shape).rank is not None else ()
    if len(shape) != 2 or not shape[1]:
        raise UserError(f'{name} answers with {"x".join(map(str, shape[1:])) or "anything"} an image, needed '
                        'is a number for each class; give a classifier')
    return shape[1]


# Outputs

def as_logits(model):
    """(the model without the softmax or sigmoid at its end, whether it had one): the logarithm of a
    probability that rounds to 0 or 1 has no gradient."""
    last = model.outputs[0]._keras_history.operation
    if isinstance(last, keras.Model):
        inside, logits = as_logits(last)
        return model, logits and inside is last   # changed in place; other ends are told by their values
    if getattr(last, 'activation', None) in (keras.activations.softmax, keras.activations.sigmoid):
        last.activation = keras.activations.linear
        return model, True
    if isinstance(last, layers.Softmax) or type(last).__module__ == 'keras.src.ops.nn' \
            and type(last).__name__ in ('Softmax', 'Sigmoid'):
        return keras.Model(model.inputs, last.input), True
    return model, False


def look_like_probabilities(values):
    """Outputs (n, k) of a network on photographs: are they probabilities already?"""
    inside = bool(tf.reduce_all((values >= 0) & (values <= 1)))
    sums = tf.reduce_sum(values, 1)
    return inside and (values.shape[1] == 1 or float(tf.reduce_max(abs(sums - 1))) < 1e-3)


def _head(y, how):
    """Outputs -> logits of the classes in their order."""
    y = ops.cast(y, 'float32')
    if how.output == 'probabilities':
        other = ops.log(ops.maximum(1 - y, TINY)) if y.shape[-1] == 1 else 0.
        y = ops.log(ops.maximum(y, TINY)) - other
    if y.shape[-1] == 1:   # of the second class, against nothing
        y = ops.concatenate([ops.zeros_like(y), y], -1)
    return y if how.order is None else ops.take(y, list(how.order), -1)


class Network:
    """A function of images that scores take in the place of a Keras classifier: [0, 1] -> logits."""
    trainable = False

    def __init__(self, run, side, classes):
        self.run, self.input_shape, self.output_shape = run, (None, side, side, 3), (None, classes)

    def __call__(self, x, training=False):
        return tf.ensure_shape(self.run(x), self.output_shape)


def network(foreign, side, how):
    """The classifier of images (n, side, side, 3) in [0, 1]: a Keras model, or of a SavedModel a Network.

    Errors: UserError where it does not take that side.
    """
    if foreign.format != 'savedmodel':
        return built(foreign.net, side, how, printable(foreign.path))
    prepare = INPUTS[how.input]()
    return Network(lambda x: _head(foreign.net(prepare(x)), how), side, max(2, foreign.outputs))


def built(net, side, how, name):
    """A Keras model around another, with its convention inside. What depends on batches stays as it is."""
    images = keras.Input((side, side, 3), name='image')
    try:
        answer = net(INPUTS[how.input]()(images), training=False)
    except Exception as e:   # layers raise whatever they raise
        raise UserError(f'{name} does not take images of {side} pixels ({brief(e)}); use another '
                        '--size') from e
    return keras.Model(images, _head(answer, how), name='classifier')


# As weights of this project

def imported(shape, settings, name, room):
    """The classifier of a sidecar. settings: its architecture, input, output and order; room: numbers that
    its weights hold. Errors: UserError."""
    how = How(settings['input'], settings.get('output', OUTPUTS[0]), settings.get('order'))
    return built(as_logits(restored(settings, name, room))[0], shape[0], how, name)


def restored(settings, name, room):
    """The network as it was saved, with new weights."""
    try:
        net = kerasfiles.rebuilt(settings['architecture'], name, room)
        _checked(net, name)
    except UserError:
        raise
    except Exception as e:
        raise UserError(f'{name} has an architecture that Keras does not build ({brief(e)}); import it '
                        'again') from e
    return net


def original(model, settings, name):
    """What an imported classifier has become, in the architecture and with the input that it came with."""
    inside = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    net = restored(settings, name, inside.count_params())
    net.set_weights(inside.get_weights())
    return net

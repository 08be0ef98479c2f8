"""The networks.

Every network takes images (n, h, w, c) in [0, 1]. Widths and blocks are those of the published code.
"""
import difflib
import math
import re

from common import tasks
from common.arrays import read_arrays
from common.errors import brief, UserError
from common.folding import fold
from common.quiet import keras, tf
from mybackgrounds import compose
from readers.foreign import INPUTS
from keras import layers

BIG = 128                # from this side on the paper uses VGG19 instead of the small classifier
COPY = 64                # side of the copies of such images that the mask generator looks at
MASK_BIAS = 2.           # masks start near 1 (sigmoid(2) = 0.88): see docs/log.md
SMALL_RATE, BACKBONE_RATE = 1e-3, 1e-5   # Adam's rates in the published code
POOLED_RATE = 1e-4       # of a backbone whose last layer was fitted first (a linear probe)
HEADS = 'flatten', 'pooled'   # between a backbone and its logits
MAX_SIDE, MAX_WIDTH, MAX_DENSE, MAX_CLASSES = 1024, 512, 8192, 10_000   # of networks, and of sidecars
LEAK = 0.2               # LeakyReLU of the generator


def blocks(side):
    """Halvings until 4 x 4 is left: 3 at 32 pixels, 4 at 64 (the published code's log2(side/4))."""
    if side < 8:
        raise UserError(f'images of {side} pixels are too small for the networks; use --size 8 or more')
    return int(math.log2(side/4))


def learning_rate(network):
    """Adam's rate for a classifier, by the keyword arguments that build it; the same in every phase."""
    if not is_grown(network):
        return SMALL_RATE
    fitted = network.get('head') == 'pooled' or 'architecture' in network   # its last layer knows the classes
    return POOLED_RATE if fitted else BACKBONE_RATE


def is_grown(network):
    """Does a classifier begin with what it has learnt elsewhere: on a backbone, or imported by audit.py?"""
    return bool(network.get('backbone')) or 'architecture' in network


def classifier(shape, task, backbone=None, backbone_weights=None, remover=None, **network):
    """Images -> the outputs of a task, logits (n, classes) or a standardised number (n, 1).

    task: of common.tasks, or a number of classes; the model keeps it as `task`. network: width, dense of a
    small one; head, dense of a backbone. remover: `ground`, and the arguments of the U-Net of `cut_out`.
    """
    task = tasks.of(task)
    inputs = keras.Input(shape, name='image')
    if backbone:
        x = _head(_backbone(shape, backbone, backbone_weights)(inputs), **network)
    else:
        x = _small(inputs, **network)
    outputs = layers.Dense(task.outputs, dtype='float32', name='logits')(x)
    model = keras.Model(inputs, outputs, name=task.kind)
    model.task = task
    if remover:
        f_m = unet(shape, **{k: v for k, v in remover.items() if k != 'ground'})
        return cut_out(model, f_m, remover['ground'])
    return model


def cut_out(f, f_m, ground):
    """f behind a background remover: it sees what the mask generator f_m marks, on a ground of one grey."""
    image = keras.Input(f.input_shape[1:], name='image')
    model = keras.Model(image, f(compose(image, f_m(image), ground)), name=f'{f.name}_of_cutouts')
    model.task = f.task
    return model


def _small(x, width=32, dense=None):
    for i in range(blocks(x.shape[1])):
        x = layers.Conv2D(width*2**i, 3, padding='same', activation='relu', name=f'conv{i}')(x)
        x = layers.MaxPool2D(name=f'pool{i}')(x)
    x = layers.Flatten(name='flatten')(x)
    return layers.Dense(dense or 128, activation='relu', name='dense0')(x)


def _head(x, head='flatten', dense=None):
    """flatten: all features, then dense layers (VGG's, the paper's: 2 x 4,096); pooled: their mean over the
    image, then the dense layers that are asked for."""
    if head == 'pooled':
        x = layers.GlobalAveragePooling2D(name='pooled')(x)
    else:
        x, dense = layers.Flatten(name='flatten')(x), dense or (4096, 4096)
    for i, units in enumerate(dense or ()):
        x = layers.Dense(units, activation='relu', name=f'dense{i}')(x)
    return x


def freeze(model, name, block):
    """Layers of a classifier's backbone stay as they are: to the last whose name begins with `block`, or all.

    name: of the backbone. Errors: UserError, with the names that there are.
    """
    if name not in {layer.name for layer in model.layers}:
        raise UserError('--freeze is for backbones; give one with --backbone, or leave it out')
    net = next(layer for layer in model.get_layer(name).layers if isinstance(layer, keras.Model))
    if block == 'all':
        net.trainable = False
        return
    last = max((i for i, layer in enumerate(net.layers) if layer.name.startswith(block)), default=None)
    if last is None:
        stems = dict.fromkeys(re.match(r'[A-Za-z]*[_-]?[0-9]*', layer.name)[0] for layer in net.layers)
        raise UserError(f'--freeze {block}: no layer of {name} begins so; give all, or one of '
                        f'{", ".join(k for k in stems if k)}')
    for layer in net.layers[:last + 1]:
        layer.trainable = False


def _preprocessing(name):
    """(layer, keyword arguments of the builder): [0, 1] images -> what this backbone's weights expect."""
    if name.startswith(('MobileNetV3', 'ConvNeXt', 'EfficientNetV2')):
        return INPUTS['0..255'](), {'include_preprocessing': True}
    if name.startswith('EfficientNet'):   # version 1 preprocesses inside and has no switch
        return INPUTS['0..255'](), {}
    if name.startswith('VGG') or name.startswith('ResNet') and 'V2' not in name:
        return INPUTS['caffe'](), {}
    if name.startswith('DenseNet'):
        return INPUTS['torch'](), {}
    return INPUTS['-1..1'](), {}   # Inception, Xception, MobileNet, NASNet, ResNet V2


def backbone_names():
    """Names of keras.applications that build a network, as `VGG19` or `MobileNetV3Small`."""
    return sorted(n for n in dir(keras.applications)
                  if n[0].isupper() and callable(getattr(keras.applications, n)))


def _backbone(shape, name, weights):
    """The named network without its top, as one model on [0, 1] images with its preprocessing inside."""
    if name not in backbone_names():
        close = difflib.get_close_matches(name, backbone_names(), 1)
        hint = f'did you mean {close[0]}?' if close else f'known are {", ".join(backbone_names())}'
        raise UserError(f'no backbone {name!r}; {hint}')
    if shape[-1] != 3:
        raise UserError(f'{name} needs colour images, these have {shape[-1]} channel; leave out --backbone')
    preprocess, options = _preprocessing(name)
    try:
        net = getattr(keras.applications, name)(include_top=False, input_shape=shape, **options,
                                                weights='imagenet' if weights == 'imagenet' else None)
    except ValueError as e:
        raise UserError(f'{name} does not take images of shape {shape} ({brief(e)}); '
                        'use another --size') from e
    except Exception as e:   # Keras wraps whatever the download raised in a plain Exception
        raise UserError(f'cannot download the ImageNet weights of {name} ({brief(e, 200)}); download that '
                        'file on another machine and give it with --backbone-weights FILE, or train from '
                        'scratch with --backbone-weights none') from e
    if weights not in (None, 'none', 'imagenet'):
        read_arrays(net, weights)
    fold(net)
    inputs = keras.Input(shape)
    return keras.Model(inputs, net(preprocess(inputs), training=False), name=name)   # batch statistics stay


def unet(shape, width=32, depth=None, copy=None):
    """Mask generator f_m: images -> masks (n, h, w, 1) in [0, 1], float32 whatever the precision.

    copy: side of the smaller copies that it looks at; their masks are enlarged. None: the images themselves.
    """
    side = copy or shape[0]
    depth = depth or min(blocks(side), 4)
    if side % 2**depth:
        raise UserError(f'the mask generator halves the side {depth} times, {side} does not divide; '
                        f'use --size {side//2**depth*2**depth}')
    x = inputs = keras.Input(shape, name='image')
    if copy:
        x = layers.Resizing(copy, copy, antialias=True, dtype='float32', name='copy')(x)
    skips = []
    for i in range(depth):
        x = layers.Conv2D(width*2**i, 3, padding='same', activation='relu', name=f'down{i}')(x)
        skips.append(x)
        x = layers.MaxPool2D(name=f'pool{i}')(x)
    x = layers.Conv2D(width*2**depth, 3, padding='same', activation='relu', name='bottom')(x)
    for i in reversed(range(depth)):
        x = layers.UpSampling2D(name=f'upsample{i}')(x)
        x = layers.Conv2D(width*2**i, 3, padding='same', activation='relu', name=f'up{i}')(x)
        x = layers.Concatenate(name=f'skip{i}')([x, skips[i]])
    x = layers.Conv2D(1, 1, bias_initializer=keras.initializers.Constant(MASK_BIAS), name='logit')(x)
    if copy:
        x = layers.Resizing(*shape[:2], dtype='float32', name='enlarged')(x)
    mask = layers.Activation('sigmoid', dtype='float32', name='mask')(x)
    model = keras.Model(inputs, mask, name='unet')
    model.task = tasks.MASK
    return model


def generator(shape, tiles=2, width=None):
    """Background generator f_b: z -> logits (n, h, w, c), tiles x tiles squares made by one shared network.

    The tile's side is halved while it is even and above 4; that many doublings lead back. z is normal,
    (n, tiles*tiles*k*k*c) with k the side after halving: 4 * 16 numbers for 32 x 32 monochrome images.
    """
    side, channels = shape[0], shape[-1]
    if shape[0] != shape[1] or tiles < 1 or side % (2*tiles):
        fitting = ' or '.join(str(t) for t in (1, 2, 4, 8, 16) if side % (2*t) == 0)
        raise UserError(f'--tiles {tiles}: twice as many must divide the side {side}; '
                        + (f'use {fitting}' if fitting else 'use an even --size'))
    small, doublings = side//tiles, 0
    while small % 2 == 0 and small > 4:
        small, doublings = small//2, doublings + 1
    inputs = keras.Input((tiles*tiles*small*small*channels,), name='noise')
    # a quarter of the filters for large images: it would cost several times what their backbone costs
    filters = (width or (8 if shape[0] >= BIG else 32))*2**doublings
    noise = keras.Input((small, small, channels))
    x = layers.Conv2D(filters, 3, padding='same', name='conv')(noise)
    x = layers.LeakyReLU(LEAK)(x)
    for i in range(doublings):
        x = layers.UpSampling2D()(x)
        filters //= 2
        x = layers.Conv2D(filters, 3, padding='same', name=f'conv{i}')(x)
        x = layers.LeakyReLU(LEAK)(x)
    one = keras.Model(noise, layers.Conv2D(channels, 1, name='logit')(x), name='tile')
    squares = layers.Reshape((tiles*tiles, small, small, channels))(inputs)
    if tiles == 1:
        logits = one(squares[:, 0])
    else:
        logits = layers.Concatenate(axis=1)([
            layers.Concatenate(axis=2)([one(squares[:, r*tiles + c]) for c in range(tiles)])
            for r in range(tiles)])
    return keras.Model(inputs, layers.Activation('linear', dtype='float32', name='background')(logits),
                       name='generator')


@keras.saving.register_keras_serializable('background_invariance')
class CropLargest(layers.Layer):
    """(images, features) -> images cropped to where the features are active, resized to their own size.

    Heatmap = max over channels of |features|, min-max normalised, >= tau; the bounding box of its largest
    component (8-connected) is cropped. AG-CNN, Guan et al. 2018, arXiv 1801.09927. A flat heatmap keeps all.
    """

    def __init__(self, tau=0.7, dtype='float32', **kwargs):
        super().__init__(**kwargs, dtype=dtype)
        self.tau = tau

    def get_config(self):
        return {**super().get_config(), 'tau': self.tau}

    def call(self, inputs):
        x, features = inputs
        heat = tf.reduce_max(tf.abs(features), -1, keepdims=True)
        low, high = (r(heat, (1, 2), keepdims=True) for r in (tf.reduce_min, tf.reduce_max))
        active = tf.math.divide_no_nan(heat - low, high - low) >= tf.where(high > low, self.tau, 0.)
        largest = largest_component(active)[..., 0]
        rows, cols = tf.reduce_any(largest, 2), tf.reduce_any(largest, 1)

        def ends(line):   # first and one past the last cell of each line, as a share of the side
            k = tf.range(line.shape[1], dtype=tf.float32)
            return (tf.reduce_min(tf.where(line, k, 1e9), 1)/line.shape[1],
                    (tf.reduce_max(tf.where(line, k, -1.), 1) + 1)/line.shape[1])
        (top, bottom), (left, right) = ends(rows), ends(cols)
        h, w = x.shape[1:3]   # crop_and_resize counts from the first pixel's centre to the last one's
        boxes = tf.stack([top*h/(h - 1), left*w/(w - 1), (bottom*h - 1)/(h - 1), (right*w - 1)/(w - 1)], 1)
        return tf.image.crop_and_resize(x, boxes, tf.range(tf.shape(x)[0]), (h, w))


def largest_component(active):
    """Largest 8-connected component of each boolean map (n, h, w, 1); of equals the first to be read."""
    h, w = active.shape[1:3]
    cells = tf.reshape(tf.range(h*w, 0, -1, dtype=tf.float32), (1, h, w, 1))   # first cell, highest label
    on = tf.cast(active, tf.float32)
    labels = cells*on
    for _ in range(h*w//2):   # no shortest path inside a component is longer
        labels = tf.nn.max_pool2d(labels, 3, 1, 'SAME')*on
    flat = tf.cast(tf.reshape(labels, [-1, h*w]), tf.int32)
    counts = tf.reduce_sum(tf.one_hot(flat, h*w + 1), 1)[:, 1:]                # label 0 is the ground
    best = h*w - tf.argmax(counts[:, ::-1], 1, output_type=tf.int32)           # of equals the highest label
    return active & (tf.cast(labels, tf.int32) == best[:, None, None, None])


def attention(shape, task, tau=0.7, base=None, **network):
    """AG-CNN: a frozen global classifier, a local branch on the crop, their fusion -> logits (n, classes).

    task: as for `classifier`. base: the trained global classifier; None: a new one of settings `network`.
    """
    base = base or classifier(shape, task, **network)
    base.trainable = False
    last = 'pooled' if any(layer.name == 'pooled' for layer in base.layers) else 'flatten'
    features = base.get_layer(last).input   # the last max-pool, or the backbone's
    x = crop = CropLargest(tau, name='crop')([base.inputs[0], features])
    for filters in (128, 256, 512):
        x = layers.Conv2D(filters, 3, 2, padding='same', activation='relu', name=f'local{filters}')(x)
    pooled = [layers.GlobalAveragePooling2D(name='gap_global')(features),
              layers.GlobalAveragePooling2D(name='gap_local')(x)]
    x = layers.Concatenate(name='both')(pooled)
    x = layers.Dense(2048, name='fusion0')(x)
    x = layers.Dense(256, name='fusion1')(x)
    logits = layers.Dense(base.task.outputs, dtype='float32', name='fusion_logits')(x)
    model = keras.Model(base.inputs[0], logits, name='attention')
    model.task = base.task
    model.crop = keras.Model(base.inputs[0], crop)   # for pictures of what the local branch sees
    return model

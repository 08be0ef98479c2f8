"""A convolution and the batch normalisation behind it as one operation, with the variables of both."""
from common.quiet import tf
from keras import layers


def fold(net):
    """Lets the convolutions of a functional network do the batch normalisations behind them, whose statistics
    stay. Returns how many.

    (x * k) s + b is x * (k s) + b: one pass over the image less, forward and backward. Layers, variables,
    files and, but for rounding, answers and gradients are the same. Only where nothing else needs what the
    convolution alone gives.
    """
    makers = {id(layer.output): layer for layer in net.layers}
    needed = [id(t) for op in net.operations for t in _listed(op.input)] + [id(t) for t in net.outputs]
    pairs = [(makers.get(id(layer.input)), layer) for layer in net.layers
             if isinstance(layer, layers.BatchNormalization)]
    pairs = [(conv, norm) for conv, norm in pairs
             if type(conv) in (layers.Conv2D, layers.DepthwiseConv2D) and needed.count(id(norm.input)) == 1
             and conv.activation.__name__ == 'linear' and conv.data_format == 'channels_last'
             and conv.dilation_rate == (1, 1)]
    for conv, norm in pairs:   # of these two layers alone, not of their classes: files keep the plain ones
        conv.call = _both(conv, norm)
        norm.call = lambda x, training=None, mask=None: x
    return len(pairs)


def _listed(tensors):
    return tensors if isinstance(tensors, list | tuple) else [tensors]


def _both(conv, norm):
    """call(x) of the convolution with the normalisation's scale in its kernel and the rest in its bias."""
    depthwise = isinstance(conv, layers.DepthwiseConv2D)
    through = _depthwise(conv) if depthwise else conv.convolution_op

    def call(x):
        kernel, mean, variance = (tf.cast(v, tf.float32) for v in
                                  (conv.kernel, norm.moving_mean, norm.moving_variance))
        scale = tf.math.rsqrt(variance + norm.epsilon)
        if norm.scale:
            scale *= tf.cast(norm.gamma, tf.float32)
        bias = -mean*scale
        if norm.center:
            bias += tf.cast(norm.beta, tf.float32)
        if conv.use_bias:
            bias += tf.cast(conv.bias, tf.float32)*scale
        kernel *= tf.reshape(scale, (-1, conv.depth_multiplier)) if depthwise else scale
        return tf.nn.bias_add(through(x, tf.cast(kernel, x.dtype)), tf.cast(bias, x.dtype))
    return call


def _depthwise(conv):
    """(x, kernel) -> x convolved, its gradients in float32: in bfloat16 oneDNN takes four times as long for
    them (benchmarks/README.md)."""
    how = {'strides': (1, *conv.strides, 1), 'padding': conv.padding.upper()}

    @tf.custom_gradient
    def through(x, kernel):
        def gradient(dy):
            x32, kernel32, dy = (tf.cast(v, tf.float32) for v in (x, kernel, dy))
            dx = tf.nn.depthwise_conv2d_backprop_input(tf.shape(x), kernel32, dy, **how)
            dkernel = tf.nn.depthwise_conv2d_backprop_filter(x32, kernel.shape, dy, **how)
            return tf.cast(dx, x.dtype), tf.cast(dkernel, kernel.dtype)
        return tf.nn.depthwise_conv2d(x, kernel, **how), gradient
    return through

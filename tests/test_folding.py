"""common.folding: a batch normalisation inside the convolution before it changes nothing but the time."""
import numpy as np
import pytest

from common.folding import fold
from common.quiet import keras, tf
from keras import layers


def branches():
    """Two convolutions that can be folded (one depthwise, doubled), one whose output is needed as it is."""
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, 2, padding='same', name='conv')(x)
    x = layers.ReLU(6.)(layers.BatchNormalization(scale=False, name='norm')(x))
    x = layers.DepthwiseConv2D(3, padding='valid', depth_multiplier=2, use_bias=False, name='deep')(x)
    x = layers.BatchNormalization(name='deep_norm')(x)
    y = layers.Conv2D(8, 1, name='both')(x)
    x = layers.Add()([y, layers.BatchNormalization(name='both_norm')(y)])
    return keras.Model(inputs, layers.Conv2D(2, 1, activation='relu', name='last')(x))


def twins(make, seed=0):
    """(plain, folded) networks of equal weights, far from those that normalisations begin with."""
    plain, folded = make(), make()
    random = np.random.default_rng(seed)
    values = [w + random.uniform(0.1, 0.5, w.shape) for w in plain.get_weights()]
    for net in plain, folded:
        net.set_weights(values)
    return plain, folded


def answer(net, x):
    """(outputs, gradients by the variables' paths)."""
    with tf.GradientTape() as tape:
        y = net(x, training=False)
        loss = tf.reduce_mean(tf.square(tf.cast(y, tf.float32) - 1))
    gradients = tape.gradient(loss, net.trainable_variables)
    return y.numpy(), {v.path: g.numpy() for v, g in zip(net.trainable_variables, gradients)}


def test_answers_and_gradients_are_those_of_the_layers_one_by_one():
    plain, folded = twins(branches)
    assert fold(folded) == 2
    x = tf.random.uniform((3, 8, 8, 3))
    (wanted, slopes), (found, mine) = answer(plain, x), answer(folded, x)
    assert np.allclose(wanted, found, rtol=1e-4) and mine.keys() == slopes.keys()
    for path, slope in slopes.items():
        assert np.allclose(slope, mine[path], rtol=1e-3, atol=1e-4*np.abs(slope).max()), path


def test_a_folded_network_keeps_its_statistics_and_its_file(tmp_path):
    _, folded = twins(branches)
    fold(folded)
    before = [np.array(v) for v in folded.variables]
    folded(tf.random.uniform((3, 8, 8, 3)), training=True)
    stay = [v.path for a, v in zip(before, folded.variables) if np.array_equal(a, v)]
    assert {'norm/moving_mean', 'deep_norm/moving_variance'} <= set(stay)
    folded.save(tmp_path/'x.keras')
    x = tf.random.uniform((3, 8, 8, 3))
    assert np.allclose(keras.models.load_model(tmp_path/'x.keras')(x), folded(x), rtol=1e-4)


def test_half_precision_keeps_its_type_and_comes_close():
    plain, _ = twins(branches)
    keras.config.set_dtype_policy('mixed_bfloat16')
    half = branches()
    half.set_weights(plain.get_weights())
    fold(half)
    x = tf.random.uniform((3, 8, 8, 3))
    (wanted, slopes), (found, mine) = answer(plain, x), answer(half, x)
    assert found.dtype == tf.bfloat16.as_numpy_dtype
    assert np.allclose(wanted, found.astype(np.float32), rtol=0.05, atol=0.02*wanted.max())
    deep = [k for k in mine if k.startswith('deep/')]
    assert deep and all(np.allclose(slopes[k], mine[k], atol=0.1*np.abs(slopes[k]).max()) for k in deep)


@pytest.mark.slow
@pytest.mark.parametrize('name, few', [('MobileNetV2', 52), ('ResNet50', 53), ('EfficientNetB0', 40),
                                       ('DenseNet121', 50), ('InceptionV3', 90)])
def test_backbones_answer_as_those_of_keras(name, few):
    options = {'include_top': False, 'weights': None, 'input_shape': (96, 96, 3)}
    plain = getattr(keras.applications, name)(**options)
    random = np.random.default_rng(0)
    values = [w*random.uniform(0.8, 1.2, w.shape) for w in plain.get_weights()]
    plain.set_weights(values)
    folded = keras.models.clone_model(plain)
    folded.set_weights(values)
    assert fold(folded) >= few
    x = tf.random.uniform((2, 96, 96, 3), 0, 255 if name.startswith('Eff') else 1)
    wanted, found = plain(x), folded(x)
    assert np.allclose(wanted, found, rtol=1e-3, atol=1e-4*np.abs(wanted).max())

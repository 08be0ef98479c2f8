"""Networks that a stranger might bring, and audits of them in this process."""
import numpy as np

import audit
import toys
from common.quiet import keras
from mydatagen import to_float

CLASSES = ['apple', 'Berry', 'cup', 'pen']   # by alphabet with capitals first it is another order
L = keras.layers


def pixels():
    return toys.coloured(64, 1, True, True)


def trained(end, prepare=lambda x: 255*x, outputs=4, ground=True):
    """A small network on images that `prepare` makes of [0, 1], its last layer or layers made by `end`.

    It begins with the mean and deviation of these images: without them ReLUs answer the same at any scale,
    and which input is found would hang on rounding.
    """
    keras.utils.set_random_seed(0)
    images = toys.coloured(256, 3, ground, True)
    x = np.asarray(prepare(to_float(images.x)))
    inputs, normal = keras.Input((16, 16, 3)), L.Normalization()
    normal.adapt(x)
    hidden = L.Conv2D(8, 3, strides=2, activation='relu')(normal(inputs))
    hidden = L.Dropout(0.1)(L.Dense(16, activation='relu')(L.Flatten()(hidden)))
    net = keras.Model(inputs, end(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy() if outputs > 1 else keras.losses.BinaryCrossentropy()
    net.compile(keras.optimizers.Adam(3e-3), loss)
    net.fit(x, images.y if outputs > 1 else images.y % 2, 32, 12, verbose=0)
    return net


def run(world, *words, out='out'):
    """Exit code of an audit of the folder."""
    return audit.main([*map(str, words[:1]), f'folder:{world}/photos', *map(str, words[1:]), '--size', '16',
                       '--out', str(world/out)])


def fails(capsys, *words):
    capsys.readouterr()
    try:
        code = audit.main([str(w) for w in words])
    except SystemExit as e:   # of argparse
        code = e.code
    err = [line for line in capsys.readouterr().err.splitlines() if not line.startswith('note: ')]
    assert code == 2 and len(err) == 1 and err[0].startswith('error: ') and ';' in err[0], err
    return err[0]

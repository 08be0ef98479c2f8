"""Reading sets of tensorflow-datasets, with a quick answer where one is neither prepared nor within reach."""
import logging
import os
import sys

import numpy as np

from common.errors import brief, UserError
from common.pipelines import untuned
from common.quiet import tf


def from_tfds(name, **keep):
    """Reader of a prepared tensorflow-datasets set; says what to do when it is neither here nor reachable."""
    def read(split, size, data_dir):
        builder = _builder(name, data_dir)
        features, classes = builder.info.features, None
        if 'image' not in features or 'label' not in features:
            raise UserError(f'{name} has no `image` and `label`, so it is no image classification set; '
                            'take another')
        classes = list(features['label'].names or map(str, range(features['label'].num_classes or 0)))
        side = size or keep.get('side') or features['image'].shape[0]
        if not side:
            raise UserError(f'the images of {name} have no fixed size; give one with --size 64')

        def prepare(item):
            x = item['image']
            if x.shape[0] != side or x.shape[1] != side:
                x = tf.image.resize(x, (side, side), antialias=True)
                x = tf.cast(tf.clip_by_value(tf.round(x), 0, 255), tf.uint8)
            return x, tf.cast(item['label'], tf.int32)
        try:
            data = builder.as_dataset(split=split, shuffle_files=False).map(prepare, tf.data.AUTOTUNE)
            xs, ys = zip(*((x.numpy(), y.numpy()) for x, y in untuned(data.batch(1024))))
        except (tf.errors.OpError, ValueError, KeyError, AssertionError, OSError) as e:
            raise UserError(f'data set {name} in {builder.data_dir} is damaged '
                            f'({brief(e)}); delete that folder and prepare it '
                            'again') from e
        return np.concatenate(xs), np.concatenate(ys), classes
    return read


def _builder(name, data_dir):
    """A prepared builder, downloading after a word to the user if the network is there."""
    import tensorflow_datasets as tfds
    logging.getLogger('absl').setLevel('ERROR')   # its remarks on folders would stand beside our one line
    data_dir = data_dir or os.environ.get('TFDS_DATA_DIR')
    if data_dir and os.path.lexists(data_dir) and not os.path.isdir(data_dir):
        raise UserError(f'--data-dir {data_dir} is no folder; give that of tensorflow-datasets')
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        prepared = builder.is_prepared()
    except tfds.core.DatasetNotFoundError as e:
        raise UserError(f'tensorflow-datasets knows no set {name!r}; see its catalogue for names') from e
    except Exception as e:   # damage makes it raise nearly anything
        raise UserError(f'the folder of {name} in {data_dir or "~/tensorflow_datasets"} is damaged '
                        f'({brief(e)}); delete it and prepare it again') from e
    if not prepared:
        _demand_network(name, builder)
        print(f'downloading {name} to {builder.data_dir} ...', file=sys.stderr, flush=True)
        try:
            builder.download_and_prepare()
        except Exception as e:   # checksums, servers, disks: whatever it was, the mend is the same
            raise UserError(f'download of {name} failed ({brief(e)}); prepare it on a '
                            f'machine with a network and copy it to {builder.data_dir}, or use digits, '
                            'which needs nothing') from e
    return builder


def _demand_network(name, builder):
    """TFDS would be silent for minutes without a network: ask the name server first, with a short wait."""
    import socket
    import threading
    from urllib.parse import urlparse
    urls = list(getattr(builder, 'url_infos', {})) or ['https://www.tensorflow.org']
    host = urlparse(next(iter(urls))).hostname
    reached = []

    def look():
        try:
            socket.create_connection((host, 443), timeout=1.5).close()
            reached.append(True)
        except OSError:
            pass
    thread = threading.Thread(target=look, daemon=True)   # name look-ups have no time-out of their own
    thread.start()
    thread.join(2)
    if not reached:
        raise UserError(f'data set {name} is not prepared and there is no network to {host}; prepare it '
                        f'elsewhere with tensorflow-datasets and copy it to {builder.data_dir} (or set '
                        '--data-dir or TFDS_DATA_DIR), or use `digits`, which needs nothing')

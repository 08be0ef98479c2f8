"""Weights and images that tests of predict.py share."""
import pytest
from PIL import Image

import mydatasets
import mymodels
import toys
from common.quiet import keras
from training import weightfiles


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Weights f (knows toy, trained with the mask network u) and a (attention), and eight images of toy."""
    folder = tmp_path_factory.mktemp('predict')
    f, u = toys.parents(folder)
    keras.utils.set_random_seed(0)
    network = {'width': 4, 'dense': 8, 'tau': 0.7}
    weightfiles.save(mymodels.attention(toys.SHAPE, 3, **network), folder/'a', kind='attention',
                   network=network, shape=list(toys.SHAPE), classes=toys.CLASSES)
    images = mydatasets.load('toy').tests['original'].images()
    for i in range(8):
        path = folder/'photos'/('more' if i > 5 else '')/f'{i}.{"PNG" if i == 2 else "png"}'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.x[i, ..., 0]).save(path)
    (folder/'photos'/'notes.txt').write_text('no image')
    return folder, images.take(range(8))

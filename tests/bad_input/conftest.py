"""Weights for the cases, and the world of each."""
import os
import shutil

import pytest

import mymodels
import toys
from training import weightfiles

@pytest.fixture(scope='session')
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    for kind, short in zip(toys.parents(folder), 'fu'):
        for ending in ('.weights.h5', '.json'):
            os.rename(kind + ending, folder/(short + ending))
    colour = {'shape': [16, 16, 3], 'classes': ['cat', 'dog'], 'seed': 0, 'settings': 'c'}
    network = mymodels.classifier((16, 16, 3), 2, width=4, dense=8)
    weightfiles.save(network, folder/'c', kind='classifier', **colour,
                   network={'width': 4, 'dense': 8})
    weightfiles.save(mymodels.unet((16, 16, 3), 4), folder/'cu', kind='unet', network={'width': 4}, **colour)
    return folder


@pytest.fixture
def world(tmp_path, weights):
    shutil.copytree(weights, tmp_path/'in')
    (tmp_path/'out').mkdir()
    return tmp_path

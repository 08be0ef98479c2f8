"""The folder that is audited, and the network of a stranger."""
import pytest

import toys
from strangers import CLASSES, L, trained


@pytest.fixture(scope='session')
def world(tmp_path_factory):
    """A folder whose ground colour belongs to the class."""
    root = tmp_path_factory.mktemp('audit')
    toys.folder_of(toys.coloured(64, 1, True, True), root/'photos', 'train', CLASSES, masks=False)
    toys.folder_of(toys.coloured(24, 2, True, True), root/'photos', 'test', CLASSES)
    return root


@pytest.fixture(scope='session')
def stranger(world):
    """A `.keras` file that a stranger trained, with its metrics, on pixels 0..255."""
    net = trained(lambda x: L.Dense(4, activation='softmax')(x))
    net.save(world/'stranger.keras')
    return str(world/'stranger.keras')


@pytest.fixture(scope='session')
def data(world):
    return toys.load(f'folder:{world}/photos', size=16)

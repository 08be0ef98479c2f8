"""A folder of photographs, and a state that tests share."""
import pytest

import mydatasets
from pictures import noise, save
from readers import photographs


@pytest.fixture
def photos(tmp_path):
    """Two classes, three training images and two of each of two tests, two backgrounds; all sound."""
    seed = iter(range(1000))
    for split, n in {'train': 3, 'test-field': 2, 'test-studio': 2}.items():
        for name in 'cat', 'dog':
            for i in range(n):
                save(tmp_path/split/name/f'{i}.png', noise(next(seed)))
    for i in range(2):
        save(tmp_path/'backgrounds'/f'{i}.jpg', noise(next(seed), 60, 50))
    return tmp_path


@pytest.fixture
def forgetful():
    """Nothing looked at or decoded before counts."""
    for cache in mydatasets._checked, photographs.pixels, photographs.masks:
        cache.cache_clear()

"""A state of the data sets that tests share."""
import pytest

import mydatasets


@pytest.fixture
def fresh(monkeypatch):
    """Nothing read before counts, and nothing read here is kept."""
    monkeypatch.delenv('TFDS_DATA_DIR', raising=False)
    mydatasets._read.cache_clear()
    yield
    mydatasets._read.cache_clear()

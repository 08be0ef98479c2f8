"""Every test begins in single precision with the same seed, whatever the one before it left."""
import pytest

from common.quiet import keras


@pytest.fixture(autouse=True)
def float32():
    keras.config.set_dtype_policy('float32')
    keras.utils.set_random_seed(0)

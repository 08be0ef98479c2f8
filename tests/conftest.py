"""Every test begins in single precision with the same seed, whatever the one before it left."""
import pytest


@pytest.fixture(autouse=True)
def float32():
    from common.quiet import keras   # late: the process that hands out the tests runs none
    keras.config.set_dtype_policy('float32')
    keras.utils.set_random_seed(0)

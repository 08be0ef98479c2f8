"""What every test begins with, whatever the one before it left: single precision, the same seed."""
import pytest


@pytest.fixture(scope='session', autouse=True)
def graphs(request):
    """Optimising them takes longer than it saves, as they run for moments; make test-all has users' own."""
    from common.quiet import tf   # late: the process that hands out the tests runs none
    quick = request.config.getoption('markexpr') == 'not slow'
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': quick})


@pytest.fixture(autouse=True)
def float32():
    from common.quiet import keras
    keras.config.set_dtype_policy('float32')
    keras.utils.set_random_seed(0)

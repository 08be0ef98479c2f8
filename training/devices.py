"""Several devices and machines, on TensorFlow's own strategies: which one, who writes, and where all meet."""
import functools
import json
import os

from common.errors import brief, UserError
from common.quiet import tf

STALL_SECONDS = 300   # that a worker may keep silent (TensorFlow's own 10 end jobs on busy machines)


def strategy_of(name):
    """That of --strategy: one device, all GPUs (else all logical CPUs), or the machines of TF_CONFIG."""
    if name == 'mirrored':
        return _mirrored()
    if name == 'multiworker':
        return _workers(os.environ.get('TF_CONFIG', ''))
    return tf.distribute.get_strategy()


@functools.cache   # the collectives of a second one in a process get the numbers of the first one's
def _mirrored():
    devices = tf.config.list_logical_devices('GPU') or tf.config.list_logical_devices('CPU')
    return tf.distribute.MirroredStrategy([d.name for d in devices])


@functools.cache   # TensorFlow makes it once a process, and before anything else
def _workers(config):
    if not config:
        raise UserError('--strategy multiworker needs TF_CONFIG; start it with `python launch.py --workers 2 '
                        '...`, or set TF_CONFIG on every machine')
    try:
        said = json.loads(config)
        kind, index = said['task']['type'], int(said['task']['index'])
        address = said['cluster'][kind][index]
        if kind not in ('chief', 'worker') or index < 0 or not isinstance(address, str):
            raise ValueError
    except (ValueError, KeyError, TypeError, IndexError) as e:
        raise UserError('TF_CONFIG names no worker of a cluster; it must look like {"cluster": {"worker": '
                        '["host0:12345", "host1:12345"]}, "task": {"type": "worker", "index": 0}}') from e
    _patient()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, ValueError, tf.errors.OpError) as e:
        raise UserError(f'the workers of TF_CONFIG do not come together ({brief(e)}); start all of them, '
                        'each in a new process, and check their addresses') from e


def _patient():
    """Lets workers stall; one whose process ends is missed at once. TensorFlow has no public name for it."""
    from tensorflow.python.eager import context
    here = context.context()
    here.configure_coordination_service = functools.partial(
        here.configure_coordination_service, heartbeat_timeout_in_ms=1000*STALL_SECONDS)


def chief(strategy):
    """Only one process of a multi-machine run writes, and listens to Ctrl-C."""
    resolver = getattr(strategy, 'cluster_resolver', None)
    if resolver is None or resolver.task_type in (None, 'chief'):
        return True
    return resolver.task_id == 0 and 'chief' not in resolver.cluster_spec().jobs


def agreement(strategy):
    """agree(number) -> the mean of the numbers of all workers, who must all call it: the same on each."""
    if strategy.num_replicas_in_sync == 1 or not getattr(strategy, 'cluster_resolver', None):
        return lambda number: number

    @tf.function
    def mean(number):
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(lambda n: n, (number,)), None)
    return lambda number: float(mean(tf.constant(number, tf.float32)))


def meet(strategy):
    """Every worker waits here for all the others, so that none reads what the chief has not yet written."""
    agreement(strategy)(0.)

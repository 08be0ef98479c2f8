"""What every module needs: the user's mistakes, the random key, and files written whole or not at all."""
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import threading
from typing import NamedTuple

# Before TensorFlow is imported: its start-up notes would hide ours, and its errors reach us as exceptions.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')


@contextlib.contextmanager
def _silence():
    """File descriptor 2 closed to TensorFlow's C++ start-up notes, which no setting keeps back."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


with _silence():
    import tensorflow as tf
    import keras  # noqa: F401  (it loads more of TensorFlow)
    tf.get_logger().setLevel('ERROR')


class UserError(Exception):
    """The user's mistake. It says what is wrong, where, and how to mend it; scripts exit with code 2."""


class BrokenRun(Exception):
    """Numbers went wrong (NaN, a collapsed mask, a dead generator). Names the step; scripts exit with 3."""


class Key(NamedTuple):
    """Owner of the randomness of one step: everything drawn is a pure function of seed, step and the folds.

    `parts` replicas share one global batch and this one holds slice `part`: every replica draws for the whole
    batch and keeps its own slice, so that one device and several devices see the same numbers.
    """
    seed: tf.Tensor   # (2,) int32
    step: tf.Tensor   # () int64, counted from 0 over the whole run
    part: tf.Tensor | int = 0
    parts: int = 1

    @classmethod
    def of(cls, seed, step=0, part=0, parts=1):
        step = tf.cast(step, tf.int64)
        base = tf.constant([seed, 0x5eed], tf.int32)
        return cls(tf.random.experimental.stateless_fold_in(base, step), step, part, parts)

    def fold(self, data):
        """Another key, for another purpose of the same step. data: an integer."""
        return self._replace(seed=tf.random.experimental.stateless_fold_in(self.seed, data))

    def _mine(self, draw, n, shape):
        values = draw((self.parts*n, *shape))
        return values if self.parts == 1 else tf.reshape(values, (self.parts, n, *shape))[self.part]

    def uniform(self, n, shape=(), lo=0., hi=1., dtype=tf.float32):
        """(n, *shape) in [lo, hi), integers with an integer dtype."""
        return self._mine(lambda s: tf.random.stateless_uniform(s, self.seed, lo, hi, dtype), n, shape)

    def normal(self, n, shape=()):
        """(n, *shape) of the standard normal distribution."""
        return self._mine(lambda s: tf.random.stateless_normal(s, self.seed), n, shape)


@contextlib.contextmanager
def whole_file(path):
    """A temporary path beside `path`, renamed to it when the block ends well: no run leaves half a file."""
    folder, name = os.path.split(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix='.', suffix='-' + name, dir=folder)
    except OSError as e:
        raise UserError(f'cannot write {path}: {e.strerror}; choose another --output') from e
    os.close(handle)
    try:
        yield temporary
        with open(temporary, 'rb') as f:
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would lock out the user's colleagues
        os.replace(temporary, path)
    except OSError as e:
        raise UserError(f'cannot write {path}: {e.strerror or e}; make room or choose another '
                        '--output') from e
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def write_json(path, value):
    with whole_file(path) as temporary, open(temporary, 'w') as f:
        json.dump(value, f, indent=1)
        f.write('\n')


@contextlib.contextmanager
def interruptible(listens=True):
    """Inside, Ctrl-C and SIGTERM only turn the yielded function true, so that work ends between two steps.

    A second one stops at once. listens=False: both pass by (workers but the chief: it stops, they follow).
    """
    asked = []

    def ask(number, frame):
        if not listens:
            return
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        os.write(2, b'\ninterrupted: this step is finished and saved first; once more stops at once\n')
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False   # only the main thread hears signals
        return
    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def brief(error, most=120):
    """The first line of an error of other software, without where in TensorFlow's graph it arose."""
    text = re.sub(r'\{\{.*?\}\}\s*', '', str(getattr(error, 'message', None) or error))
    where = 'Graph execution error', 'Detected at node', 'File "'
    stripped = [line.strip() for line in text.splitlines()]
    lines = [line for line in stripped if line and not line.startswith(where)]
    return (lines or [type(error).__name__])[0][:most]


def guard(run, args):
    """run(args), expected failures turned into exit codes: 0, 2 (user), 3 (numbers), 130 (Ctrl-C)."""
    try:
        return run(args) or 0
    except UserError as e:
        print(f'error: {e}', file=sys.stderr)
        return 2
    except tf.errors.DataLossError as e:
        print(f'error: damaged data set: {brief(e)}; delete its folder and prepare '
              'it again', file=sys.stderr)
        return 2
    except tf.errors.ResourceExhaustedError as e:
        print(f'error: out of memory ({brief(e)}); use a smaller --batchsize '
              'or --size', file=sys.stderr)
        return 2
    except MemoryError:
        print('error: out of memory; use a smaller --batchsize, --size or --limit', file=sys.stderr)
        return 2
    except tf.errors.OpError as e:
        return _told(e)
    except OSError as e:
        print(f'error: {e.filename or "a file"}: {e.strerror or e}; check its path, its permissions and the '
              'room on the disk', file=sys.stderr)
        return 2
    except BrokenRun as e:
        print(f'stopped: {e}', file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        again = 'continue with --resume' if hasattr(args, 'resume') else 'start the same command again'
        print(f'interrupted; {again}', file=sys.stderr)
        return 130


LOST_WORKER = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError,
               tf.errors.CancelledError)


def _told(e):
    """Exit code of an error of TensorFlow's own; those with an unknown cause go on as a traceback."""
    line = re.search(r'UserError: (.*)', str(e))   # raised while tf.data read a file
    if line:
        print(f'error: {line[1]}', file=sys.stderr)
        return 2
    if isinstance(e, LOST_WORKER) or 'TF_CONFIG' in os.environ and isinstance(e, tf.errors.InternalError):
        print(f'error: lost another worker ({brief(e)}); start all of them again with --resume',
              file=sys.stderr)
        return 2
    raise e

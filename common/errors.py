"""What went wrong and whose mistake it was: errors in one line, and the exit codes of all commands."""
import os
import re
import sys

from common.quiet import tf


class UserError(Exception):
    """The user's mistake. It says what is wrong, where, and how to mend it; scripts exit with code 2."""


class BrokenRun(Exception):
    """Numbers went wrong (NaN, a collapsed mask, a dead generator). Names the step; scripts exit with 3."""


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

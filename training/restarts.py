"""Masks that collapse: how it is noticed, and the one restart with another key."""
import sys

from common.errors import BrokenRun
from training import checkpoints

# a mean area of the masks outside says that they show nothing or everything, unless objects are that small:
# then f knows them from f(m x)
COLLAPSED = 0.01, 0.99
DEAD = 1e-3, 1 - 1e-3      # a mean of the unbinarised masks outside: no gradient leads back


class Collapsed(Exception):
    """Masks that show nothing, everything, or not the object; says which."""


def alive(means, step):
    """Masks that stand at 0 or 1 everywhere stay there: noticed at the end of the epoch."""
    if not DEAD[0] < means['area'] < DEAD[1]:
        raise Collapsed(f'at step {step} they cover {100*means["area"]:.1f} % of the image')


def problem(found, task):
    """What is wrong with masks that show nothing, everything, or not the object; None when nothing is.

    found: of validation.mask_validator. task: of f.
    """
    masked = found[task.validation[-1]]
    least = DEAD[0] if task.known(masked) else COLLAPSED[0]
    if not least < found['val_area'] < COLLAPSED[1]:
        return f'they cover {100*found["val_area"]:.1f} % of the image'
    return task.hidden(masked)


def twice(job, train):
    """train(attempt), which raises Collapsed; a second time where the first collapses. Errors: BrokenRun."""
    for attempt in range(checkpoints.attempts_used(job.args), 2):
        try:
            return train(attempt)
        except Collapsed as e:
            if attempt:
                raise BrokenRun(f'the masks collapsed twice: {e}; try another --area, --fill or --seed, '
                                'with --overwrite') from e
            print(f'the masks collapsed: {e}; starting once more with another key', file=sys.stderr)
            checkpoints.forget(job.args.output)

"""After the last step: weights, sidecar, history, and what to run next."""
import json
import os
import shlex
from typing import NamedTuple

from common import tasks
from common.files import whole_file
from readers.reading import Reading
from training import checkpoints, weightfiles
from training.devices import chief, meet


class Outcome(NamedTuple):
    """What a phase leaves behind."""
    model: object
    kind: str               # of network: classifier, unet or attention
    method: str             # the row that it is
    history: list
    network: dict           # keyword arguments that build the network again
    parents: dict = {}      # noqa: RUF012  {role: weights that it was trained from}
    say: tuple = ()         # the next command
    more: dict = {}         # noqa: RUF012  further fields of the sidecar


def write(job, outcome):
    """Writes weights, sidecar and history, removes the checkpoints, and says what to run next.

    The chief does it alone; the other workers wait until its files are there.
    """
    if chief(job.strategy):
        _write(job, outcome)
    meet(job.strategy)


def _write(job, outcome):
    args, data, last = job.args, job.data, outcome.history[-1]
    with whole_file(args.output + '.history.json') as temporary, open(temporary, 'w') as f:
        json.dump(outcome.history, f)
    beside = os.path.dirname(os.path.abspath(args.output))
    path = weightfiles.save(
        outcome.model, args.output, kind=outcome.kind, dataset=portable(args.dataset), method=outcome.method,
        shape=list(data.shape), classes=list(data.classes),
        network={k: v for k, v in outcome.network.items() if v is not None},
        arguments={k: portable(v) for k, v in vars(args).items() if not callable(v)}, seed=args.seed,
        settings=job.fingerprint, identity=job.identity,
        trained_from={role: os.path.relpath(p, beside) for role, p in outcome.parents.items()},
        **getattr(outcome.model, 'task', tasks.ANY_CLASSES).saved,
        validation={k: v for k, v in last.items() if k.startswith('val_')}, seconds=last['seconds'],
        **outcome.more)
    checkpoints.forget(args.output)
    print(f'weights: {path}')
    if outcome.say:
        print('next: python ' + shlex.join([*outcome.say, *Reading.of(args).words()]))


def portable(value):
    """Without the folders of this machine: folder:/home/me/photos is folder:photos to everybody else."""
    if not isinstance(value, str):
        return value
    kind, colon, path = value.rpartition('folder:')
    return kind + colon + os.path.basename(os.path.normpath(path)) if os.sep in path else value

"""Checkpoints: NAME.checkpoint/STEP.npz, whole or absent, the newest two; damaged ones are passed over."""
import argparse
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile

import numpy as np

from common.errors import UserError
from common.files import whole_file
from training import identity
from training.weightfiles import read_sidecar

CHECKPOINTS = 2      # the newest ones that are kept
MIN_BYTES = 10_000   # less room than this, and no weights can be written
# what a checkpoint says about itself
FIELDS = {'settings': str, 'precision': str, 'attempt': int, 'step': int, 'history': list,
          'seconds': (int, float), 'seen': dict}


def folder_of(output):
    return output + '.checkpoint'


def write_checkpoint(job, step, state, about):
    """Variables by name and JSON about them in one .npz; the newest CHECKPOINTS files stay."""
    output = job.args.output
    arrays = {f'{k}/{i}': np.asarray(v.numpy()) for k, vs in state.items() for i, v in enumerate(vs)}
    about = {**about, 'step': step, 'settings': job.fingerprint, 'identity': job.identity,
             'precision': job.args.precision}
    path = os.path.join(folder_of(output), f'{step:09d}.npz')
    with whole_file(path) as temporary, open(temporary, 'wb') as f:
        np.savez(f, about=np.array(json.dumps(about)), **arrays)
    for old in checkpoints(output)[CHECKPOINTS:]:
        os.remove(old)


def checkpoints(output):
    """Checkpoint files, the newest first."""
    try:
        names = sorted((n for n in os.listdir(folder_of(output)) if re.fullmatch(r'\d{9}\.npz', n)),
                       reverse=True)
    except OSError:
        return []
    return [os.path.join(folder_of(output), n) for n in names]


@contextlib.contextmanager
def _opened(path):
    """A checkpoint's arrays by name. It may be a stranger's: nothing is unpickled or unpacked to more."""
    with zipfile.ZipFile(path) as z:
        if sum(i.file_size for i in z.infolist()) > os.path.getsize(path):   # ours are not compressed
            raise ValueError('it is compressed')
    with np.load(path, allow_pickle=False) as f:   # the zip's checksums show damage
        yield f


def _said(f):
    """What an open checkpoint says about itself, checked field by field."""
    about = json.loads(str(f['about']))
    for field, kind in FIELDS.items():
        if not isinstance(about[field], kind):
            raise ValueError(f'{field} is no {kind}')
    if not isinstance(about.get('identity', {}), dict):
        raise ValueError('identity is no dict')
    if not all(isinstance(h, dict) for h in about['history']) or about['step'] < 0:
        raise ValueError('no history')
    if not all(type(v) in (int, float) for v in about['seen'].values()):
        raise ValueError('no running means')
    return about


def newest(output, arrays=True):
    """(path, arrays by name, what it says) of the newest readable checkpoint; damaged ones are passed over.

    arrays=False: only what it says is read, and nothing is printed.
    """
    for path in checkpoints(output):
        try:
            with _opened(path) as f:
                return path, {k: f[k] for k in f.files if k != 'about'} if arrays else {}, _said(f)
        except Exception as e:   # damage makes the readers raise nearly anything
            if arrays:
                print(f'{path} is damaged ({" ".join(str(e).split())[:80]}); trying the one before',
                      file=sys.stderr)
    if arrays and checkpoints(output):
        print(f'no checkpoint in {folder_of(output)} is readable; starting from the beginning',
              file=sys.stderr)
    return None, {}, {}


def read_checkpoint(job, state):
    """Restores the newest readable checkpoint; returns what it says, or None. UserError: of another run."""
    path, arrays, about = newest(job.args.output)
    if path is None:
        return None
    if about['settings'] != job.fingerprint:
        raise UserError(f'{path} was made with other settings; repeat them, or start anew with --overwrite')
    mine = dict(job.identity)
    if mine['precision'] == 'float32':   # numbers that went wrong in half precision may go on in single
        del mine['precision']
    identity.demand_same(about, mine, path)
    wanted = {f'{k}/{i}': v for k, vs in state.items() for i, v in enumerate(vs)}
    shapes = {k: (tuple(v.shape), np.dtype(v.dtype if isinstance(v.dtype, str) else v.dtype.name))
              for k, v in wanted.items()}
    if shapes != {k: (a.shape, a.dtype) for k, a in arrays.items()}:
        raise UserError(f'{path} holds other arrays than this run has (it was made with --precision '
                        f'{about["precision"]}); repeat its settings, or start anew with --overwrite')
    for k, v in wanted.items():
        v.assign(arrays[k])
    return about


def attempts_used(args):
    """Restarts that the newest checkpoint of a resumed run has behind it."""
    return newest(args.output, arrays=False)[2].get('attempt', 0) if args.resume else 0


def kept_precision(output):
    """The precision that the run at `output` began with, or None."""
    said = newest(output, arrays=False)[2].get('precision')
    return said if said in ('float32', 'bfloat16', 'float16') else None


def renamed(args, output):
    """The same arguments for another output: a run inside a run, continued when it was interrupted."""
    return argparse.Namespace(**{**vars(args), 'output': output, 'resume': not args.overwrite})


def forget(output):
    """Removes the checkpoints of what is complete or given up."""
    shutil.rmtree(folder_of(output), ignore_errors=True)


def sweep(output):
    """Removes the temporary files that killed runs left of this output."""
    folder, name = os.path.split(os.path.abspath(output))
    for place, files in ((folder, re.escape(name) + r'\.(weights\.h5|json|history\.json)'),
                         (folder_of(output), r'\d{9}\.npz')):
        for entry in os.listdir(place) if os.path.isdir(place) else []:
            if re.fullmatch(r'\..{8}-' + files, entry):
                with contextlib.suppress(OSError):
                    os.remove(os.path.join(place, entry))


# What stands at --output

def demand_output(args):
    """Says before the work, not after it, that its result cannot or may not be written. Errors: UserError."""
    _demand_writable(args.output)
    if not args.overwrite and not args.resume and (_is_written(args.output) or checkpoints(args.output)):
        raise UserError(f'{args.output} exists; continue it with --resume, replace it with --overwrite, or '
                        'choose another --output')


def is_complete(output, fingerprint, who):
    """Do the weights of this very run stand there? Errors: UserError when they are another run's."""
    if not _is_written(output) or checkpoints(output):   # checkpoints go last: weights beside them are older
        return False
    about = read_sidecar(output)
    if about.get('settings') != fingerprint:
        raise UserError(f'{output} was made with other settings; repeat them, replace it with '
                        '--overwrite, or choose another --output')
    identity.demand_same(about, who, output)
    return True


def _is_written(output):
    return os.path.exists(output + '.weights.h5') and os.path.exists(output + '.json')


def _demand_writable(output):
    folder, name = os.path.split(os.path.abspath(output))
    if not name or output.endswith(os.sep):
        raise UserError(f'--output {output} names a folder; give the NAME of the weights in it')
    while not os.path.lexists(folder):   # nothing is made before there is something to write
        folder = os.path.dirname(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as f:
            f.write(bytes(MIN_BYTES))
    except OSError as e:
        raise UserError(f'cannot write {output}: {e.strerror}; make room or choose another --output') from e

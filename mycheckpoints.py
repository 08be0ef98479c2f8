"""Checkpoints: NAME.checkpoint/STEP.npz, whole or absent, the newest two; a damaged one gives way to the one before."""
from mycommon import UserError, whole_file  # first: it quietens TensorFlow

import argparse
import json
import os
import re
import shutil
import sys
import zipfile

import numpy as np

CHECKPOINTS = 2      # the newest ones that are kept
DAMAGE = OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error


def folder_of(output):
    return output + '.checkpoint'


def write_checkpoint(output, step, state, about):
    """Variables by name and JSON about them in one .npz; the newest CHECKPOINTS files stay."""
    arrays = {f'{k}/{i}': np.asarray(v.numpy()) for k, vs in state.items() for i, v in enumerate(vs)}
    with whole_file(os.path.join(folder_of(output), f'{step:09d}.npz')) as temporary, open(temporary, 'wb') as f:
        np.savez(f, about=np.array(json.dumps({**about, 'step': step})), **arrays)
    for old in checkpoints(output)[CHECKPOINTS:]:
        os.remove(old)


def checkpoints(output):
    """Checkpoint files, the newest first."""
    try:
        names = sorted((n for n in os.listdir(folder_of(output)) if re.fullmatch(r'\d{9}\.npz', n)), reverse=True)
    except OSError:
        return []
    return [os.path.join(folder_of(output), n) for n in names]


def read_checkpoint(output, state, settings):
    """Restores the newest readable checkpoint and returns what it says, or None. Damaged ones are passed over."""
    for path in checkpoints(output):
        try:
            with np.load(path, allow_pickle=False) as f:   # the zip's checksums show damage
                about = json.loads(str(f['about']))
                arrays = {k: [f[f'{k}/{i}'] for i in range(len(vs))] for k, vs in state.items()}
            if any(a.shape != tuple(v.shape) for k, vs in state.items() for a, v in zip(arrays[k], vs)):
                raise ValueError('arrays of another network')
        except DAMAGE as e:
            print(f'{path} is damaged ({str(e)[:80]}); trying the one before', file=sys.stderr)
            continue
        if about['settings'] != settings:
            raise UserError(f'{path} was made with other settings; repeat them, or start anew with --overwrite')
        for k, vs in state.items():
            for v, a in zip(vs, arrays[k]):
                v.assign(a)
        return about
    return None


def attempts_used(args):
    """Restarts that the newest checkpoint of a resumed run has behind it."""
    for path in checkpoints(args.output) if args.resume else []:
        try:
            with np.load(path, allow_pickle=False) as f:
                return int(json.loads(str(f['about']))['attempt'])
        except DAMAGE:
            continue
    return 0


def renamed(args, output):
    """The same arguments for another output: a run inside a run, which is continued when it was interrupted."""
    return argparse.Namespace(**{**vars(args), 'output': output, 'resume': True, 'overwrite': False})


def forget(args):
    """Removes the checkpoints of an attempt that is given up."""
    shutil.rmtree(folder_of(args.output), ignore_errors=True)


def finished(args):
    """True when --resume meets complete weights. Errors: UserError when they exist and may not be replaced."""
    complete = os.path.exists(args.output + '.weights.h5') and os.path.exists(args.output + '.json')
    begun = checkpoints(args.output)
    if args.overwrite:
        shutil.rmtree(folder_of(args.output), ignore_errors=True)
    elif args.resume:
        if complete:
            print(f'{args.output}.weights.h5 is complete; nothing to do')
        return complete
    elif complete or begun:
        raise UserError(f'{args.output} exists; continue it with --resume, replace it with --overwrite, or choose '
                        'another --output')
    return False

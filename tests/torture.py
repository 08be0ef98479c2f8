"""Kills real trainers at random moments, continues with --resume, compares what they leave bit for bit.

    python tests/torture.py --kills 50

Every run of every trainer, and a whole reproduction, is killed with SIGKILL again and again, half of the
time while a checkpoint is being written, until it ends; its weights, history and rows must then equal those
of a run that was left alone. After every kill all files are read. The last line says "50 kills, 0
differences, 0 unreadable files".
"""
import argparse
import glob
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import zipfile

import h5py

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import mymodels  # noqa: E402
import reproduce  # noqa: E402
import toys  # noqa: E402
import train1  # noqa: E402
import train2  # noqa: E402
import train3  # noqa: E402
import train_att  # noqa: E402
from scoring import rowfile  # noqa: E402

MAINS = {'train1': train1.main, 'train2': train2.main, 'train3': train3.main, 'train_att': train_att.main,
         'reproduce': reproduce.main}
LONG = ['--epochs', '4', '--steps-per-epoch', '10', '--batchsize', '24', '--deterministic', '--quiet']
OFTEN = ['--minutes', '1e-4']   # a checkpoint after every look at the losses
WIDTH = ['--width', '4']
RUNS = {   # {classifier}, {unet}: weights that toys.parents made
    'train1': ['train1', 'toy', *WIDTH, '--dense', '8', *OFTEN],
    'train2 auto': ['train2', 'toy', '{classifier}', *WIDTH, '--binarize', 'none', *OFTEN],
    'train2 restart': ['train2', 'toy', '{classifier}', *WIDTH, '--binarize', 'none', *OFTEN],
    'train2 0.3': ['train2', 'toy', '{classifier}', '--area', '0.3', *WIDTH, '--binarize', 'none'],
    'train3 adv textures': ['train3', 'toy', '{classifier}', '{unet}', 'otsu', 'adv', 'textures', *OFTEN],
    'train3 adv': ['train3', 'toy', '{classifier}', 'heuristic', 'none', 'adv', '--pool', '32',
                   '--halo', '1', '--renew', '1'],
    'train3 all': ['train3', 'toy', '{classifier}', 'truth', '0.5', 'black', 'noise', 'adv', 'real',
                   'textures', '--pool', '0', *OFTEN],
    'train3 pixels': ['train3', 'toy', '{classifier}', 'heuristic', 'none', 'pixels', '--pool', '64', *OFTEN],
    'train_att': ['train_att', 'toy', '--global-classifier', '{classifier}'],
    'train_att alone': ['train_att', 'toy', *WIDTH, '--dense', '8', *OFTEN],
    'reproduce': ['reproduce', 'toy', '--methods', 'baseline', 'attention', 'proposal', 'real'],
}


def command(name, folder, output, resume):
    """(script, its arguments) of one of RUNS."""
    parents = {kind: os.path.join(folder, kind) for kind in ('classifier', 'unet')}
    script, *words = [w.format(**parents) for w in RUNS[name]]
    if script == 'reproduce':   # the same command goes on by itself
        return script, [*words, '--deterministic', '--quiet', '--out', output]
    return script, [*words, *LONG, '--output', output, *(['--resume'] if resume else [])]


def collapse_first():
    """The first attempt of phase 2 starts with masks that stand still at 0."""
    train, bias = train2.train, mymodels.MASK_BIAS

    def collapsing(job, classifier, attempt):
        mymodels.MASK_BIAS = bias if attempt else -20.
        return train(job, classifier, attempt)
    train2.train = collapsing


def child(name, folder, output, resume):
    """Process id of a run that was just started (a fork: TensorFlow is imported but has not begun)."""
    script, words = command(name, folder, output, resume)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if name == 'train2 restart':
            collapse_first()
        os._exit(MAINS[script](words))
    except BaseException:
        traceback.print_exc()
        os._exit(70)


def ended(pid):
    """Exit code of the process (negative: the signal that ended it), or None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def writing(output):
    """Is a checkpoint half written at this moment?"""
    return bool(glob.glob(f'{output}.checkpoint/.*-*') + glob.glob(f'{output}/saved/*.checkpoint/.*-*'))


def kill(pid, output, moment, while_writing):
    """Kills the process `moment` seconds from now, or at the next checkpoint then; exit code or None."""
    began = time.monotonic()
    while time.monotonic() - began < moment or while_writing and not writing(output):
        code = ended(pid)
        if code is not None:
            return code
        time.sleep(2e-4 if while_writing else 2e-3)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def unreadable(folder):
    """Files with a proper name that cannot be read from end to end."""
    bad = []
    for place, _, names in os.walk(folder):
        for path in (os.path.join(place, n) for n in names if not n.startswith('.')):
            try:
                if path.endswith('.npz'):
                    with zipfile.ZipFile(path) as z:
                        if z.testzip():
                            bad.append(path)
                elif path.endswith('.h5'):
                    with h5py.File(path) as f:
                        f.visititems(lambda _, item: item[()] if isinstance(item, h5py.Dataset) else None)
                elif path.endswith('.json'):
                    with open(path) as f:
                        json.load(f)
                elif path.endswith('.csv'):
                    rowfile.read(path)
            except Exception as e:
                bad.append(f'{path}: {e}')
    return bad


def result(output):
    """What a run left, of trainers and of reproductions, for toys.differences."""
    if not os.path.isdir(output):
        return toys.result(output)
    phases = {os.path.basename(path)[:-11]: toys.result(path[:-11])
              for path in glob.glob(f'{output}/saved/*.weights.h5')}
    with open(f'{output}/tables.md') as f:
        whole = {'tables': f.read(), 'phases': sorted(phases)}
    for name, found in phases.items():
        whole |= {f'{name} {k}': v for k, v in found.items() if k != 'arrays'}
    arrays = {f'{name} {k}': v for name, found in phases.items() for k, v in found['arrays'].items()}
    rows = {name: rowfile.read(f'{output}/{name}.csv') for name in ('accuracy', 'masks')}
    return {**whole, **rows, 'arrays': arrays}


def left_alone(name, folder):
    """(output, seconds) of a run that nobody kills."""
    output, began = os.path.join(folder, name.replace(' ', '-')), time.monotonic()
    pid = child(name, folder, output, False)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit(f'{name} fails even when it is left alone')
    return output, time.monotonic() - began


def torture(name, folder, alone, seconds, kills, seed):
    """Kills one run up to `kills` times: (kills, differences, unreadable files)."""
    choose, output = random.Random(seed), f'{alone}-{seed}'
    span = (0.05, 0.5) if name == 'reproduce' else (0.1, 0.8)   # what is done is not repeated
    done, bad, code = 0, [], None
    while code is None:
        pid = child(name, folder, output, resume=done > 0)
        if done < kills:
            code = kill(pid, output, choose.uniform(*span)*seconds, choose.random() < 0.5)
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        done += code is None
        bad += unreadable(folder)
    found = [f'exit code {code}'] if code else toys.differences(result(alone), result(output))
    left = [p for p in glob.glob(f'{folder}/.*') + glob.glob(f'{output}/saved/.*')
            if os.path.basename(output) in p]
    found += [f'left behind: {n}' for n in left]
    print(f'{name}: {done} kills, differences: {found or "none"}, unreadable: {bad or "none"}', flush=True)
    return done, len(found), len(bad)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--kills', type=int, default=50)
    p.add_argument('--seed', type=int, default=0, help='of the moments')
    p.add_argument('--runs', nargs='+', choices=RUNS, default=list(RUNS), metavar='RUN',
                   help='which, by name')
    args = p.parse_args(argv)
    total, turn, alone = [0, 0, 0], 0, {}
    with tempfile.TemporaryDirectory() as folder:
        pid = os.fork()   # TensorFlow must not begin in this process: it would not survive the forks
        if not pid:
            toys.parents(folder)
            os._exit(0)
        os.waitpid(pid, 0)
        while total[0] < args.kills:
            name = args.runs[turn % len(args.runs)]
            if name not in alone:
                alone[name] = left_alone(name, folder)
            counts = torture(name, folder, *alone[name], min(4, args.kills - total[0]), args.seed + turn)
            total, turn = [a + b for a, b in zip(total, counts)], turn + 1
    print(f'{total[0]} kills, {total[1]} differences, {total[2]} unreadable files')
    return int(any(total[1:]))


if __name__ == '__main__':
    sys.exit(main())

"""Kills real trainers at random moments, continues with --resume, compares what they leave bit for bit.

    python tests/torture.py --kills 50

Every run of every trainer is killed with SIGKILL again and again, half of the time while a checkpoint is
being written, until it ends; its weights and history must then equal those of a run that was left alone.
After every kill all files are read. The last line says "50 kills, 0 differences, 0 unreadable files".
"""
import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import zipfile

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

import toys  # noqa: E402  (first: it quietens TensorFlow)

import h5py  # noqa: E402
import train1  # noqa: E402
import train2  # noqa: E402
import train3  # noqa: E402
import train_att  # noqa: E402

MAINS = {'train1': train1.main, 'train2': train2.main, 'train3': train3.main, 'train_att': train_att.main}
LONG = ['--epochs', '4', '--steps-per-epoch', '10', '--batchsize', '24', '--deterministic', '--quiet']
OFTEN = ['--minutes', '1e-4']   # a checkpoint after every look at the losses
WIDTH = ['--width', '4']
RUNS = {   # {classifier}, {unet}: weights that toys.parents made
    'train1': ['train1', 'toy', *WIDTH, '--dense', '8', *OFTEN],
    'train2 auto': ['train2', 'toy', '{classifier}', *WIDTH, '--binarize', 'none', *OFTEN],
    'train2 0.3': ['train2', 'toy', '{classifier}', '--area', '0.3', *WIDTH, '--binarize', 'none'],
    'train3 adv textures': ['train3', 'toy', '{classifier}', '{unet}', 'otsu', 'adv', 'textures', *OFTEN],
    'train3 adv': ['train3', 'toy', '{classifier}', 'heuristic', 'none', 'adv', '--pool', '32',
                   '--halo', '1'],
    'train3 all': ['train3', 'toy', '{classifier}', 'truth', '0.5', 'black', 'noise', 'adv', 'real',
                   'textures', '--pool', '0', *OFTEN],
    'train_att': ['train_att', 'toy', '--global-classifier', '{classifier}'],
    'train_att alone': ['train_att', 'toy', *WIDTH, '--dense', '8', *OFTEN],
}


def child(words, folder, output, resume):
    """Process id of a trainer that was just started (a fork: TensorFlow is imported but has not begun)."""
    parents = {kind: os.path.join(folder, kind) for kind in ('classifier', 'unet')}
    script, *rest = [w.format(**parents) for w in words]
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os._exit(MAINS[script]([*rest, *LONG, '--output', output, *(['--resume'] if resume else [])]))
    except BaseException:
        traceback.print_exc()
        os._exit(70)


def ended(pid):
    """Exit code of the process (negative: the signal that ended it), or None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def writing(output):
    """Is a checkpoint half written at this moment?"""
    try:
        return any(name.startswith('.') for name in os.listdir(output + '.checkpoint'))
    except OSError:
        return False


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
            except Exception as e:
                bad.append(f'{path}: {e}')
    return bad


def left_alone(name, folder):
    """(output, seconds) of a run that nobody kills."""
    output, began = os.path.join(folder, name.replace(' ', '-')), time.monotonic()
    pid = child(RUNS[name], folder, output, False)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit(f'{name} fails even when it is left alone')
    return output, time.monotonic() - began


def torture(name, folder, alone, seconds, kills, seed):
    """Kills one run up to `kills` times: (kills, differences, unreadable files)."""
    choose, output = random.Random(seed), f'{alone}-{seed}'
    done, bad, code = 0, [], None
    while code is None:
        pid = child(RUNS[name], folder, output, resume=done > 0)
        if done < kills:
            code = kill(pid, output, choose.uniform(0.2, 1)*seconds, choose.random() < 0.5)
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        done += code is None
        bad += unreadable(folder)
    found = [f'exit code {code}'] if code else toys.differences(toys.result(alone), toys.result(output))
    left = [n for n in os.listdir(folder) if n.startswith('.') and os.path.basename(output) in n]
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

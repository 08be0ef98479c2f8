"""A full disk, and what strangers hand over: nothing of it runs, and it does not fill the memory."""
import os
import pathlib
import re
import resource
import shutil

import numpy as np
import pytest

import mydatasets
import toys
import train1
from commands import run
from common.errors import UserError
from damage import Bomb, sidecar, WIDE
from training import checkpoints, weightfiles


# A full disk

@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount a small disk')
def test_a_full_disk_stops_the_run_with_one_line_and_no_half_file(tmp_path, capfd):
    disk = tmp_path/'disk'
    disk.mkdir()
    if os.system(f'mount -t tmpfs -o size=64k tmpfs {disk} 2>/dev/null'):
        pytest.skip('mounting is not allowed here')
    try:
        words = ['toy', '--width', '16', *toys.FEW, '--output', str(disk/'x')]
        code, err = run('train1', words, capfd)
        left = [os.path.join(place, n) for place, _, names in os.walk(disk) for n in names]
    finally:
        os.system(f'umount {disk}')
    assert code == 2 and len(err) == 1 and 'No space left' in err[0] and left == []


# Nothing from strangers runs

DANGEROUS = [r'\bpickle\b', r'\bmarshal\b', r'\bshelve\b', r'\bdill\b', r'joblib', r'allow_pickle\s*=\s*True',
             r'(?<![.\w])eval\(', r'(?<![.\w])exec\(', r'\bLambda\s*\(', r'safe_mode\s*=\s*False',
             r'yaml\.load\b',
             r'enable_unsafe_deserialization', r'os\.system', r'os\.popen', r'shell\s*=\s*True',
             r'__import__',
             r'extractall\(', r'load_model\((?![^)]*safe_mode=True)', r'torch\.load']
PROGRAM = sorted(p for pattern in ('*.py', '[a-z]*/*.py') for p in pathlib.Path(toys.ROOT).glob(pattern)
                 if p.parent.name not in ('tests', 'benchmarks', 'runs'))


@pytest.mark.parametrize('path', PROGRAM, ids=lambda p: f'{p.parent.name}/{p.name}')
def test_no_file_of_the_program_uses_calls_that_execute_data(path):
    code = '\n'.join(line.split('#')[0] for line in path.read_text().splitlines())
    code = re.sub(r'""".*?"""', '', code, flags=re.DOTALL)
    assert [d for d in DANGEROUS if re.search(d, code)] == []


def test_numpy_files_are_opened_without_pickle_and_python_would_notice(tmp_path):
    output = str(tmp_path/'x')
    os.makedirs(output + '.checkpoint')
    evil = np.empty(1, object)
    evil[0] = Bomb(tmp_path/'executed')
    with open(output + '.checkpoint/000000001.npz', 'wb') as f:
        np.savez(f, about=evil)
    assert checkpoints.read_checkpoint(toys.job(output), {}) is None and not (tmp_path/'executed').exists()


def test_compressed_checkpoints_are_not_unpacked(tmp_path, capfd):
    output = str(tmp_path/'x')
    os.makedirs(output + '.checkpoint')
    np.savez_compressed(output + '.checkpoint/000000001.npz', about=np.array('{}'), v=np.zeros(10**7))
    assert checkpoints.read_checkpoint(toys.job(output), {}) is None
    assert 'it is compressed' in capfd.readouterr().err


def test_memory_stays_bounded_when_a_sidecar_declares_gigabytes(weights, tmp_path):
    for ending in ('.weights.h5', '.json'):
        shutil.copy(weights/('f' + ending), tmp_path/('f' + ending))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for changes in (WIDE, {'shape': [1024, 1024, 3], 'network': {'backbone': 'VGG19', 'dense': [8192, 8192]}},
                    {'kind': 'unet', 'shape': [1024, 1024, 1], 'network': {'width': 512, 'depth': 8}},
                    {'kind': 'attention', 'shape': [1024, 1024, 1],
                     'network': {'width': 512, 'dense': 8192}}):
        (tmp_path/'in').mkdir(exist_ok=True)
        for ending in ('.weights.h5', '.json'):
            shutil.copy(tmp_path/('f' + ending), tmp_path/'in'/('f' + ending))
        sidecar(**changes)(tmp_path)
        with pytest.raises(UserError, match='is not the network'):
            weightfiles.load(tmp_path/'in/f')
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100_000   # kB


def test_output_is_refused_before_the_work_and_not_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(mydatasets, 'load', lambda *args, **more: pytest.fail('the work has begun'))
    with pytest.raises(UserError):
        train1.run(train1.parse(['toy', '--output', '/proc/nothing/x']))

"""The launcher itself, without TensorFlow."""
import json
import os
import subprocess
import time

import pytest

import launch
import toys
import train3
from training import devices


def script(tmp_path, monkeypatch, text):
    """train1.py replaced by a script that needs no time."""
    (tmp_path/'train1.py').write_text('import json, os, sys, time\n'
                                      'task = json.loads(os.environ["TF_CONFIG"])["task"]["index"]\n' + text)
    monkeypatch.setattr(launch, '__file__', str(tmp_path/'launch.py'))


def test_the_launcher_shows_lines_behind_the_number_of_their_worker(tmp_path, monkeypatch, capfd):
    script(tmp_path, monkeypatch, 'print("hello", *sys.argv[1:])\nprint("oh", file=sys.stderr)')
    assert launch.main(['--workers', '3', 'train1.py', 'toy', '--lr', '1']) == 0
    shown = capfd.readouterr()
    assert sorted(shown.out.splitlines()) == [
        f'[{i}] hello toy --lr 1 --strategy multiworker' for i in range(3)]
    assert sorted(shown.err.splitlines()) == [f'[{i}] oh' for i in range(3)]


def test_every_worker_gets_a_configuration_of_its_own(tmp_path, monkeypatch, capfd):
    script(tmp_path, monkeypatch, 'print(os.environ["TF_CONFIG"])')
    assert launch.main(['--workers', '2', 'train1.py', 'toy']) == 0
    configs = [json.loads(line[4:]) for line in sorted(capfd.readouterr().out.splitlines())]
    addresses = configs[0]['cluster']['worker']
    assert len(set(addresses)) == 2 and all(c['cluster'] == configs[0]['cluster'] for c in configs)
    assert [c['task'] for c in configs] == [{'type': 'worker', 'index': i} for i in (0, 1)]


def written(folder, name, text):
    """An executable shell script."""
    (folder/name).write_text('#!/bin/bash\n' + text)
    (folder/name).chmod(0o755)


@pytest.mark.parametrize('cluster, host', [('srun', 'node{}'), ('JOB_COMPLETION_INDEX', 'train3-{}.train3')])
def test_the_commands_for_clusters_tell_every_worker_its_place(cluster, host, tmp_path):
    with open(os.path.join(toys.ROOT, 'docs', 'clusters.md')) as f:
        command = next(b for b in f.read().split('```')[1::2] if cluster in b)
    if cluster != 'srun':
        command = command[command.index('export '):command.index('END\n', command.index('export '))]
    written(tmp_path, 'scontrol', 'printf "node0\\nnode1\\n"')
    written(tmp_path, 'srun', 'for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done')
    written(tmp_path, 'python', 'tr -d "\\n" <<< "$TF_CONFIG"; echo "|$*"')
    found = []
    for index in '0', '1':
        env = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'JOB_COMPLETION_INDEX': index}
        found += subprocess.check_output(['bash', '-c', command], env=env, text=True).splitlines()
    for index, line in enumerate(found[:2]):   # srun starts both at once
        config, words = line.split('|')
        assert json.loads(config) == {'cluster': {'worker': [host.format(i) + ':12345' for i in (0, 1)]},
                                      'task': {'type': 'worker', 'index': index}}
        script, *argv = words.split()
        assert script == 'train3.py' and train3.parse(argv).strategy == 'multiworker'


@pytest.mark.parametrize('how, code, word', [('sys.exit(3)', 3, 'exit code 3'),
                                             ('os.kill(os.getpid(), 9)', 137, 'signal 9')])
def test_the_launcher_stops_all_when_one_dies(how, code, word, tmp_path, monkeypatch, capfd):
    script(tmp_path, monkeypatch, f'if task == 1: {how}\ntime.sleep(60)')
    began = time.monotonic()
    assert launch.main(['--workers', '2', 'train1.py', 'toy']) == code and time.monotonic() - began < 10
    assert f'launch: worker 1 ended with {word}' in capfd.readouterr().err


@pytest.mark.parametrize('config', ('', '{', '[]', '{}', '{"cluster": 1, "task": 2}', 'null',
                                    '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
                                    '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": -1}}',
                                    '{"cluster": {"ps": ["a"]}, "task": {"type": "ps", "index": 0}}'))
def test_a_configuration_that_names_no_worker_is_refused(config, monkeypatch):
    from common.errors import UserError
    monkeypatch.setenv('TF_CONFIG', config)
    with pytest.raises(UserError, match='TF_CONFIG'):
        devices.strategy_of('multiworker')


def test_one_process_is_its_own_chief():
    import tensorflow as tf
    assert devices.chief(tf.distribute.get_strategy())
    assert devices.chief(devices.strategy_of('mirrored'))

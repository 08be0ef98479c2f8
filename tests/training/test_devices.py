"""Several devices and processes: the same curve as on one, one writer, an end when a worker dies."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import launch
import toys
import train3
from training import checkpoints

# a batch whose shares are powers of two: else Adam, which divides gradients by their own size, turns the
# rounding of those near 0 into whole steps
STEPS = ['--epochs', '2', '--steps-per-epoch', '10', '--batchsize', '32', '--precision', 'float32', '--quiet']
CLOSE = 1e-4     # of weights after 20 steps
PATIENCE = 600   # seconds: other work may have the processors


def argv(script, folder, output, *more):
    """The command line of 20 steps."""
    words = toys.argv(script, folder, output, *more)
    start = words.index(toys.FEW[0])
    return [*words[:start], *STEPS, *words[start + len(toys.FEW):]]


def distance(a, b):
    """Largest difference between the weights of two runs."""
    one, two = toys.result(str(a))['arrays'], toys.result(str(b))['arrays']
    return max(abs(np.frombuffer(one[k][2], np.float32) - np.frombuffer(two[k][2], np.float32)).max()
               for k in one)


def curves(a, b):
    """Largest relative difference between the training curves (losses and accuracies, epoch by epoch)."""
    one, two = toys.result(str(a))['history'], toys.result(str(b))['history']
    assert [h.keys() for h in one] == [h.keys() for h in two]
    return max(abs(g[k] - h[k])/(1e-6 + abs(g[k])) for g, h in zip(one, two) for k in g
               if not k.startswith('val_'))


def agree(a, b):
    """Fails unless the two runs differ by rounding alone."""
    assert distance(a, b) < CLOSE and curves(a, b) < 1e-3, (a, b)


def on_cpus(n, *runs):
    """Trainers in one process with n logical CPUs; its output."""
    words = [w for run in runs for w in ('--', *run)][1:]
    done = subprocess.run([sys.executable, os.path.join(toys.ROOT, 'tests', 'cpus.py'), str(n), *words],
                          cwd=toys.ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def launched(words, **options):
    command = [sys.executable, os.path.join(toys.ROOT, 'launch.py'), '--workers', '2', *map(str, words)]
    return subprocess.Popen(command, cwd=toys.ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **options)


@pytest.mark.slow
def test_phase_3_with_a_pool_on_two_replicas_ends_with_the_weights_of_one(tmp_path):
    toys.parents(tmp_path)
    on_cpus(2, ['train3', *argv('train3', tmp_path, 'two', '--strategy', 'mirrored')])
    assert train3.main(argv('train3', tmp_path, 'one')) == 0
    agree(tmp_path/'one', tmp_path/'two')


@pytest.mark.slow
@pytest.mark.parametrize('replicas', (2, 4))
def test_all_phases_on_several_replicas_end_with_the_weights_of_one(replicas, tmp_path):
    toys.parents(tmp_path)
    for n in (1, replicas):
        on_cpus(n, *([s, *argv(s, tmp_path, f'{s}-{n}', '--strategy', 'mirrored')] for s in toys.SCRIPTS))
    for s in toys.SCRIPTS:
        agree(tmp_path/f'{s}-1', tmp_path/f'{s}-{replicas}')


@pytest.mark.slow
def test_phases_in_one_process_share_one_strategy(tmp_path):
    """The attention baseline and its global branch are trained one after the other, on the same devices."""
    words = ['toy', '--width', '4', '--dense', '8', *STEPS, '--strategy', 'mirrored', '--overwrite']
    for n in (1, 2):
        on_cpus(n, *(['train_att', *words, '--output', str(tmp_path/str(n))] for _ in range(2)))
    agree(tmp_path/'1-global', tmp_path/'2-global')
    # the local branches start from global ones apart by rounding, which Adam makes whole steps: see STEPS
    assert curves(tmp_path/'1', tmp_path/'2') < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize('more', (['--adversary', 'plain'], ['--fresh', '1'], ['--imsave'], ['--renew', '1']))
def test_forms_of_phase_3_on_two_replicas_end_with_the_weights_of_one(more, tmp_path):
    toys.parents(tmp_path)
    for n in (1, 2):
        on_cpus(n, ['train3', *argv('train3', tmp_path, str(n), '--strategy', 'mirrored', *more)])
    assert distance(tmp_path/'1', tmp_path/'2') < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize('more', ([], ['--ascent-falling', '--ascent-tries', '2', '--ascent-keep', '4',
                                      '--ascent-dilate', '1']))
def test_ascent_with_a_pool_on_two_replicas_ends_with_the_weights_of_one(more, tmp_path):
    toys.parents(tmp_path)
    for n in (1, 2):
        words = argv('train3', tmp_path, str(n), '--strategy', 'mirrored', '--ascent-steps', '2', *more)
        on_cpus(n, ['train3', *('pixels' if w == 'adv' else w for w in words)])
    assert distance(tmp_path/'1', tmp_path/'2') < CLOSE


@pytest.mark.slow
def test_a_run_on_two_replicas_is_continued_on_one_and_the_other_way(tmp_path):
    toys.parents(tmp_path)
    words = ['train3', *argv('train3', tmp_path, 'two', '--strategy', 'mirrored')]
    cpus = os.path.join(toys.ROOT, 'tests', 'cpus.py')
    process = subprocess.Popen([sys.executable, cpus, '2', *words])
    wait_for(lambda: checkpoints.checkpoints(str(tmp_path/'two')), process)
    process.kill()
    process.wait()
    assert train3.main(argv('train3', tmp_path, 'one')) == 0
    if checkpoints.checkpoints(str(tmp_path/'two')):   # it may have ended just before
        assert train3.main(argv('train3', tmp_path, 'two', '--resume')) == 0
    assert distance(tmp_path/'one', tmp_path/'two') < CLOSE


def wait_for(ready, process, seconds=PATIENCE):
    began = time.monotonic()
    while not ready():
        assert process.poll() is None and time.monotonic() - began < seconds, process.communicate()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize('script', toys.SCRIPTS)
def test_two_processes_end_with_the_weights_of_one_and_only_the_chief_writes(script, tmp_path):
    toys.parents(tmp_path)
    there = set(os.listdir(tmp_path))
    process = launched([f'{script}.py', *argv(script, tmp_path, 'two')])
    out, err = process.communicate()
    assert process.returncode == 0 and err == '', err
    lines = out.splitlines()
    assert [line[:12] for line in lines] == ['[0] weights:', '[0] next: py']   # worker 1 has nothing to say
    assert set(os.listdir(tmp_path)) - there == {'two.json', 'two.weights.h5', 'two.history.json'}
    on_cpus(1, [script, *argv(script, tmp_path, 'one')])
    agree(tmp_path/'one', tmp_path/'two')


@pytest.mark.slow
def test_workers_of_unequal_speed_do_as_many_steps_between_two_looks(tmp_path):
    shutil.copy(launch.__file__, tmp_path)   # it starts the train1.py beside it
    (tmp_path/'train1.py').write_text(f"""import json, os, sys, time, types
sys.path.insert(0, {toys.ROOT!r})
import train1
from training import loop
if json.loads(os.environ['TF_CONFIG'])['task']['index']:   # a clock that makes steps seem slow
    loop.time = types.SimpleNamespace(monotonic=lambda: 100*time.monotonic())
sys.exit(train1.main(sys.argv[1:]))""")
    words = argv('train1', tmp_path, 'two', '--steps-per-epoch', '30')
    command = [sys.executable, str(tmp_path/'launch.py'), '--workers', '2', 'train1.py', *words]
    process = subprocess.Popen(command)
    try:
        assert process.wait(PATIENCE) == 0
    finally:
        process.terminate()   # should they wait for each other for ever


def children(process):
    """Process ids of the workers."""
    with open(f'/proc/{process.pid}/task/{process.pid}/children') as f:
        return [int(pid) for pid in f.read().split()]


@pytest.mark.slow
@pytest.mark.parametrize('victim', (0, 1))
def test_a_worker_that_dies_ends_the_job_with_a_clear_line_and_the_job_resumes(victim, tmp_path):
    toys.parents(tmp_path)
    words = ['train3.py', *argv('train3', tmp_path, 'two', '--epochs', '30')]
    process = launched(words)
    wait_for(lambda: checkpoints.checkpoints(str(tmp_path/'two')), process)
    os.kill(children(process)[victim], signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGKILL
    assert f'launch: worker {victim} ended with signal 9' in err and 'Traceback' not in err
    assert checkpoints.checkpoints(str(tmp_path/'two')) and not (tmp_path/'two.weights.h5').exists()
    again = launched([*words, '--resume'])
    assert again.wait(PATIENCE) == 0, again.communicate()
    with open(tmp_path/'two.history.json') as f:
        assert len(json.load(f)) == 30
    on_cpus(1, ['train3', *argv('train3', tmp_path, 'one', '--epochs', '30')])
    assert distance(tmp_path/'one', tmp_path/'two') < 1e-2   # 300 steps: rounding has had time to grow


def configured(words):
    """Two workers of phase 1 that TF_CONFIG alone brings together."""
    cluster = {'worker': [f'localhost:{port}' for port in launch.free_ports(2)]}
    configs = [json.dumps({'cluster': cluster, 'task': {'type': 'worker', 'index': i}}) for i in (0, 1)]
    return [toys.spawn('train1', [*words, '--strategy', 'multiworker'], env={**os.environ, 'TF_CONFIG': c})
            for c in configs]


@pytest.mark.slow
@pytest.mark.parametrize('victim', (0, 1))
def test_without_the_launcher_a_worker_says_itself_that_another_has_gone(victim, tmp_path):
    workers = configured(argv('train1', tmp_path, 'two', '--epochs', '2000'))
    wait_for(lambda: checkpoints.checkpoints(str(tmp_path/'two')), workers[0])
    workers[victim].kill()
    workers[victim].communicate()
    other = workers[1 - victim]
    _, err = other.communicate(timeout=PATIENCE)
    assert other.returncode == 2 and len(err.splitlines()) == 1
    assert err.startswith('error: lost another worker') and '--resume' in err


@pytest.mark.slow
def test_a_worker_that_stalls_for_a_while_is_waited_for(tmp_path):
    workers = configured(argv('train1', tmp_path, 'two', '--epochs', '20'))
    wait_for(lambda: checkpoints.checkpoints(str(tmp_path/'two')), workers[0])
    workers[1].send_signal(signal.SIGSTOP)
    time.sleep(25)   # TensorFlow itself gives up after 10 to 20
    workers[1].send_signal(signal.SIGCONT)
    assert [w.communicate(timeout=PATIENCE)[1] for w in workers] == ['', '']
    assert [w.returncode for w in workers] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize('number', (signal.SIGINT, signal.SIGTERM))
def test_ctrl_c_of_the_launcher_lets_the_chief_save(number, tmp_path):
    toys.parents(tmp_path)
    process = launched(['train1.py', *argv('train1', tmp_path, 'two', '--epochs', '500')])
    wait_for(lambda: checkpoints.checkpoints(str(tmp_path/'two')), process)
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and '[0] interrupted; continue with --resume' in err.splitlines()
    assert '[1]' not in err and checkpoints.checkpoints(str(tmp_path/'two'))


@pytest.mark.slow
def test_a_mistake_of_the_user_ends_the_job_with_exit_code_2(tmp_path):
    process = launched(['train1.py', 'mnst'])
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2 and 'did you mean mnist?' in err and 'Traceback' not in err

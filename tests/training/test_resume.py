"""Runs that survive: killed, interrupted and damaged runs end bit for bit like one that was left alone."""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import toys
import train1
import train_att
from common.errors import guard
from training import checkpoints, loop, start

ROOT = toys.ROOT
WORDS = ['toy', '--width', '4', '--dense', '8', '--epochs', '4', '--steps-per-epoch', '2', '--batchsize',
         '12', '--precision', 'float32', '--quiet']


def torture(*words):
    """Output of the harness that kills real processes."""
    command = [sys.executable, os.path.join(ROOT, 'tests', 'torture.py'), *words]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_killed_run_of_phase_3_with_a_pool_ends_bit_for_bit_like_one_left_alone():
    lines = torture('--kills', '1', '--runs', 'train3 adv textures')
    assert lines[-1] == '1 kills, 0 differences, 0 unreadable files'


@pytest.mark.slow
@pytest.mark.parametrize('seed', (1, 2))
def test_killed_runs_of_all_trainers_end_bit_for_bit_like_ones_left_alone(seed):
    assert torture('--kills', '24', '--seed', str(seed))[-1] == '24 kills, 0 differences, 0 unreadable files'


@pytest.mark.slow
@pytest.mark.parametrize('script', toys.SCRIPTS)
def test_the_same_command_gives_equal_bits_and_another_seed_others(script, tmp_path):
    toys.parents(tmp_path)
    outputs = {'one': 0, 'two': 0, 'other': 1}
    for name, seed in outputs.items():
        process = toys.spawn(script, toys.argv(script, tmp_path, name, '--deterministic', '--seed', seed))
        assert process.wait() == 0, process.communicate()
    one, two, other = (toys.result(str(tmp_path/name)) for name in outputs)
    assert toys.differences(one, two) == [] and len(toys.differences(one, other)) > 2


# Interrupted in this process

def interrupt_at(monkeypatch, step, number=signal.SIGINT):
    """The process gets a signal while it looks at the losses after `step` steps or a little later."""
    look = loop._abort_unless_finite

    def interrupted(losses, first, output):
        look(losses, first, output)
        if first + len(next(iter(losses.values()))) >= step:
            signal.raise_signal(number)
    monkeypatch.setattr(loop, '_abort_unless_finite', interrupted)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A folder with `whole`, a complete run of phase 1, and `part`, the same interrupted at step 5 or 6."""
    folder = tmp_path_factory.mktemp('runs')
    assert train1.main([*WORDS, '--output', str(folder/'whole')]) == 0
    with pytest.MonkeyPatch.context() as m:
        interrupt_at(m, 5)
        assert train1.main([*WORDS, '--output', str(folder/'part')]) == 130
    return folder


@pytest.fixture
def part(runs, tmp_path):
    """A copy of the interrupted run, to be continued or damaged."""
    shutil.copytree(runs/'part.checkpoint', tmp_path/'part.checkpoint')
    return tmp_path/'part'


def same_as_whole(runs, output):
    whole, ours = toys.result(str(runs/'whole')), toys.result(str(output))
    assert whole['settings'] == ours['settings'] and len(ours['history']) == 4
    for a, b in zip(whole['history'], ours['history']):
        assert a.keys() == b.keys() and all(np.isclose(a[k], b[k], atol=1e-5) for k in a)
    for k, (dtype, _, data) in whole['arrays'].items():
        theirs = np.frombuffer(ours['arrays'][k][2], dtype)
        assert np.allclose(np.frombuffer(data, dtype), theirs, atol=1e-5)


def test_ctrl_c_saves_what_was_done_and_exits_130(runs, capfd):
    saved = checkpoints.checkpoints(str(runs/'part'))
    assert 1 <= len(saved) <= checkpoints.CHECKPOINTS and int(saved[0][-13:-4]) in (5, 6)
    assert not os.path.exists(runs/'part.weights.h5')


def test_an_interrupted_run_is_continued_to_what_it_would_have_been(runs, part, capsys):
    assert train1.main([*WORDS, '--output', str(part), '--resume']) == 0
    same_as_whole(runs, part)
    assert not os.path.exists(f'{part}.checkpoint') and capsys.readouterr().err == ''


def test_sigterm_saves_too(tmp_path, monkeypatch, capfd):
    interrupt_at(monkeypatch, 1, signal.SIGTERM)
    assert train1.main([*WORDS, '--output', str(tmp_path/'out')]) == 130
    assert len(checkpoints.checkpoints(str(tmp_path/'out'))) == 1
    lines = [line for line in capfd.readouterr().err.splitlines() if line]
    assert lines[-1] == 'interrupted; continue with --resume'
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL   # as it was


@pytest.mark.parametrize('args, mend', [({'resume': False}, 'continue with --resume'),
                                        ({}, 'start the same command again')])
def test_ctrl_c_names_resume_only_where_there_is_such_an_option(args, mend, capsys):
    def interrupted(_):
        raise KeyboardInterrupt
    assert guard(interrupted, argparse.Namespace(**args)) == 130
    assert capsys.readouterr().err == f'interrupted; {mend}\n'


def damage(path, kind):
    data = pathlib.Path(path).read_bytes()
    middle = len(data)//2
    new = {'truncated': data[:middle], 'empty': b'', 'flipped': data[:middle] + bytes([data[middle] ^ 1])
           + data[middle + 1:], 'text': b'hello\n'*100}[kind]
    pathlib.Path(path).write_bytes(new)


@pytest.mark.parametrize('kind', ('truncated', 'flipped'))
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_and_says_so(kind, runs, part, capsys):
    newest, before = checkpoints.checkpoints(str(part))
    damage(newest, kind)
    assert train1.main([*WORDS, '--output', str(part), '--resume']) == 0
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and err[0].startswith(f'{newest} is damaged') and 'trying the one before' in err[0]
    same_as_whole(runs, part)


@pytest.mark.parametrize('kind', ('empty', 'text', 'truncated', 'flipped'))
def test_when_no_checkpoint_is_readable_that_is_said(kind, part, capsys):
    for path in checkpoints.checkpoints(str(part)):
        damage(path, kind)
    assert checkpoints.read_checkpoint(toys.job(part), {}) is None
    assert capsys.readouterr().err.splitlines()[-1].endswith('starting from the beginning')


def test_a_run_begun_in_one_precision_is_continued_in_it_whatever_the_processor(part, monkeypatch):
    monkeypatch.setattr(start, 'processor', lambda: 'avx512_bf16')
    for resume, expected in (['--resume'], 'float32'), ([], 'bfloat16'):
        args = train1.parse([*WORDS, '--precision', 'auto', '--output', str(part), *resume])
        assert start.settled_precision(args, {}) == expected


@pytest.mark.parametrize('more, word', [
    (['--resume', '--lr', '0.1'], 'other settings'),
    (['--resume', '--precision', 'float16'], 'float32, not float16'),
    ([], '--resume'), (['--resume', '--width', '5'], 'other settings')])
def test_a_run_is_not_continued_as_another_one(part, more, word, capsys):
    before = sorted(os.listdir(f'{part}.checkpoint'))
    assert train1.main([*WORDS, '--output', str(part), *more]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and word in err[0]
    assert sorted(os.listdir(f'{part}.checkpoint')) == before and not os.path.exists(f'{part}.weights.h5')


def test_a_complete_run_is_not_repeated_nor_taken_for_another_one(runs, capsys):
    output = ['--output', str(runs/'whole')]
    before = os.stat(runs/'whole.weights.h5').st_mtime_ns
    assert train1.main([*WORDS, *output, '--resume']) == 0 and 'nothing to do' in capsys.readouterr().out
    for more, word in ([], '--overwrite'), (['--resume', '--lr', '0.1'], 'other settings'):
        assert train1.main([*WORDS, *output, *more]) == 2 and word in capsys.readouterr().err
    assert os.stat(runs/'whole.weights.h5').st_mtime_ns == before


def test_overwrite_forgets_what_stood_there_and_what_killed_runs_left(part, monkeypatch):
    for name in ('.abcdefgh-part.weights.h5', '.abcdefgh-part.json', '.abcdefgh-other.json'):
        (part.parent/name).write_text('half')
    (part.parent/'part.checkpoint'/'.abcdefgh-000000007.npz').write_text('half')
    args = train1.parse([*WORDS, '--output', str(part), '--overwrite'])
    start.begin(args, 'any')
    assert sorted(os.listdir(part.parent)) == ['.abcdefgh-other.json']   # other runs are none of our business


def test_weights_beside_a_checkpoint_are_those_of_before_an_overwriting_run(runs, part):
    for ending in ('.weights.h5', '.json'):
        shutil.copy(str(runs/'whole') + ending, str(part) + ending)
    assert checkpoints.is_complete(str(part), 'any', {}) is False


def test_only_the_newest_two_checkpoints_are_kept(tmp_path):
    import tensorflow as tf
    for step in range(5):
        checkpoints.write_checkpoint(toys.job(tmp_path/'x'), step, {'v': [tf.Variable(1.)]}, {})
    assert sorted(os.listdir(tmp_path/'x.checkpoint')) == ['000000003.npz', '000000004.npz']


def test_a_signal_after_the_last_look_waits_for_the_next_one(tmp_path, monkeypatch):
    """Nothing lies between the question and what follows from it: what stops has been saved."""
    asked = []

    def once_in_between():   # the second question of a step would find the signal that the first did not
        asked.append(len(asked) > 2 and len(asked) % 2 == 1)
        return asked[-1]
    monkeypatch.setattr(loop, 'interruptible', lambda listens: contextlib.nullcontext(once_in_between))
    monkeypatch.setattr(loop, 'CHUNK_SECONDS', 1e-9)
    output = tmp_path/'x'
    assert train1.main([*WORDS, '--output', str(output)]) == 130
    step = len(asked)   # one question a step
    assert os.path.exists(f'{output}.checkpoint/{step:09d}.npz')


@pytest.mark.slow
def test_the_running_means_do_not_depend_on_how_the_steps_were_cut_into_chunks(tmp_path, monkeypatch):
    found = []
    for seconds in (1e-9, 1e9):   # one step a chunk, all in one
        monkeypatch.setattr(loop, 'CHUNK_SECONDS', seconds)
        words = [*WORDS, '--epochs', '1', '--steps-per-epoch', '12', '--output', str(tmp_path/str(seconds))]
        assert train1.main(words) == 0
        found.append(toys.result(str(tmp_path/str(seconds))))
    assert toys.differences(*found) == []


@pytest.mark.slow
def test_the_global_branch_of_the_attention_baseline_is_continued_too(tmp_path, monkeypatch):
    words = ['toy', *WORDS[1:], '--output', str(tmp_path/'a')]
    with monkeypatch.context() as m:
        interrupt_at(m, 3)
        assert train_att.main(words) == 130
    assert os.listdir(tmp_path) == ['a-global.checkpoint']
    assert train_att.main([*words, '--resume']) == 0
    with open(tmp_path/'a-global.history.json') as f:
        assert len(json.load(f)) == 4

"""What importing TensorFlow through common.quiet leaves out, there for whoever asks later, and turns on."""
import os
import subprocess
import sys

import pytest

import toys
from common.quiet import without

TRAINERS = '''import sys
import train1, train2, train3, train_att
print(sorted({"matplotlib", "sklearn", "scipy.stats", "tensorflow_datasets"} & set(sys.modules)))
import matplotlib, sklearn'''
ONEDNN = '''import os, platform, sys
from unittest.mock import MagicMock
sys.modules.update(keras=MagicMock(), tensorflow=MagicMock())
platform.machine = lambda: sys.argv[1]
import common.quiet
print(os.environ.get("TF_ENABLE_ONEDNN_OPTS"))'''


@pytest.mark.slow
def test_trainers_do_not_wait_for_libraries_that_they_do_not_use():
    done = subprocess.run([sys.executable, '-c', TRAINERS], cwd=toys.ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ('[]\n', '', 0)


@pytest.mark.parametrize('machine, own, left', [
    ('x86_64', {}, '1'), ('AMD64', {}, '1'), ('aarch64', {}, 'None'),
    ('x86_64', {'TF_ENABLE_ONEDNN_OPTS': '0'}, '0')])
def test_onednn_is_on_where_it_is_known_to_help_unless_someone_says_otherwise(machine, own, left):
    env = {k: v for k, v in os.environ.items() if k != 'TF_ENABLE_ONEDNN_OPTS'} | own
    done = subprocess.run([sys.executable, '-c', ONEDNN, machine], cwd=toys.ROOT, env=env,
                          capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (left + '\n', '')


def test_modules_are_missing_for_a_while_unless_they_were_loaded(monkeypatch):
    import json
    monkeypatch.delitem(sys.modules, 'wave', raising=False)
    with without('wave', 'json'):
        with pytest.raises(ImportError):
            import wave
        import json as still
        assert still is json
    import wave
    assert wave.open

"""What importing TensorFlow through common.quiet leaves out, and that it is there for whoever asks later."""
import subprocess
import sys

import pytest

import toys
from common.quiet import without

TRAINERS = '''import sys
import train1, train2, train3, train_att
print(sorted({"matplotlib", "sklearn", "scipy.stats", "tensorflow_datasets"} & set(sys.modules)))
import matplotlib, sklearn'''


def test_trainers_do_not_wait_for_libraries_that_they_do_not_use():
    done = subprocess.run([sys.executable, '-c', TRAINERS], cwd=toys.ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ('[]\n', '', 0)


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

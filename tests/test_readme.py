"""What README.md and the Makefile promise."""
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import toys
import reproduce
from scoring import rowfile
from toys import text_of

ROOT = toys.ROOT


def readme_commands():
    with open(os.path.join(ROOT, 'README.md')) as f:
        text = f.read()
    block = re.search(r'<!-- commands: a test runs these -->\n```\n(.*?)```', text, re.S).group(1)
    return [line for line in block.splitlines() if line.startswith('python ')]


def test_the_readme_leads_through_every_script_with_arguments_that_they_take():
    scripts = [line.split()[1] for line in readme_commands()]
    assert scripts == ['train1.py', 'train2.py', 'train3.py', 'train_att.py',
                       'evaluate.py', 'evaluate_seg.py']


@pytest.mark.slow
def test_the_commands_of_the_readme_work(tmp_path):
    for line in readme_commands():
        words = [os.path.join(ROOT, w) if w.endswith('.py') else w for w in line.split()[1:]]
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
    assert 'mean of six' in subprocess.run(
        [sys.executable, os.path.join(ROOT, 'evaluate.py'), 'digits_backgrounds', 'saved/digits-adv-0'],
        cwd=tmp_path, capture_output=True, text=True).stdout
    assert list((tmp_path/'saved'/'masks').glob('*.png'))


@pytest.mark.slow
def test_the_demo_keeps_its_point(tmp_path):
    """The command of `make demo`, in another folder: how far its rows are above Baseline."""
    line = re.search(r'reproduce\.py (digits .*) --out', text_of('Makefile'))[1].replace('$(MORE)', '')
    assert reproduce.main([*line.split(), '--out', str(tmp_path/'demo'), '--quiet']) == 0
    rows = rowfile.read(str(tmp_path/'demo'/'accuracy.csv'))
    patterns = [r for r in rows if r['test'] != 'original']
    six = {method: np.mean([r['accuracy'] for r in rowfile.find(patterns, method=method)])
           for method in ('baseline', 'proposal', 'textures')}
    assert six['proposal'] - six['baseline'] >= 0.20 and six['textures'] - six['baseline'] >= 0.40

"""Whose weights these are: a run is taken up again as itself alone, whatever else has the same settings."""
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import toys
import train1
import train2
import train3
from training import checkpoints, identity, start, weightfiles

WORDS = [*toys.FEW, '--width', '4', '--dense', '8']


def run(output, *words, dataset='toy', script=train1):
    return script.main([dataset, *WORDS, '--output', str(output), *words])


def folder(root, seed=0):
    return f'folder:{toys.photographs(root, seed=seed)}'


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A complete run, which no test changes."""
    output = tmp_path_factory.mktemp('finished')/'x'
    assert run(output) == 0
    return output


@pytest.fixture(scope='module')
def begun(finished, tmp_path_factory):
    """The same run, but stopped: its checkpoint stands there, its weights do not."""
    output = tmp_path_factory.mktemp('begun')/'x'
    settings = json.loads(finished.with_suffix('.json').read_text())['settings']
    job = start.begin(train1.parse(['toy', *WORDS, '--output', str(output)]), settings)
    checkpoints.write_checkpoint(job, 2, {}, {'history': [], 'seen': {}, 'attempt': 0, 'seconds': 1.})
    return output


@pytest.mark.parametrize('words, dataset, named', [
    ([], 'digits', 'the data set'), (['--seed', '1'], 'toy', '--seed'),
    (['--precision', 'float16'], 'toy', '--precision')])
@pytest.mark.parametrize('state', ('finished', 'begun'))
def test_another_data_set_seed_or_precision_is_not_taken_up_with_resume(state, words, dataset, named, request,
                                                                        capsys):
    output = request.getfixturevalue(state)
    capsys.readouterr()
    assert run(output, '--resume', *words, dataset=dataset) == 2
    line = capsys.readouterr().err.strip()
    assert line.count('\n') == 0 and named in line and '--overwrite' in line


def test_the_same_run_is_taken_up(finished, capsys):
    assert run(finished, '--resume') == 0
    assert 'nothing to do' in capsys.readouterr().out


def test_other_parents_of_the_same_settings_are_other_weights(tmp_path, capsys):
    f, _ = toys.parents(tmp_path)
    words = ['--width', '4', '--binarize', 'none']
    assert train2.main(['toy', f, *words, *toys.FEW, '--output', str(tmp_path/'u')]) == 0
    model, about = weightfiles.load(f)
    model.variables[0].assign(model.variables[0] + 1)
    about = {k: v for k, v in about.items() if k not in ('sha256', 'versions', 'date')}
    weightfiles.save(model, f, **about)
    assert train2.main(['toy', f, *words, *toys.FEW, '--output', str(tmp_path/'u'), '--resume']) == 2
    assert 'the weights that it starts from' in capsys.readouterr().err


def test_another_folder_of_the_same_name_is_another_set_and_a_moved_one_the_same(tmp_path, capsys):
    a, b = folder(tmp_path/'A'/'photos'), folder(tmp_path/'B'/'photos', seed=1)
    size = '--size', '16'
    assert run(tmp_path/'x', *size, dataset=a) == 0
    assert run(tmp_path/'x', *size, '--resume', dataset=b) == 2
    assert 'the photographs' in capsys.readouterr().err
    shutil.move(tmp_path/'A'/'photos', tmp_path/'elsewhere')
    assert run(tmp_path/'x', *size, '--resume', dataset=f'folder:{tmp_path}/elsewhere') == 0


def test_other_backgrounds_are_another_run(tmp_path):
    for name in ('one', 'two'):
        os.makedirs(tmp_path/name)
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path/name/f'{name}.png')

    def of(name):
        args = train3.parse(['toy', 'f', 'u', 'otsu', 'real', '--backgrounds', str(tmp_path/name)])
        return identity.of(args, {})
    assert identity.differences(of('one'), of('two')) == ['the photographs of --backgrounds']
    assert identity.differences(of('one'), of('one')) == []


def test_no_path_of_a_machine_stands_in_a_sidecar(tmp_path):
    name = folder(tmp_path/'photos')
    assert run(tmp_path/'x', '--size', '16', dataset=name) == 0
    assert str(tmp_path) not in (tmp_path/'x.json').read_text()


def test_sidecars_from_before_tell_what_their_fields_tell():
    with open(os.path.join(toys.ROOT, 'weights', 'mnist-best-0.json')) as f:
        about = json.load(f)
    assert identity.kept_in(about) == {'seed': 0, 'precision': 'bfloat16', 'dataset': 'mnist'}

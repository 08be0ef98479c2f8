"""The reproduction from nothing to a table: rows, weights, settings, labels."""
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import toys
import reproduce
import train1
import train3
from common import opening
from common.errors import UserError
from report import pages
from scoring import pixels, rowfile
from training import options

ROOT = toys.ROOT


WORDS = 'toy', '--methods', 'baseline', 'proposal', '--quiet'


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """(OUT, what was printed) of a whole reproduction of two rows, for the tests that look at it."""
    out = tmp_path_factory.mktemp('toy')/'runs'
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert reproduce.main([*WORDS, '--out', str(out)]) == 0
    return out, printed.getvalue()


def test_reproduce_goes_from_nothing_to_tables_figures_and_a_page(done):
    out, printed = done
    rows = rowfile.read(str(out/'accuracy.csv'))
    assert len(rows) == 2*7 and {r['method'] for r in rows} == {'baseline', 'proposal'}
    assert {r['method'] for r in rowfile.read(str(out/'masks.csv'))} == {'unet-otsu', 'unet-snap', 'raw-otsu'}
    assert 'Proposal' in printed and printed.splitlines()[-1] == f'report: {out}/report.html'
    page = (out/'report.html').read_text()
    assert page.count('<img') == 6 and 'toy: accuracy by background' in page
    shown = f'{100*rowfile.find(rows, method="proposal", test="original")[0]["accuracy"]:.1f}'
    assert shown in (out/'tables.md').read_text() and 'tabular' in (out/'tables.tex').read_text()
    for name in ('method', 'toy-teaser', 'toy-masks', 'toy-backgrounds', 'toy-training', 'toy-sensitivity'):
        assert (out/'figures'/f'{name}.png').stat().st_size > 5000, name
    logged = [json.loads(line) for line in (out/'runs.jsonl').read_text().splitlines()]
    of_phases = {e['phase']: e['seconds'] for e in logged if 'phase' in e}
    assert list(of_phases) == ['baseline', 'unet', 'proposal']
    for name, seconds in of_phases.items():   # of all runs, as in the history
        assert seconds == json.loads((out/'saved'/f'toy-{name}-0.history.json').read_text())[-1]['seconds']


def test_phases_say_which_of_how_many_they_are(done):
    named = [line for line in done[1].splitlines() if line.startswith('phase ')]
    assert named == [f'phase {i + 1} of 3: {name} (toy, seed 0)'
                     for i, name in enumerate(('baseline', 'unet', 'proposal'))]


def units(out, *methods, **changes):
    """Rows of toy in OUT."""
    made = plan(out=out, **changes)
    return [reproduce.Unit(made, method, {'original': None}) for method in methods]


def test_only_phases_that_are_to_be_trained_are_counted(done, tmp_path):
    rows = 'baseline', 'best', 'proposal', 'textures'
    counted = [os.path.basename(path) for path in reproduce.queue_of(units(done[0], *rows))]
    assert counted == ['toy-best-0', 'toy-textures-0']
    counted = [os.path.basename(path) for path in reproduce.queue_of(units(tmp_path, 'textures'))]
    assert counted == ['toy-baseline-0', 'toy-unet-0', 'toy-textures-0']


def test_recorded_rows_count_as_done_even_where_the_weights_are_not(done, tmp_path, monkeypatch):
    out = shutil.copytree(done[0], tmp_path/'runs', ignore=shutil.ignore_patterns('saved'))

    def forbidden(*_):
        raise AssertionError('trained again')
    monkeypatch.setattr(reproduce, 'ensure', forbidden)
    before = (out/'accuracy.csv').read_text()
    assert reproduce.main([*WORDS, '--out', str(out)]) == 0
    assert reproduce.main([*WORDS, '--out', str(out), '--tables-only']) == 0
    assert (out/'accuracy.csv').read_text() == before


def test_searches_for_worst_backgrounds_have_rows_a_table_and_a_figure(done, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, 'draw_networks', lambda *_: None)   # it has drawn them

    def found(model, objects, key, effort=None):   # nothing: what searches find, their own tests ask
        right = model(objects.x).numpy().argmax(1) == objects.y.numpy()
        return pixels.Found(right, right, objects.x.numpy(), {'no step': int(right.sum())})
    monkeypatch.setattr(pixels, 'search', found)
    out = shutil.copytree(done[0], tmp_path/'runs')
    words = ['toy', '--methods', 'baseline', '--quiet', '--tests', 'pixels', 'worst', '--out', str(out)]
    assert reproduce.main(words) == 0
    rows = rowfile.read(str(out/'accuracy.csv'))
    assert [(r['method'], r['test'], r['n']) for r in rows[14:]] == [
        ('baseline', test, 96) for test in ('pixels', 'worst', 'worst-nohalo')]
    assert 'toy: worst cases' in capsys.readouterr().out
    assert (out/'figures'/'toy-worst.png').stat().st_size > 5000
    logged = [json.loads(line) for line in (out/'runs.jsonl').read_text().splitlines()]
    assert [e['plain'] for e in logged if e.get('test') == 'pixels'] == [
        r['correct'] for r in rowfile.find(rows, method='baseline', test='original')]


# Weights

def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob('*') if p.is_file() and p.suffix != '.lock'}


def test_weights_that_were_not_made_here_stay(done, tmp_path, capsys):
    saved = shutil.copytree(done[0]/'saved', tmp_path/'saved')
    before = contents(saved)
    words = [*WORDS, '--out', str(tmp_path/'runs'), '--saved', str(saved), '--limit', '100']
    assert reproduce.main(words) == 2
    line, = capsys.readouterr().err.splitlines()
    assert 'toy-baseline-0 holds other weights' in line and '--saved' in line
    assert contents(saved) == before


@pytest.fixture
def called(monkeypatch):
    """The command lines of phase 1, which ends with exit code 3 before it has begun."""
    lines = []
    monkeypatch.setattr(train1, 'main', lambda argv: lines.append(argv) or 3)
    return lines


def test_weights_of_other_settings_that_were_made_here_are_replaced(done, tmp_path, called, capsys):
    out = shutil.copytree(done[0], tmp_path/'runs')
    assert reproduce.main([*WORDS, '--out', str(out), '--limit', '100']) == 3
    assert called[0][-1] == '--overwrite'
    assert 'the same command continues' in capsys.readouterr().err


def test_lines_from_before_digests_stood_in_the_log_still_tell_whose_weights_these_are(done, tmp_path):
    out = shutil.copytree(done[0], tmp_path/'runs')
    lines = [json.loads(line) for line in (out/'runs.jsonl').read_text().splitlines()]
    old = [{k: v for k, v in line.items() if k != 'sha256'} for line in lines]
    for settings, replaced in ((None, True), ('other', False)):
        changed = [{**line, 'settings': settings or line.get('settings')} for line in old]
        (out/'runs.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in changed) + '{"torn": ')
        with contextlib.nullcontext() if replaced else pytest.raises(UserError, match='they stay'):
            plan(out=out).demand_ours('baseline')


def test_weights_are_taken_up_only_with_the_parents_that_they_were_trained_from(done, tmp_path):
    out = shutil.copytree(done[0], tmp_path/'runs')
    assert reproduce.is_trained(plan(out=out), 'proposal')
    assert not reproduce.is_trained(plan(out=out)._replace(seed=1), 'proposal')
    sidecar = out/'saved'/'toy-unet-0.json'
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), 'sha256': 64*'0'}))
    assert not reproduce.is_trained(plan(out=out), 'proposal')
    assert reproduce.to_train(plan(out=out), 'proposal') == ['proposal']


# The first line

def test_the_first_line_comes_before_tensorflow():
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, os.path.join(ROOT, 'reproduce.py'), 'toy'],
                               stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    process.kill()
    process.communicate()
    assert line == 'background-invariance: loading TensorFlow ...\n' and time.monotonic() - began < 3


@pytest.mark.parametrize('word', ['--quiet', '--help', '-h'])
def test_nothing_is_said_before_help_or_with_quiet(word, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['reproduce.py', 'toy', word])
    opening.loading()
    assert capsys.readouterr().out == ''


# Settings

def plan(**changes):
    args = reproduce.parse(['toy', *[w for k, v in changes.items() for w in (f'--{k}', str(v))]])
    return reproduce.Plan(args, 'toy', 0, True)


def test_the_fingerprint_of_a_row_follows_the_whole_chain_of_phases():
    of = reproduce.fingerprint
    wanted = of(plan(), 'proposal')
    assert wanted == of(plan(), 'proposal') != of(plan(), 'textures')
    assert wanted != of(plan(limit=100), 'proposal')
    assert wanted == of(plan(precision='float32'), 'proposal') == of(plan(name='shapes'), 'proposal')
    assert wanted == of(plan()._replace(seed=1), 'proposal')   # it has its own column
    args = train3.parse(['toy', 'f', 'u', 'otsu', 'adv'])
    assert train3.fingerprint(args, ['a', 'b']) != train3.fingerprint(args, ['a', 'c'])


def test_an_option_given_at_its_default_does_not_change_the_fingerprint():
    plain, given = (train3.parse(['toy', 'f', 'u', 'otsu', 'adv', *more]) for more in ([], ['--halo', '2']))
    assert options.fingerprint('train3', plain) == options.fingerprint('train3', given)


def test_shards_share_the_work_without_overlap():
    assert reproduce.parse(['toy', '--shard', '2/3']).shard == (1, 3)
    for wrong in ('0/3', '4/3', '1', 'a/b'):
        with pytest.raises(SystemExit) as e:
            reproduce.parse(['toy', '--shard', wrong])
        assert e.value.code == 2


def studio(folder):
    """Dark squares and crosses before a bright wall, 24 of each for training; the tests with true masks."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[-1:1:16j, -1:1:16j]
    shapes = {'cross': (abs(u) < 0.2) | (abs(v) < 0.2), 'square': np.maximum(abs(u), abs(v)) < 0.5}
    for split, n in {'train': 24, 'test-studio': 3, 'test-field': 3}.items():
        for name, shape in shapes.items():
            for i in range(n):
                m = np.roll(shape, rng.integers(-2, 3, 2), (0, 1))[..., None]
                wall = 200 if split != 'test-field' else rng.integers(0, 256, (16, 16, 3))
                x = np.where(m, (90, 60, 40), wall) + rng.integers(-5, 6, (16, 16, 3))
                picture = Image.fromarray(x.clip(0, 255).astype(np.uint8))
                for path, image in ((split, picture), (f'masks/{split}', Image.fromarray(255*m[..., 0].astype(
                        np.uint8)))):
                    (folder/path/name).mkdir(parents=True, exist_ok=True)
                    image.save(folder/path/name/f'{i}.png')
    return f'folder:{folder}'


@pytest.mark.slow
def test_a_folder_of_photographs_gets_its_own_tables_under_the_name_that_is_given(tmp_path, capsys):
    out, size = str(tmp_path/'runs'), ('--size', '16', '--fit', 'pad', '--batchsize', '16')
    words = [*size, '--quick', '--quiet', '--tests', 'unseen', '--methods', 'baseline', 'textures',
             '--out', out, '--name', 'workshop']
    parts = studio(tmp_path/'parts')
    assert reproduce.main([parts, *words]) == 0
    printed = capsys.readouterr().out
    assert 'workshop: accuracy by test' in printed and 'drone' not in printed
    assert {r['dataset'] for r in rowfile.read(out + '/accuracy.csv')} == {'workshop'}
    rows = {r['method']: r for r in rowfile.read(out + '/masks.csv')}
    assert set(rows) == {'unet-otsu', 'unet-snap', 'raw-otsu'}
    assert {r['dataset'] for r in rows.values()} == {'workshop'}
    assert 'workshop: backgrounds never trained on, no halo' in printed
    assert all((tmp_path/'runs'/'figures'/f'workshop-{name}.png').exists() for name in ('masks', 'unseen'))
    about = json.loads((tmp_path/'runs'/'saved'/'workshop-textures-0.json').read_text())
    own = about['arguments']
    assert own['binarize'] == 'snap' and own['settle'] == 0.3 and own['fit'] == 'pad'


def test_a_label_stands_for_the_photographs_that_it_was_given_to_wherever_they_lie(tmp_path, capsys, called):
    out = tmp_path/'runs'
    words = '--size', '16', '--quiet', '--methods', 'baseline', '--out', str(out), '--name', 'workshop'
    assert reproduce.main([studio(tmp_path/'parts'), *words]) == 3   # its training ends before it has begun
    capsys.readouterr()
    moved = f'folder:{shutil.copytree(tmp_path/"parts", tmp_path/"elsewhere")}'
    assert reproduce.Plan(reproduce.parse([moved]), moved, 0, False).digest \
        == json.loads((out/'datasets.json').read_text())['workshop']
    assert reproduce.main([moved, *words]) == 3 and 'other data' not in capsys.readouterr().err
    fewer = f'folder:{shutil.copytree(tmp_path/"parts", tmp_path/"fewer")}'
    os.remove(tmp_path/'fewer'/'train'/'cross'/'0.png')
    assert reproduce.main([fewer, *words]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert 'other data under the label workshop' in line and '--name' in line
    assert len(called) == 2


def test_a_name_is_for_one_data_set(tmp_path, capsys):
    assert reproduce.main(['toy', 'digits', '--name', 'both', '--out', str(tmp_path/'runs')]) == 2
    assert '--name is for one data set' in capsys.readouterr().err
    for wrong in ('a/b', 'a b', ''):
        with pytest.raises(SystemExit) as e:
            reproduce.parse(['toy', '--name', wrong])
        assert e.value.code == 2

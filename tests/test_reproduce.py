"""The reproduction from nothing to a table, and the commands of the README."""
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import toys
import reproduce
import train3
from common.errors import UserError
from report import formats, pages
from scoring import rowfile
from training import options

ROOT = toys.ROOT


def test_reproduce_goes_from_nothing_to_tables_and_never_repeats_what_is_done(tmp_path, capsys, monkeypatch):
    out = str(tmp_path/'runs')
    words = ['toy', '--methods', 'baseline', 'proposal', '--out', out, '--quiet']
    assert reproduce.main(words) == 0
    rows = rowfile.read(out + '/accuracy.csv')
    assert len(rows) == 2*7 and {r['method'] for r in rows} == {'baseline', 'proposal'}
    assert {r['method'] for r in rowfile.read(out + '/masks.csv')} == {'unet-otsu', 'unet-snap', 'raw-otsu'}
    printed = capsys.readouterr().out
    assert 'Proposal' in printed and printed.splitlines()[-1] == f'report: {out}/report.html'
    page = (tmp_path/'runs'/'report.html').read_text()
    assert page.count('<img') == 6 and 'toy: accuracy by background' in page
    text = (tmp_path/'runs'/'tables.md').read_text()
    shown = f'{100*rowfile.find(rows, method="proposal", test="original")[0]["accuracy"]:.1f}'
    assert shown in text and 'tabular' in (tmp_path/'runs'/'tables.tex').read_text()
    for name in ('method', 'toy-teaser', 'toy-masks', 'toy-backgrounds', 'toy-training', 'toy-sensitivity'):
        assert (tmp_path/'runs'/'figures'/f'{name}.png').stat().st_size > 5000, name
    logged = [json.loads(line) for line in (tmp_path/'runs'/'runs.jsonl').read_text().splitlines()]
    assert [e['phase'] for e in logged if 'phase' in e] == ['baseline', 'unet', 'proposal']

    # recorded rows count as done even where the weights are not: nothing is trained again
    shutil.rmtree(out + '/saved')

    def forbidden(*_):
        raise AssertionError('trained again')
    monkeypatch.setattr(reproduce, 'ensure', forbidden)
    before = (tmp_path/'runs'/'accuracy.csv').read_text()
    assert reproduce.main(words) == 0
    assert reproduce.main([*words, '--tables-only']) == 0
    assert (tmp_path/'runs'/'accuracy.csv').read_text() == before


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


def text_of(name):
    with open(os.path.join(ROOT, name)) as f:
        return f.read()


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


def test_a_folder_of_photographs_gets_its_own_tables(tmp_path, capsys):
    out = str(tmp_path/'runs')
    words = [studio(tmp_path/'parts'), '--size', '16', '--fit', 'pad', '--batchsize', '16', '--quick',
             '--quiet', '--tests', 'unseen']
    assert reproduce.main([*words, '--methods', 'baseline', 'textures', '--out', out]) == 0
    printed = capsys.readouterr().out
    assert 'parts: accuracy by test' in printed and 'drone' not in printed
    rows = {r['method']: r for r in rowfile.read(out + '/masks.csv')}
    assert set(rows) == {'unet-otsu', 'unet-snap', 'raw-otsu'}
    assert 'parts: backgrounds never trained on, no halo' in printed
    assert all((tmp_path/'runs'/'figures'/f'parts-{name}.png').exists() for name in ('masks', 'unseen'))
    about = json.loads((tmp_path/'runs'/'saved'/'parts-textures-0.json').read_text())
    own = about['arguments']
    assert own['binarize'] == 'snap' and own['settle'] == 0.3 and own['fit'] == 'pad'


def test_fill_puts_tables_under_their_titles_and_nothing_else(tmp_path):
    page, tables = tmp_path/'page.md', tmp_path/'tables.md'
    tables.write_text('**One**\n\n| a |\n\nnote  \n\n\n**Two (b)**\n\n| c |\n')
    page.write_text('before\n<!-- table: Two (b) -->\nold\n<!-- end -->\nafter\n')
    formats.fill(str(page), str(tables))
    filled = 'before\n<!-- table: Two (b) -->\n**Two (b)**\n\n| c |\n<!-- end -->\nafter\n'
    assert page.read_text() == filled
    page.write_text(filled + '<!-- table: Three -->\n<!-- end -->\n')
    with pytest.raises(UserError, match="no table 'Three'"):
        formats.fill(str(page), str(tables))


needs_record = pytest.mark.skipif(not os.path.exists(os.path.join(ROOT, 'results', 'tables.md')),
                                  reason='nothing recorded yet')


@needs_record
def test_the_tables_on_the_pages_are_the_recorded_ones(tmp_path):
    pages_filled = ''
    for name in ('README.md', 'results/README.md'):
        shutil.copy(os.path.join(ROOT, name), tmp_path/'page.md')
        formats.fill(str(tmp_path/'page.md'), os.path.join(ROOT, 'results', 'tables.md'))
        assert (tmp_path/'page.md').read_text() == text_of(name), f'{name}: run make readme'
        pages_filled += text_of(name)
    assert '<!-- table: Summary -->' in text_of('README.md')
    for line in text_of('results/tables.md').splitlines():
        assert line in pages_filled, line


@needs_record
def test_the_recorded_tables_follow_from_the_recorded_rows(tmp_path):
    for name in ('accuracy.csv', 'masks.csv'):
        shutil.copy(os.path.join(ROOT, 'results', name), tmp_path)
    sets = dict.fromkeys(r['dataset'] for r in rowfile.read(str(tmp_path/'accuracy.csv')))
    names = ['folder:../shared/signs' if s == 'signs' else s for s in sets]
    plans = [reproduce.Plan(reproduce.parse([n]), n, 0, not n.startswith('folder:')) for n in names]
    pages.write_tables(str(tmp_path), names, reproduce.steps_by_settings(plans))
    assert (tmp_path/'tables.md').read_text() == text_of('results/tables.md')

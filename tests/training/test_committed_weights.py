"""The weights that come with the code: whole, named by their sidecars, and giving the recorded rows."""
import glob
import json
import os

import pytest

import evaluate
from scoring import rowfile
from toys import needs_tfds, ROOT, TFDS
from training import weightfiles

STEMS = sorted(path.removesuffix('.json') for path in glob.glob(os.path.join(ROOT, 'weights', '*.json')))
CLASSIFIERS = [s for s in STEMS if '-unet-' not in s]
pytestmark = pytest.mark.skipif(not STEMS, reason='no weights/ in this copy')


@pytest.mark.parametrize('stem', STEMS, ids=os.path.basename)
def test_weights_load_and_are_those_of_their_sidecar(stem):
    model, about = weightfiles.load(stem)
    assert model.input_shape[1:] == tuple(about['shape'])
    assert about['dataset'] == os.path.basename(stem).split('-')[0] and about['seed'] == 0


@pytest.mark.slow
@needs_tfds
@pytest.mark.parametrize('stem', CLASSIFIERS, ids=os.path.basename)
def test_weights_give_the_recorded_rows_within_two_images(stem, tmp_path, monkeypatch):
    monkeypatch.setenv('TFDS_DATA_DIR', TFDS)
    with open(stem + '.json') as f:
        about = json.load(f)
    recorded = {r['test']: r['correct'] for r in rowfile.read(os.path.join(ROOT, 'results', 'accuracy.csv'))
                if r['settings'] == about['settings'] and r['seed'] == 0 and r['dataset'] == about['dataset']}
    csv = str(tmp_path/'rows.csv')
    assert evaluate.main([about['dataset'] + '_backgrounds', stem, '--csv', csv]) == 0
    rows = rowfile.read(csv)
    assert len(rows) == 7
    assert all(abs(r['correct'] - recorded[r['test']]) <= 2 for r in rows)

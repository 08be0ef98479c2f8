"""A background remover before a classifier: two networks that are weights like any other."""
import json
import shutil

import numpy as np
import pytest

import cutout
import evaluate
import export
import mydatasets
import mymodels
import reproduce
import toys
import train3
import train_att
from common.errors import UserError
from common.quiet import keras, tf
from mybackgrounds import compose
from mydatagen import to_float
from report import selection
from scoring import rowfile
from toys import error_of
from training import weightfiles


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    """[classifier, mask generator, both as one]: weights of toy."""
    folder = tmp_path_factory.mktemp('cutout')
    f, u = toys.parents(folder)
    assert cutout.main(['toy', f, u, '--output', str(folder/'both'), '--quiet']) == 0
    return f, u, str(folder/'both')


def images():
    return to_float(mydatasets.load('toy').validation.x)


def test_the_classifier_sees_what_the_u_net_marks_on_the_ground_of_the_least_loss(parts):
    (f, about_f), (f_m, _), (both, about) = map(weightfiles.load, parts)
    x, y = images(), mydatasets.load('toy').validation.y

    def logits(ground):
        return f(compose(x, f_m(x), ground))
    losses = {g: np.mean(f.task.loss(tf.constant(y), logits(g))) for g in cutout.GROUNDS}
    ground = min(losses, key=losses.get)
    assert len(set(losses.values())) == 3
    assert about['network'] == {**about_f['network'], 'remover': {'ground': ground, 'width': 4}}
    assert about['method'] == 'classifier-cutout' and about['kind'] == 'classifier' and about['seed'] == 0
    assert about['validation']['val_loss'] == pytest.approx(losses[ground], rel=1e-4)
    assert np.allclose(both(x), logits(ground), atol=1e-5)


def test_a_ground_that_is_given_is_taken_and_is_a_setting_of_its_own(parts, tmp_path):
    out = str(tmp_path/'x')
    words = ['toy', *parts[:2], '--ground', '0.25', '--seed', '3', '--output', out]
    assert cutout.main(words) == 0
    about, other = weightfiles.read_sidecar(out), weightfiles.read_sidecar(parts[2])
    assert about['network']['remover']['ground'] == 0.25 and about['seed'] == 3
    assert about['settings'] == cutout.fingerprint(cutout.parse(words), ['classifier', 'unet']) \
        != other['settings']


def test_it_is_done_once_and_nothing_is_replaced_unasked(parts, capsys):
    words = 'toy', *parts[:2], '--output', parts[2]
    assert 'exists' in error_of(cutout.main, *words)
    assert cutout.main([*words, '--resume']) == 0 and 'is complete' in capsys.readouterr().out


@pytest.mark.slow
def test_it_is_scored_exported_and_trained_on_like_any_classifier(parts, tmp_path):
    rows = str(tmp_path/'rows.csv')
    assert evaluate.main(['toy_backgrounds', parts[2], '--quiet', '--csv', rows]) == 0
    found = rowfile.read(rows)
    assert {r['method'] for r in found} == {'classifier-cutout'} and len(found) == 7
    assert export.main([parts[2], '--format', 'keras', '--output', str(tmp_path/'x.keras')]) == 0
    again = keras.models.load_model(tmp_path/'x.keras', compile=False, safe_mode=True)
    wanted = tf.nn.softmax(weightfiles.load(parts[2])[0](images()))
    assert np.allclose(again(255*images()), wanted, atol=1e-5)
    words = ['toy', parts[2], 'truth', 'none', 'noise', *toys.FEW, '--output', str(tmp_path/'t')]
    assert train3.main(words) == 0
    trained, about = weightfiles.load(tmp_path/'t')
    assert about['network'] == weightfiles.read_sidecar(parts[2])['network']
    assert all(toys.moved(toys.values(weightfiles.load(parts[2])[0]), trained))


def test_what_cannot_be_is_refused_in_one_line(parts, tmp_path):
    f, u, both = parts
    x = '--output', tmp_path/'x'
    assert 'has a background remover' in error_of(cutout.main, 'toy', both, u, *x)
    assert 'needed is unet' in error_of(cutout.main, 'toy', f, f, *x)
    assert 'needed is classifier' in error_of(cutout.main, 'toy', u, u, *x)
    assert 'cuts out' in error_of(train_att.main, 'toy', '--global-classifier', both, *x)
    assert '--freeze is for backbones' in error_of(train3.main, 'toy', both, u, 'otsu', 'noise', '--freeze',
                                                   'all', *x)


@pytest.mark.parametrize('remover', [
    [], {}, {'ground': 2}, {'ground': '1'}, {'ground': True}, {'ground': 0, 'shape': 3},
    {'ground': 0, 'width': 0}, {'ground': 0, 'copy': 99}, {'ground': 0, 'width': 512, 'depth': 8}])
def test_damaged_sidecars_are_told_before_anything_is_built(parts, tmp_path, remover, monkeypatch):
    for ending in ('.weights.h5', '.json'):
        shutil.copy(parts[2] + ending, tmp_path/('b' + ending))
    about = json.loads((tmp_path/'b.json').read_text())
    about['network']['remover'] = remover
    (tmp_path/'b.json').write_text(json.dumps(about))
    monkeypatch.setattr(mymodels, 'unet', lambda *args, **more: pytest.fail('it is built'))
    with pytest.raises(UserError, match='remover|width|copy|is not the network'):
        weightfiles.load(tmp_path/'b')


def test_rows_of_a_plan_follow_from_those_of_both_networks(tmp_path):
    words = ['toy', '--methods', 'best-cutout', '--out', str(tmp_path), '--precision', 'float32',
             '--deterministic', '--batchsize', '9', '--quick']
    plan = reproduce.Plan(reproduce.parse(words), 'toy', 2, True, images=500)
    assert plan.parents('best-cutout') == ['best', 'segment']
    assert reproduce.steps(plan, 'best-cutout') == reproduce.steps(plan, 'best')
    args = reproduce.parsed(plan, 'best-cutout')
    assert args.seed == 2 and args.output.endswith('toy-best-cutout-2')
    assert reproduce.fingerprint(plan, 'best-cutout') == cutout.fingerprint(
        args, [reproduce.fingerprint(plan, p) for p in ('best', 'segment')])
    # Baseline has seen no background, but the U-Net before it has
    assert selection.seen('baseline', True) == set()
    assert selection.seen('baseline-cutout', True) == selection.seen('segment', True) == {'grey', 'white'}


@pytest.mark.slow
def test_reproduce_makes_the_rows(tmp_path):
    assert reproduce.main(['toy', '--methods', 'baseline', 'baseline-cutout', '--quiet', '--out',
                           str(tmp_path)]) == 0
    rows = rowfile.read(str(tmp_path/'accuracy.csv'))
    assert {r['method'] for r in rows} == {'baseline', 'baseline-cutout'}
    assert 'Baseline, background removed' in (tmp_path/'tables.md').read_text()

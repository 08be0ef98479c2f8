"""The phases and the attention baseline as whole trainers: what they leave, start anew, or refuse."""
import json
import os

import numpy as np
import pytest

import mydatasets
import mymodels
import toys
import train1
import train2
import train3
import train_att
from common import tasks
from common.errors import BrokenRun, UserError
from common.quiet import keras, tf
from readers.reading import Reading
from toys import CLASSES, SHAPE
from training import restarts, steps, weightfiles

MAINS = {'train1': train1.main, 'train2': train2.main, 'train3': train3.main, 'train_att': train_att.main}


@pytest.fixture(autouse=True)
def float32():
    keras.config.set_dtype_policy('float32')
    keras.utils.set_random_seed(0)


# Masks of phase 2

def test_masks_that_show_nothing_everything_or_not_the_object_count_as_collapsed():
    assert restarts.problem({'val_area': 0.3, 'val_masked': 0.9}, tasks.of(10)) is None
    assert 'cover' in restarts.problem({'val_area': 0.001, 'val_masked': 0.9}, tasks.of(10))
    assert 'cover' in restarts.problem({'val_area': 0.999, 'val_masked': 0.9}, tasks.of(10))
    assert restarts.problem({'val_area': 0.005, 'val_masked': 0.9}, tasks.of(10)) is None   # small objects
    assert 'cover' in restarts.problem({'val_area': 0.005, 'val_masked': 0.4}, tasks.of(10))
    assert 'chance' in restarts.problem({'val_area': 0.3, 'val_masked': 0.11}, tasks.of(10))


def biased(monkeypatch, *biases):
    """Mask networks of phase 2 whose masks start at sigmoid(bias), one bias an attempt."""
    build, left = mymodels.unet, list(biases)

    def unet(shape, **network):
        model = build(shape, **network)
        model.get_layer('logit').bias.assign([left.pop(0)])
        return model
    monkeypatch.setattr(mymodels, 'unet', unet)


def test_masks_that_stand_still_at_0_or_1_are_noticed_after_an_epoch_but_not_small_ones():
    for area in (1e-5, 0.99999):
        with pytest.raises(restarts.Collapsed, match='at step 30 they cover'):
            restarts.alive({'area': area}, 30)
    restarts.alive({'area': 0.01}, 30)


@pytest.mark.slow
def test_collapsed_masks_are_started_once_more_with_another_key(tmp_path, monkeypatch, capsys):
    toys.parents(tmp_path)
    biased(monkeypatch, -20., 2.)
    assert train2.main(toys.argv('train2', tmp_path, 'u')) == 0
    err = capsys.readouterr().err
    assert err == ('the masks collapsed: at step 2 they cover 0.0 % of the image; starting once more with '
                   'another key\n')
    assert os.path.exists(tmp_path/'u.weights.h5')


def test_masks_that_collapse_twice_end_the_run_with_exit_code_3(tmp_path, monkeypatch, capsys):
    toys.parents(tmp_path)
    biased(monkeypatch, -20., 20.)
    assert train2.main(toys.argv('train2', tmp_path, 'u')) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('stopped: the masks collapsed twice: at step 2 they cover 100.0 % of the image;')
    assert not os.path.exists(tmp_path/'u.weights.h5')


@pytest.mark.slow
def test_masks_that_hide_the_object_at_the_end_count_as_collapsed(tmp_path, monkeypatch, capsys):
    toys.parents(tmp_path)
    monkeypatch.setattr(tasks, 'CHANCE', 3.1)   # times 1/3: no accuracy is enough
    assert train2.main(toys.argv('train2', tmp_path, 'u')) == 3
    assert 'collapsed twice: at step 4 the accuracy of f(m x)' in capsys.readouterr().err


# Each trainer as a whole

KINDS = {'train1': 'classifier', 'train2': 'unet', 'train3': 'classifier', 'train_att': 'attention'}
NEXT = {'train1': 'train2', 'train2': 'train3', 'train3': 'evaluate', 'train_att': 'evaluate'}
METHODS = {'train1': 'baseline', 'train2': 'unet', 'train3': 'adv-textures', 'train_att': 'attention'}


@pytest.mark.parametrize('script', toys.SCRIPTS)
def test_each_trainer_leaves_weights_sidecar_and_history_and_says_what_is_next(script, tmp_path, capsys):
    toys.parents(tmp_path)
    assert MAINS[script](toys.argv(script, tmp_path, 'out')) == 0
    shown = capsys.readouterr()
    assert shown.err == '' and shown.out.splitlines()[-1].startswith(f'next: python {NEXT[script]}.py toy ')
    assert '--' not in shown.out
    assert sorted(f for f in os.listdir(tmp_path) if 'out' in f) == [
        'out.history.json', 'out.json', 'out.weights.h5']
    about = weightfiles.read_sidecar(str(tmp_path/'out'))
    assert (about['kind'], about['method'], about['dataset']) == (KINDS[script], METHODS[script], 'toy')
    assert about['classes'] == CLASSES and tuple(about['shape']) == SHAPE and len(about['settings']) == 8
    assert about['arguments']['batchsize'] == 12 and about['validation']
    with open(tmp_path/'out.history.json') as f:
        history = json.load(f)
    assert [line['epoch'] for line in history] == [1, 2]
    assert all(np.isfinite(v) for line in history for v in line.values())
    model, _ = weightfiles.load(str(tmp_path/'out'), like=weightfiles.Like(SHAPE, None, CLASSES))
    assert np.isfinite(model(np.zeros((1, *SHAPE), np.float32))).all()


def test_what_to_run_next_reads_the_same_images():
    given = ['--data-dir', 'my sets', '--size', '32', '--fit', 'pad', '--skip-damaged']
    assert Reading.of(train1.parse(['folder:parts', *given, '--epochs', '3'])).words() == given
    assert Reading.of(train1.parse(['toy', '--fit', 'crop'])).words() == []


@pytest.mark.slow
def test_attention_without_a_global_classifier_trains_one_first(tmp_path):
    words = ['toy', *toys.FEW, '--width', '4', '--dense', '8', '--output', str(tmp_path/'a')]
    assert train_att.main(words) == 0
    assert {'a.json', 'a.weights.h5', 'a-global.json', 'a-global.weights.h5'} <= set(os.listdir(tmp_path))


@pytest.mark.parametrize('words', [
    ['truth', '0.5', 'real', 'black', 'pieces'],
    ['heuristic', 'none', 'textures', 'pixels', '--ascent-steps', '2', '--ascent-rim', '1',
     '--ascent-dilate', '1', '--ascent-falling', '--ascent-tries', '2', '--ascent-keep', '3'],
    pytest.param(['heuristic', 'none', 'pixels', '--ascent-steps', '2'], marks=pytest.mark.slow),
    pytest.param(['heuristic', 'none', 'textures'], marks=pytest.mark.slow),
    pytest.param(['unet', 'quantile', 'noise'], marks=pytest.mark.slow)])
def test_phase3_takes_every_kind_of_mask_and_source(words, tmp_path):
    f, u = toys.parents(tmp_path)
    words[0] = u if words[0] == 'unet' else words[0]
    assert train3.main(['toy', f, *words, *toys.FEW, '--output', str(tmp_path/'out')]) == 0


def test_settings_of_the_paper_all_at_once_and_options_beside_them_win():
    args = train3.parse(['toy', 'f', 'u', 'otsu', 'adv', '--paper', '--clean', '0.1'])
    assert (args.epochs, args.batchsize, args.lr_back, args.pool) == (100, 8, 1e-5, 0)
    assert args.schedule == 'constant' and args.clean == 0.1 and args.adversary == 'plain'


@pytest.mark.parametrize('script', toys.SCRIPTS)
def test_help_of_each_trainer_names_every_default_and_an_example(script, capsys):
    with pytest.raises(SystemExit) as e:
        MAINS[script](['--help'])
    text = capsys.readouterr().out
    assert e.value.code == 0 and f'example: python {script}.py' in text and '(default: 128)' in text


@pytest.mark.parametrize('precision', (pytest.param('bfloat16', marks=pytest.mark.slow), 'float16'))
@pytest.mark.parametrize('script', ['train3', *(pytest.param(s, marks=pytest.mark.slow)
                                               for s in ('train1', 'train2', 'train_att'))])
def test_every_phase_trains_in_half_precision_with_masks_in_float32(script, precision, tmp_path):
    toys.parents(tmp_path)
    assert MAINS[script](toys.argv(script, tmp_path, 'out', '--precision', precision)) == 0
    with open(tmp_path/'out.json') as f:
        assert json.load(f)['arguments']['precision'] == precision
    result = toys.result(str(tmp_path/'out'))
    assert all(kind == 'float32' for kind, _, _ in result['arrays'].values())   # weights stay float32
    assert all(np.isfinite(v) for line in result['history'] for v in line.values())
    unet = mymodels.unet(SHAPE, 4)   # the policy is still that of the run
    assert {layer.compute_dtype for layer in unet.layers if 'down' in layer.name} == {precision}
    assert unet(tf.zeros((1, *SHAPE))).dtype == tf.float32


# Numbers that go wrong

def test_a_loss_that_is_not_finite_stops_the_run_with_exit_code_3_and_the_step(tmp_path, monkeypatch, capsys):
    task_loss = steps.task_loss
    monkeypatch.setattr(steps, 'task_loss', lambda f, y, z: task_loss(f, y, z) + (0*z[:, 0])/0)
    assert train1.main(toys.argv('train1', tmp_path, 'out')) == 3
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1 and 'ce is nan at step 1' in shown[0] and '--lr' in shown[0]
    assert not [f for f in os.listdir(tmp_path) if 'weights' in f]


def test_the_last_good_state_is_kept_when_numbers_go_wrong_later(tmp_path, monkeypatch, capsys):
    supervised = steps.supervised_step

    def breaking(model, optimizer):
        step = supervised(model, optimizer)

        def broken(batch, key):
            losses = step(batch, key)
            return {**losses, 'ce': tf.where(batch['step'] >= 3, np.inf, losses['ce'])}
        return broken
    monkeypatch.setattr(steps, 'supervised_step', breaking)
    assert train1.main(toys.argv('train1', tmp_path, 'out')) == 3
    assert 'ce is inf at step 4; the last good state is in' in capsys.readouterr().err
    assert os.listdir(tmp_path/'out.checkpoint') == ['000000002.npz']


def test_a_generator_that_has_stopped_moving_is_reported_with_the_step():
    with pytest.raises(BrokenRun, match='before step 40'):
        train3.alive({'gradient_back': 0.}, 40)
    train3.alive({'gradient_back': 1e-9}, 40)
    train3.alive({}, 40)


def test_masks_of_x_above_0_are_refused_for_colour():
    data = mydatasets.load('toy')._replace(shape=(16, 16, 3))
    with pytest.raises(UserError, match='colour'):
        train3.mask_source(train3.parse(['toy', 'f', 'heuristic', 'otsu', 'adv']), data, None)


# The rate follows the network

def test_every_phase_of_a_backbone_trains_at_the_rate_of_backbones():
    small, large = {'width': 32}, {'backbone': 'VGG19'}
    assert mymodels.learning_rate(small) == 1e-3 and mymodels.learning_rate(large) == 1e-5
    for words in ([], ['--paper']):
        args = train3.parse(['toy', 'f', 'u', 'otsu', 'adv', *words])
        assert args.lr is None   # so that phase 3 asks the classifier's own network
        assert train3.fingerprint(args, ['a']) != train3.fingerprint(args, ['a'], rate=1e-5)
    given = train3.parse(['toy', 'f', 'u', 'otsu', 'adv', '--lr', '1e-4'])
    assert train3.fingerprint(given, ['a'], rate=1e-5) == train3.fingerprint(given, ['a'])


@pytest.mark.slow
def test_phase_3_of_a_backbone_moves_it_slowly(tmp_path):
    photographs = toys.photographs(tmp_path/'photos', side=32)
    words = [f'folder:{photographs}', '--size', '32', *toys.FEW, '--batchsize', '4']
    backbone = ['--backbone', 'MobileNetV2', '--backbone-weights', 'none', '--dense', '4']
    assert train1.main([*words, *backbone, '--output', str(tmp_path/'f')]) == 0
    weightfiles.save(mymodels.unet((32, 32, 3), 4), str(tmp_path/'u'), kind='unet', dataset='photos',
                     shape=[32, 32, 3], classes=['cat', 'dog'], network={'width': 4}, settings='u')
    assert train3.main([words[0], str(tmp_path/'f'), str(tmp_path/'u'), 'snap', 'textures', *words[1:],
                        '--output', str(tmp_path/'z')]) == 0
    assert weightfiles.read_sidecar(str(tmp_path/'z'))['arguments']['lr'] == mymodels.POOLED_RATE
    assert train3.main([words[0], str(tmp_path/'f'), 'flood', 'none', 'textures', *words[1:],
                        '--freeze', 'block_9', '--output', str(tmp_path/'frozen')]) == 0
    f, free, frozen = ({v.path: np.array(v) for v in weightfiles.load(str(tmp_path/name))[0].variables}
                       for name in ('f', 'z', 'frozen'))
    moved = [{k for k in f if not np.array_equal(f[k], other[k])} for other in (free, frozen)]
    assert 'logits/bias' in moved[0] & moved[1]
    assert any('block_9' in k for k in moved[0]) and not any('block_9' in k for k in moved[1])

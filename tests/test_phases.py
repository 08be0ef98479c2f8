"""The phases and the attention baseline: who moves in a step, in which direction, and whole trainers."""
import json
import os

import numpy as np
import pytest

import mybackgrounds
import mydatasets
import mymodels
import toys
import train1
import train2
import train3
import train_att
from common import binarization, pools, tasks
from common.errors import BrokenRun, UserError
from common.keys import Key
from common.quiet import keras, tf
from mybackgrounds import Adversary
from mydatagen import Augmenter
from readers.reading import Reading
from toys import CLASSES, moved, SHAPE, values
from training import restarts, steps, weightfiles

MAINS = {'train1': train1.main, 'train2': train2.main, 'train3': train3.main, 'train_att': train_att.main}


@pytest.fixture(autouse=True)
def float32():
    keras.config.set_dtype_policy('float32')
    keras.utils.set_random_seed(0)


def photos(n=12, channels=1):
    random = np.random.RandomState(0)
    m = np.zeros((n, 16, 16, 1), np.float32)
    m[:, 4:12, 4:12] = 1
    x = m*random.uniform(0.2, 1, (n, 16, 16, channels))
    y = np.arange(n) % 3
    return {'x': tf.constant(x, tf.float32), 'y': tf.constant(y, tf.int32), 'm': tf.constant(m)}


def classifier(channels=1):
    return mymodels.classifier((*SHAPE[:2], channels), 3, width=4, dense=8)


def adam(variables, rate=1e-3):
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(variables)
    return optimizer


def sgd(variables, rate):
    optimizer = keras.optimizers.SGD(float(rate))
    optimizer.build(variables)
    return optimizer


# Who moves

def test_phase1_moves_the_whole_classifier():
    f = classifier()
    before = values(f)
    losses = steps.supervised_step(f, adam(f.trainable_variables))(photos(), Key.of(0))
    assert all(moved(before, f)) and set(losses) == {'ce', 'accuracy'}


def test_phase2_moves_the_mask_network_but_not_the_classifier():
    f, u = classifier(), mymodels.unet(SHAPE, 4)
    f.trainable = False
    before_f, before_u = values(f), values(u)
    args = train2.parse(['toy', 'f'])
    step = train2.make_step(u, f, adam(u.trainable_variables), mybackgrounds.border_colour, args, 0.2)
    losses = step(photos(), Key.of(0))
    assert all(moved(before_u, u)) and not any(moved(before_f, f))
    assert set(losses) == {'ce', 'excess', 'tv', 'area'}


def phase3(words, channels=1, rate=1e-3, rate_back=1e-3, pool=0, mask=None, make=adam):
    """(step, classifier, generator) of a command line. make(variables, rate): an optimizer."""
    shape = (*SHAPE[:2], channels)
    args, f = train3.parse(['toy', 'f', 'u', 'otsu', *words]), classifier(channels)
    net = mymodels.generator(shape, args.tiles)
    adversary = Adversary(net, args.adversary, args.generator, pool, args.fresh)
    back = [adversary if b == 'adv' else mybackgrounds.noise for b in args.back]
    learns = adversary in back and adversary.learns
    prepare = train3.make_prepare(Augmenter(), back, args)
    step = train3.make_step(f, make(f.trainable_variables, rate), mask, back, args,
                            make(net.trainable_variables, rate_back) if learns else None)

    def run(batch, key):
        pixels = {k: v if k == 'y' else tf.cast(255*v, tf.uint8) for k, v in batch.items()}
        return step(prepare(pixels, key), key)
    return run, f, net


@pytest.mark.parametrize('words', (['adv'], ['adv', 'noise'], ['noise', 'adv', 'noise']))
@pytest.mark.parametrize('pool', (0, 8))
def test_phase3_moves_classifier_and_generator_but_not_the_mask_network(words, pool):
    u = mymodels.unet(SHAPE, 4)
    step, f, net = phase3(words, pool=pool, mask=lambda x: binarization.otsu(u(x)))
    before_f, before_net, before_u = values(f), values(net), values(u)
    batch = photos()
    del batch['m']
    losses = step(batch, Key.of(0))
    assert all(moved(before_f, f)) and all(moved(before_net, net)) and not any(moved(before_u, u))
    assert set(losses) == {'ce', 'bright', 'gradient_back', 'accuracy'} and losses['gradient_back'] > 0


def test_phase3_without_an_adversary_moves_the_classifier_alone():
    step, f, net = phase3(['noise'])
    before_f, before_net = values(f), values(net)
    losses = step(photos(), Key.of(0))
    assert all(moved(before_f, f)) and not any(moved(before_net, net)) and set(losses) == {'ce', 'accuracy'}


@pytest.mark.parametrize('role', ('untrained', 'redrawn'))
def test_the_controls_move_the_classifier_but_not_their_generator(role):
    step, f, net = phase3(['adv', '--generator', role], pool=8)
    before_f, before_net = values(f), values(net)
    losses = step(photos(), Key.of(0))
    assert all(moved(before_f, f)) and not any(moved(before_net, net)) and set(losses) == {'ce', 'accuracy'}


def test_a_redrawn_generator_is_another_one_at_every_step_and_an_untrained_one_the_same():
    net = mymodels.generator(SHAPE)
    z = tf.random.stateless_normal((2, *net.input_shape[1:]), [1, 2])
    first, again, other = (mybackgrounds.redrawn(net, z, Key.of(0, step)).numpy() for step in (0, 0, 1))
    assert np.array_equal(first, again) and np.abs(first - other).max() > 0.01
    kernels = [v for v in net.trainable_variables if len(v.shape) == 4]
    assert 0.3 < first.std()/net(z).numpy().std() < 3 and kernels   # drawn as Keras draws first weights


def test_a_renewed_generator_is_a_new_one_at_its_epochs_and_what_was_drawn_stays(tmp_path, monkeypatch):
    net = mymodels.generator(SHAPE)
    adversary, found = Adversary(net, pool=8, fresh=4), [values(net)]
    adversary.pool.assign_add(tf.ones_like(adversary.pool))
    for epoch in 1, 1, 2:
        adversary.renew(Key.of(0, epoch))
        found.append(values(net))
    first, one, again, two = found
    kernels = [i for i, v in enumerate(one) if v.ndim == 4]
    assert all(np.abs(one[i] - other[i]).max() > 0.01 for i in kernels for other in (first, two))
    assert all(np.array_equal(a, b) for a, b in zip(one, again)) and np.all(adversary.pool.numpy() == 1)
    f, _ = toys.parents(tmp_path)
    steps = []
    monkeypatch.setattr(Adversary, 'renew', lambda self, key: steps.append(int(key.step)))
    for words, expected in ([], []), (['--renew', '2'], [2, 4]):
        assert train3.main(['toy', f, 'heuristic', 'none', 'adv', '--epochs', '5', '--steps-per-epoch', '1',
                            '--batchsize', '8', *words, '--quiet', '--overwrite',
                            '--output', str(tmp_path/'z')]) == 0
        assert steps == expected


def test_the_total_variation_moves_masks_where_it_has_a_weight():
    """It is part of the loss that is differentiated, not only of what is printed."""
    found = []
    for weight in ('0', '100'):
        keras.utils.set_random_seed(0)
        f, u = classifier(), mymodels.unet(SHAPE, 4)
        f.trainable = False
        args = train2.parse(['toy', 'f', '--total-variation', weight])
        step = train2.make_step(u, f, sgd(u.trainable_variables, 0.1), mybackgrounds.border_colour, args, 0.2)
        step(photos(), Key.of(0))
        found.append(values(u))
    assert any(not np.array_equal(a, b) for a, b in zip(*found))


def test_the_attention_baseline_moves_its_local_branch_and_fusion_but_not_the_global_classifier():
    f = classifier()
    model = mymodels.attention(SHAPE, 3, base=f)
    before, own = values(f), [v for v in model.variables if not any(v is w for w in f.variables)]
    before_own = [np.array(v) for v in own]
    steps.supervised_step(model, adam(model.trainable_variables))(photos(), Key.of(0))
    assert not any(moved(before, f)) and len(own) == len(model.trainable_variables) > 0
    assert not any(np.array_equal(a, b) for a, b in zip(before_own, own))


# In which direction

@pytest.mark.parametrize('channels', (1, 3))
@pytest.mark.parametrize('words', (['adv', '--clean', '0'],
                                   ['adv', 'noise', '--adversary', 'plain', '--clean', '0']))
def test_the_generator_ascends_on_the_loss_that_the_classifier_descends_on(words, channels):
    batch, key = photos(channels=channels), Key.of(1)
    found = {}
    for player, rate, rate_back in (('nobody', 0, 0), ('generator', 0, 0.05), ('classifier', 0.01, 0)):
        keras.utils.set_random_seed(3)
        step, f, net = phase3(words, channels, rate, rate_back, make=sgd)
        if words[-3] == 'plain':   # darker than one half: the hinge on brightness has no say
            net.get_layer('tile').get_layer('logit').bias.assign(np.full(channels, -1., np.float32))
        first = float(step(batch, key)['ce'])
        found[player] = float(step(batch, key)['ce']) - first   # same key: same noise and augmentation
    assert found['nobody'] == 0 and found['generator'] > 1e-7 and found['classifier'] < -1e-7


def test_reversal_gives_the_value_itself_and_the_negated_scaled_gradient():
    b = tf.constant([0.2, 0.7])
    with tf.GradientTape() as tape:
        tape.watch(b)
        turned = mybackgrounds.reverse(b, 3.)
        loss = tf.reduce_sum(turned*[1., 10.])
    assert np.allclose(turned, b) and np.allclose(tape.gradient(loss, b), [-3, -30])


@pytest.mark.parametrize('bias, bright', [(5., True), (-5., False)])
def test_only_monochrome_backgrounds_brighter_than_one_half_are_pressed_down(bias, bright):
    words = ['adv', '--adversary', 'plain', '--clean', '1']   # all clean: the classifier sees no background
    step, f, net = phase3(words, rate=0, rate_back=1, make=sgd)
    logit = net.get_layer('tile').get_layer('logit')
    logit.kernel.assign(tf.zeros_like(logit.kernel))
    logit.bias.assign([bias])
    losses = step(photos(), Key.of(0))
    assert np.isclose(losses['bright'], max(0, tf.sigmoid(bias) - 0.5), atol=1e-5)
    assert (np.array(logit.bias)[0] < bias) == bright and (losses['gradient_back'] > 0) == bright


def test_colour_backgrounds_may_be_bright():
    step, f, net = phase3(['adv'], channels=3)
    assert 'bright' not in step(photos(channels=3), Key.of(0))


def test_clean_images_are_untouched_and_the_share_is_kept():
    args = train3.parse(['toy', 'f', 'u', 'otsu', 'noise', '--clean', '0.3'])
    m = train3.grow(tf.zeros((1000, 16, 16, 1)), args, Key.of(0)).numpy()
    clean = (m == 1).all((1, 2, 3))
    assert set(np.unique(m)) == {0, 1} and 0.25 < clean.mean() < 0.35


def test_masks_called_none_stay_soft_when_they_are_grown():
    soft = tf.constant(np.linspace(0, 0.9, 256).reshape(1, 16, 16, 1), tf.float32)
    args = train3.parse(['toy', 'f', 'u', 'none', 'noise', '--clean', '0'])
    m = train3.grow(soft, args, Key.of(0)).numpy()
    assert len(np.unique(m)) > 100 and (m >= soft.numpy()).all()
    hard = train3.grow(soft, train3.parse(['toy', 'f', 'u', '0.5', 'noise', '--clean', '0']), Key.of(0))
    assert set(np.unique(hard)) == {0, 1}


# Remembered backgrounds

def test_the_pool_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(pools, 'POOL_BYTES', 2*16*16*5)
    net = mymodels.generator(SHAPE)
    assert Adversary(net, pool=4096, fresh=4).pool.shape[0] == 5
    assert Adversary(net, pool=3, fresh=4).pool.shape[0] == 3
    monkeypatch.undo()   # photographs of 224 pixels: no more than 128 MiB a checkpoint
    assert 2*224*224*3*(pools.POOL_BYTES//(2*224*224*3)) <= 2**27

def test_the_pool_remembers_the_newest_backgrounds_and_recalls_only_what_is_there():
    pool = tf.Variable(tf.zeros((8, 4, 4, 1), tf.float16), trainable=False)
    for step, held in ((0, 3), (1, 6), (2, 8), (3, 8)):
        fresh = tf.fill((3, 4, 4, 1), (step + 1)/10)
        assert int(pools.remember(pool, fresh, Key.of(0, step))) == held
        shown = pools.recall(pool, held)(tf.zeros((200, 4, 4, 1)), Key.of(0, step))
        there = set(np.round(shown.numpy()[:, 0, 0, 0]*10).astype(int))
        assert there == [{1}, {1, 2}, {1, 2, 3}, {2, 3, 4}][step]
    assert sorted(np.round(10*pool.numpy()[:, 0, 0, 0])) == [2, 2, 3, 3, 3, 4, 4, 4]


def test_a_pool_smaller_than_one_step_holds_the_last_of_it():
    pool = tf.Variable(tf.zeros((2, 4, 4, 1), tf.float16), trainable=False)
    fresh = tf.ones((5, 4, 4, 1))*tf.reshape([.1, .2, .3, .4, .5], (5, 1, 1, 1))
    assert int(pools.remember(pool, fresh, Key.of(0))) == 2
    assert sorted(np.round(10*pool.numpy()[:, 0, 0, 0])) == [4, 5]


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
    ['truth', '0.5', 'real', 'black'],
    ['heuristic', 'none', 'textures', 'pixels', '--ascent-steps', '2', '--ascent-rim', '1'],
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
    assert unet(photos()['x']).dtype == tf.float32


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

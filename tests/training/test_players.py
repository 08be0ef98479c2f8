"""Who moves in one step of a phase, in which direction, and what the adversary remembers."""
import numpy as np
import pytest

import mybackgrounds
import mymodels
import toys
import train2
import train3
from common import binarization, pools
from common.keys import Key
from common.quiet import keras, tf
from mybackgrounds import Adversary
from mydatagen import Augmenter
from toys import moved, SHAPE, values
from training import steps


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
    *of_net, _ = moved(before_net, net)   # `threshold` takes the last bias away: rounding alone moves it
    assert all(moved(before_f, f)) and all(of_net) and not any(moved(before_u, u))
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


def test_a_renewed_generator_is_a_new_one_and_what_was_drawn_stays():
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


@pytest.mark.parametrize('words, expected', [(['--renew', '2'], [2, 4]),
                                             pytest.param([], [], marks=pytest.mark.slow)])
def test_generators_are_renewed_at_their_epochs_and_only_when_asked(words, expected, tmp_path, monkeypatch):
    f, _ = toys.parents(tmp_path)
    steps = []
    monkeypatch.setattr(Adversary, 'renew', lambda self, key: steps.append(int(key.step)))
    assert train3.main(['toy', f, 'heuristic', 'none', 'adv', '--epochs', '5', '--steps-per-epoch', '1',
                        '--batchsize', '8', *words, '--quiet', '--output', str(tmp_path/'z')]) == 0
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

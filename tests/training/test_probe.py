"""Pretrained networks: the last layer is fitted first, frozen blocks stay, defaults are theirs alone."""
import json
import os

import numpy as np
import pytest

import mydatasets
import mymodels
import toys
import train1
import train_att
from common.errors import UserError
from common.quiet import keras, tf
from mydatagen import Images
from training import options, probe, weightfiles
from training.steps import supervised_step

SMALL = ['--backbone', 'MobileNetV3Small', '--backbone-weights', 'none']
FAMILIES = 'MobileNetV2', 'ResNet50', 'DenseNet121', 'EfficientNetB0', 'VGG16'


def coloured(classes=3, each=12, side=32):
    """A Dataset whose classes are colours."""
    random = np.random.RandomState(0)
    y = np.arange(classes*each, dtype=np.int32) % classes
    x = random.randint(0, 90, (len(y), side, side, 3))
    x[np.arange(len(y)), :, :, y] += 120
    images = Images(x.astype(np.uint8), y)
    names = [f'c{i}' for i in range(classes)]
    held = images.take(np.arange(2*classes))
    return mydatasets.Dataset('colours', images, held, {}, names, (side, side, 3), False, False, None)


@pytest.mark.parametrize('classes', (2, pytest.param(3, marks=pytest.mark.slow)))
def test_the_last_layer_is_fitted_on_features_that_do_not_move(classes):
    data = coloured(classes)
    model = mymodels.classifier(data.shape, classes, 'MobileNetV3Small', 'none', head='pooled')
    *features, _, _ = before = [np.array(v) for v in model.variables]
    assert probe.fit(model, data) == 1
    after = [np.array(v) for v in model.variables]
    assert all(np.array_equal(a, b) for a, b in zip(features, after))
    assert not np.array_equal(before[-2], after[-2])
    logits = model(tf.constant(data.train.x/255, tf.float32)).numpy()
    assert (logits.argmax(1) == data.train.y).mean() == 1


def test_a_class_without_images_is_never_the_answer():
    data = coloured(2)._replace(classes=['c0', 'c1', 'nobody'])
    model = mymodels.classifier(data.shape, 3, 'MobileNetV3Small', 'none', head='pooled')
    probe.fit(model, data)
    kernel, bias = model.get_layer('logits').get_weights()
    assert not kernel[:, 2].any() and bias[2] < -100


def test_frozen_layers_get_no_gradient():
    model = mymodels.classifier((32, 32, 3), 3, 'MobileNetV2', 'none', head='pooled')
    all_of_them = len(model.trainable_variables)
    mymodels.freeze(model, 'MobileNetV2', 'block_12')
    some = len(model.trainable_variables)
    names = {v.path for v in model.trainable_variables}
    assert 2 < some < all_of_them and not any('block_12_' in n or 'block_3_' in n for n in names)
    assert any('block_13_' in n for n in names)
    mymodels.freeze(model, 'MobileNetV2', 'all')
    assert len(model.trainable_variables) == 2   # the last layer
    with pytest.raises(UserError, match='block_') as e:
        mymodels.freeze(model, 'MobileNetV2', 'stage9')
    assert '\n' not in str(e.value)
    with pytest.raises(UserError, match='--backbone'):
        mymodels.freeze(model, None, 'all')


def test_batch_statistics_stay_while_a_backbone_is_trained():
    model = mymodels.classifier((32, 32, 3), 3, 'MobileNetV2', 'none', head='pooled')
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    before = toys.values(model)
    batch = {'x': tf.random.uniform((4, 32, 32, 3)), 'y': tf.constant([0, 1, 2, 0])}
    supervised_step(model, optimizer)(batch, None)
    moved = dict(zip((v.path for v in model.variables), toys.moved(before, model), strict=True))
    assert not any(m for path, m in moved.items() if '/moving_' in path)
    assert any(m for path, m in moved.items() if path.endswith('/beta'))


def test_backbones_have_defaults_of_their_own_and_nothing_else_changes():
    small, large = train1.parse(['toy']), train1.parse(['toy', '--backbone', 'MobileNetV2'])
    papers = train1.parse(['toy', '--backbone', 'VGG19'])
    assert (small.epochs, small.batchsize) == (papers.epochs, papers.batchsize) == (25, 128)
    assert (large.epochs, large.steps_per_epoch, large.batchsize) == (8, 0, 32)
    assert train1.parse(['toy', '--backbone', 'MobileNetV2', '--epochs', '3']).epochs == 3
    assert 'head' not in options.network_of(papers, (128, 128, 3))
    assert options.network_of(large, (128, 128, 3))['head'] == 'pooled'
    rates = [mymodels.learning_rate(n) for n in ({'width': 32}, {'backbone': 'VGG19'},
                                                 {'backbone': 'ResNet50', 'head': 'pooled'})]
    assert rates == [1e-3, 1e-5, 1e-4]


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return f'folder:{toys.photographs(tmp_path_factory.mktemp("photos")/"p", side=32)}'


@pytest.mark.slow
def test_a_probe_alone_is_weights_like_others(photos, tmp_path, capsys):
    words = [photos, '--size', '32', *SMALL, '--freeze', 'all', '--output', str(tmp_path/'p')]
    assert train1.main(words) == 0
    assert 'linear probe: ' in capsys.readouterr().out
    model, about = weightfiles.load(str(tmp_path/'p'))
    assert about['network'] == {'backbone': 'MobileNetV3Small', 'head': 'pooled'}
    with open(tmp_path/'p.history.json') as f:
        assert [line['epoch'] for line in json.load(f)] == [0]


@pytest.mark.slow
def test_a_run_that_goes_on_does_not_probe_again(photos, tmp_path, monkeypatch):
    words = [photos, '--size', '32', *SMALL, '--epochs', '2', '--batchsize', '8', '--quiet',
             '--output', str(tmp_path/'p')]
    fitted = []
    monkeypatch.setattr(probe, 'fit', lambda model, data: fitted.append(1) or 1.)
    with monkeypatch.context() as m:
        def stop(means, step):
            raise KeyboardInterrupt
        m.setattr(train1.loop.Course, 'end_epoch', lambda self: self.save() or stop(None, 0))
        assert train1.main(words) == 130
    assert train1.main([*words, '--resume']) == 0 and fitted == [1]


def test_attention_says_that_freezing_is_for_phase_1(tmp_path, capsys):
    assert train_att.main(['toy', '--freeze', 'all', '--output', str(tmp_path/'a')]) == 2
    assert '--global-classifier' in capsys.readouterr().err and not os.listdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', FAMILIES)
def test_one_network_of_each_family_is_built_probed_saved_and_loaded(name, tmp_path):
    data = coloured()
    model = mymodels.classifier(data.shape, 3, name, 'none', head='pooled')
    probe.fit(model, data)
    path = os.path.join(tmp_path, 'w')
    weightfiles.save(model, path, kind='classifier', dataset='colours', shape=list(data.shape),
                     classes=data.classes, network={'backbone': name, 'head': 'pooled'}, settings='s')
    loaded, _ = weightfiles.load(path, 'classifier', data)
    x = tf.constant(data.validation.x/255, tf.float32)
    assert np.array_equal(model(x), loaded(x))


def test_phase_1_has_one_fingerprint_by_whichever_script():
    words = ['toy', '--backbone', 'MobileNetV2']
    assert train1.fingerprint(train1.parse(words)) == options.phase1_fingerprint(train_att.parse(words)) \
        != train1.fingerprint(train1.parse([*words, '--lr', '1e-3']))

"""The networks, the binarisation of masks, the largest component."""
import numpy as np
import pytest
from skimage import filters, measure

import mymodels
import predict
import train1
from common import binarization
from common.errors import UserError
from common.quiet import keras, tf
from readers import foreign


def uniform(*shape, seed=0):
    return np.random.RandomState(seed).uniform(size=shape).astype(np.float32)


# Networks

@pytest.mark.parametrize('side, channels', [(16, 1), (32, 1), (32, 3), (64, 3), (128, 3), (224, 3)])
def test_every_network_keeps_the_shapes_of_the_design(side, channels):
    shape, x = (side, side, channels), uniform(2, side, side, channels)
    assert mymodels.classifier(shape, 5, width=2, dense=4)(x).shape == (2, 5)
    m = mymodels.unet(shape, width=2)(x).numpy()
    assert m.shape == (2, side, side, 1) and 0 <= m.min() <= m.max() <= 1
    net = mymodels.generator(shape, tiles=2, width=2)
    assert net(uniform(2, *net.input_shape[1:])).shape == (2, *shape)
    base = mymodels.classifier(shape, 5, width=2, dense=4)
    assert mymodels.attention(shape, 5, base=base)(x).shape == (2, 5)


def test_the_small_classifier_halves_until_four_by_four_is_left():
    for side, blocks in ((16, 2), (32, 3), (64, 4)):
        model = mymodels.classifier((side, side, 1), 10, width=2)
        assert sum('pool' in layer.name for layer in model.layers) == blocks
        assert model.get_layer('flatten').input.shape[1:3] == (4, 4)


def test_masks_start_near_one():
    m = mymodels.unet((32, 32, 1))(uniform(4, 32, 32, 1)).numpy()
    assert 0.75 < m.mean() < 0.95


@pytest.mark.parametrize('tiles', (1, 2, 4))
def test_tiles_are_made_by_one_network_from_noise_of_their_own(tiles):
    net = mymodels.generator((32, 32, 1), tiles, width=4)
    n = net.input_shape[1]//tiles**2
    same = net(np.tile(uniform(1, n), (1, tiles**2))).numpy()[0, ..., 0]
    side = 32//tiles
    squares = [same[r:r + side, c:c + side] for r in range(0, 32, side) for c in range(0, 32, side)]
    assert all(np.allclose(s, squares[0], atol=1e-6) for s in squares)
    z = uniform(1, net.input_shape[1])
    changed = z.copy()
    changed[0, -1] += 1
    where = np.argwhere(net(z).numpy() != net(changed).numpy())
    assert len(where) and (where[:, 1:3] >= 32 - side).all()   # only the last tile follows the last number
    parameters = mymodels.generator((32, 32, 1), 1, width=4).count_params()
    assert tiles != 2 or net.count_params() != parameters      # a tile of 16 needs one doubling less


@pytest.mark.parametrize('tiles', (0, 3, 5, 32))
def test_tiles_that_do_not_divide_the_side_are_refused(tiles):
    with pytest.raises(UserError, match='--tiles'):
        mymodels.generator((32, 32, 1), tiles)


def test_a_side_that_the_mask_generator_cannot_halve_is_refused_with_one_that_it_can():
    with pytest.raises(UserError, match='--size 40'):
        mymodels.unet((44, 44, 1))


def test_a_backbone_takes_images_from_0_to_1_with_its_preprocessing_inside():
    model = mymodels.classifier((32, 32, 3), 4, 'VGG19', 'none', dense=[8, 8])
    blue = mymodels._preprocessing('VGG19')[0](tf.constant([0., 0., 1.], shape=(1, 1, 1, 3))).numpy()[0, 0, 0]
    assert np.allclose(blue, [255, 0, 0] - np.array(foreign.BGR_MEAN))
    assert model(uniform(1, 32, 32, 3)).shape == (1, 4)


MODULES = {'VGG19': 'vgg19', 'ResNet50': 'resnet50', 'ResNet50V2': 'resnet_v2', 'DenseNet121': 'densenet',
           'MobileNetV2': 'mobilenet_v2', 'MobileNetV3Small': 'mobilenet_v3', 'Xception': 'xception',
           'InceptionResNetV2': 'inception_resnet_v2', 'NASNetMobile': 'nasnet', 'ConvNeXtTiny': 'convnext',
           'EfficientNetB0': 'efficientnet', 'EfficientNetV2B0': 'efficientnet_v2'}


@pytest.mark.parametrize('name', MODULES)
def test_images_from_0_to_1_become_what_keras_prepares_for_the_backbone(name):
    x = uniform(2, 8, 8, 3)
    wanted = getattr(keras.applications, MODULES[name]).preprocess_input(255*x)
    assert np.allclose(mymodels._preprocessing(name)[0](x), wanted, atol=1e-3)


def test_the_papers_generator_draws_147_numbers_a_tile_at_224_and_48_at_64():
    assert mymodels.generator((224, 224, 3), width=1).input_shape == (None, 4*147)
    assert mymodels.generator((64, 64, 3), width=1).input_shape == (None, 4*48)


def test_weights_of_a_backbone_come_from_a_file(tmp_path):
    net = keras.applications.MobileNetV3Small(include_top=False, input_shape=(32, 32, 3), weights=None)
    net.save_weights(tmp_path/'b.weights.h5')
    model = mymodels.classifier((32, 32, 3), 4, 'MobileNetV3Small', str(tmp_path/'b.weights.h5'), dense=[4])
    found = model.get_layer('MobileNetV3Small').layers[-1].get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(found, net.get_weights(), strict=True))


def test_weights_that_cannot_be_downloaded_are_answered_with_what_to_do(monkeypatch):
    def unreachable(*args, **kwargs):
        raise Exception('URL fetch failure on https://somewhere/weights_no_top.h5: None -- no network')
    monkeypatch.setattr('keras.src.utils.file_utils.get_file', unreachable)
    with pytest.raises(UserError, match='weights_no_top.h5.*--backbone-weights FILE.*none') as e:
        mymodels.classifier((32, 32, 3), 4, 'MobileNetV3Small', 'imagenet', dense=[4])
    assert '\n' not in str(e.value)


@pytest.mark.slow
def test_a_backbone_trains_from_photographs_and_its_weights_predict(tmp_path, capsys):
    for i in range(16):
        path = tmp_path/'photos'/('test' if i < 4 else 'train')/f'class{i % 2}'/f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.save_img(path, uniform(32, 32, 3, seed=i))
    name = str(tmp_path/'f')
    assert train1.main([f'folder:{tmp_path/"photos"}', '--size', '32', '--backbone', 'MobileNetV3Small',
                        '--backbone-weights', 'none', '--dense', '4', '--epochs', '1', '--steps-per-epoch',
                        '2', '--batchsize', '4', '--output', name]) == 0
    capsys.readouterr()
    assert predict.main([name, str(tmp_path/'photos'/'test')]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_an_unknown_backbone_is_refused():
    with pytest.raises(UserError, match='VGG91'):
        mymodels.classifier((64, 64, 3), 4, 'VGG91', 'none')


# Attention

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('density', (0.1, 0.4, 0.6, 1.))
def test_the_largest_component_is_scikit_images(seed, density):
    active = uniform(6, 8, 8, 1, seed=seed) < density
    ours = mymodels.largest_component(tf.constant(active)).numpy()[..., 0]
    for found, a in zip(ours, active[..., 0]):
        labels = measure.label(a, connectivity=2)
        sizes = np.bincount(labels.ravel())[1:]
        truth = labels == 1 + sizes.argmax() if len(sizes) else np.zeros_like(a)
        assert np.array_equal(found, truth)


def test_the_largest_component_may_wind():
    spiral = np.zeros((7, 7), bool)
    for row, line in enumerate(('1111111', '0000001', '1111101', '1000101', '1011101', '1000001', '1111111')):
        spiral[row] = [c == '1' for c in line]
    active = spiral[None, ..., None]
    assert np.array_equal(mymodels.largest_component(tf.constant(active)).numpy(), active)


def test_the_crop_is_the_box_of_the_strongest_features():
    x = np.zeros((1, 16, 16, 1), np.float32)
    x[0, 4:8, 8:16] = 1
    features = np.zeros((1, 4, 4, 2), np.float32)
    features[0, 1, 2:4, 1] = -5   # strong, whatever its sign: rows 4 to 8, columns 8 to 16 of the image
    crop = mymodels.CropLargest()
    assert crop((tf.constant(x), tf.constant(features))).numpy().min() == 1
    flat = crop((tf.constant(uniform(1, 16, 16, 1)), tf.ones((1, 4, 4, 2)))).numpy()
    assert np.allclose(flat, uniform(1, 16, 16, 1), atol=1e-5)   # nothing stands out: the whole image


# Binarisation

@pytest.mark.parametrize('seed', range(3))
def test_otsu_in_the_graph_is_scikit_images(seed):
    m = uniform(20, 16, 16, 1, seed=seed)**(1 + seed)*uniform(20, 1, 1, 1, seed=9)
    m[0], m[1], m[2] = 0, 1, 0.3                  # constant masks
    m[3] = np.round(m[3])                         # two values
    m[4] = np.where(m[4] < 0.4, 0.1, 0.9)
    ours = tf.function(binarization.otsu)(tf.constant(m)).numpy()
    assert ours.shape == m.shape and set(np.unique(ours)) <= {0, 1}
    for found, mask in zip(ours, m):
        assert np.array_equal(found, mask > filters.threshold_otsu(mask, 256))


def test_half_cuts_at_one_half_and_none_changes_nothing():
    m = uniform(3, 8, 8, 1)
    assert np.array_equal(binarization.half(tf.constant(m)), m > 0.5)
    assert np.array_equal(binarization.binarizer('none')(m, None), m)


@pytest.mark.parametrize('channels', (1, 3))
def test_snap_finds_the_object_that_a_blurred_mask_points_at(channels):
    rng = np.random.default_rng(0)
    v, u = np.mgrid[-1:1:32j, -1:1:32j]
    wall = (0.8 - 0.2*u*u + 0.1*v)[..., None]*np.linspace(1, 0.9, channels)   # lit from the middle
    true = np.stack([(abs(u - s) < 0.2) | (abs(v + s) < 0.15) for s in (-0.4, 0, 0.3)])[..., None]
    colour = np.linspace(0.4, 0.2, channels)*(1 + 0.2*v[..., None])
    x = np.where(true, colour, wall) + 0.01*rng.standard_normal((3, 32, 32, channels))
    m = np.clip(filters.gaussian(true.astype(float), (0, 4, 4, 0)), 0.05, 0.9)
    found = tf.function(binarization.snap)(tf.constant(m, tf.float32), tf.constant(x, tf.float32)).numpy()
    assert set(np.unique(found)) == {0, 1} and (found == true).mean() > 0.995
    assert ((m > 0.5) == true).mean() < 0.95   # the mask alone does not show it


def test_cut_keeps_the_white_inside_of_an_object_of_two_colours_and_not_the_white_around():
    v, u = np.mgrid[-1:1:32j, -1:1:32j]
    true = (np.maximum(abs(u), abs(v)) < 0.6)[None, ..., None]
    ring = true & (np.maximum(abs(u), abs(v)) > 0.25)[None, ..., None]   # white as the ground inside
    x = np.where(ring, np.where(u[None, ..., None] < 0, [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]), 0.97)
    x = x + 0.01*np.random.default_rng(0).standard_normal(x.shape)
    m = np.clip(filters.gaussian(true.astype(float), (0, 4, 4, 0)), 0.05, 0.9)
    m, x = (tf.constant(a, tf.float32) for a in (m, x))
    found = {name: binarization.BINARIZE[name](m, x).numpy() for name in ('snap', 'cut')}
    assert np.array_equal(found['cut'], true) and not np.array_equal(found['snap'], true)


def test_snap_keeps_the_mask_where_colours_say_nothing():
    m = np.where(uniform(1, 32, 32, 1) < 0.3, 0.9, 0.1).astype(np.float32)
    for x in (np.full((1, 32, 32, 3), 0.5, np.float32), uniform(1, 32, 32, 3, seed=5)):
        assert ((binarization.snap(m, x).numpy() > 0.5) == (m > 0.5)).mean() > 0.97


def test_snap_survives_masks_of_one_value_and_images_without_noise():
    m = np.stack([np.zeros((16, 16, 1)), np.ones((16, 16, 1)), np.full((16, 16, 1), 0.5)]).astype(np.float32)
    for value in (0, 1):
        found = binarization.snap(m, np.full((3, 16, 16, 1), value, np.float32)).numpy()
        assert np.isfinite(found).all() and found[0].max() == 0 and found[1].min() == 1


@pytest.mark.parametrize('area', (0.1, 0.2, 0.5))
def test_quantile_keeps_that_share_of_the_brightest_pixels(area):
    m = uniform(5, 16, 16, 1)
    found = binarization.binarizer('quantile', area)(tf.constant(m), None).numpy()
    assert np.allclose(found.mean((1, 2, 3)), area, atol=2/256)
    for b, mask in zip(found, m):
        assert mask[b == 1].min() > mask[b == 0].max()

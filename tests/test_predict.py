"""predict.py: photographs read as training read them, classes and confidences, sheets, explanations."""
import csv
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import mydatasets
import mymodels
import predict
import toys
from common.quiet import keras, tf
from readers import photographs
from report import sheets
from training import weightfiles


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Weights f (knows toy, trained with the mask network u) and a (attention), and eight images of toy."""
    folder = tmp_path_factory.mktemp('predict')
    f, u = toys.parents(folder)
    keras.utils.set_random_seed(0)
    network = {'width': 4, 'dense': 8, 'tau': 0.7}
    weightfiles.save(mymodels.attention(toys.SHAPE, 3, **network), folder/'a', kind='attention',
                   network=network, shape=list(toys.SHAPE), classes=toys.CLASSES)
    images = mydatasets.load('toy').tests['original'].images()
    for i in range(8):
        path = folder/'photos'/('more' if i > 5 else '')/f'{i}.{"PNG" if i == 2 else "png"}'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.x[i, ..., 0]).save(path)
    (folder/'photos'/'notes.txt').write_text('no image')
    return folder, images.take(range(8))


def know(folder, **more):
    """Adds to the sidecar of f."""
    with open(folder/'classifier.json') as f:
        about = json.load(f)
    with open(folder/'classifier.json', 'w') as f:
        json.dump({**about, **more}, f)


def rows_of(path):
    with open(path, newline='') as f:
        return list(csv.DictReader(f))


def one_line(capsys, *words):
    """The run failed with exit code 2 and said so in one line."""
    capsys.readouterr()
    assert predict.main([str(w) for w in words]) == 2
    err = capsys.readouterr().err
    assert err.startswith('error: ') and err.count('\n') == 1 and ';' in err, err
    return err


def test_every_image_gets_the_networks_class_and_confidence_in_order(world, tmp_path, capsys):
    folder, images = world
    words = [folder/'classifier', folder/'photos'/'more', folder/'photos', '--batchsize', '3']
    assert predict.main([*map(str, words), '--csv', str(tmp_path/'p.csv')]) == 0
    rows, out = rows_of(tmp_path/'p.csv'), capsys.readouterr().out.splitlines()
    order = [6, 7, 0, 1, 2, 3, 4, 5, 6, 7]
    model, _ = weightfiles.load(folder/'classifier')
    share = tf.nn.softmax(model(images.x/np.float32(255))).numpy()[order]
    assert [os.path.splitext(os.path.basename(r['image']))[0] for r in rows] == [str(i) for i in order]
    assert [r['class'] for r in rows] == [toys.CLASSES[c] for c in share.argmax(1)]
    assert np.allclose([float(r['confidence']) for r in rows], share.max(1), atol=1e-5)
    assert (np.array([toys.CLASSES.index(r['class']) for r in rows]) == images.y[order]).mean() > 0.7
    assert [line.split('\t')[:2] for line in out] == [[r['image'], r['class']] for r in rows]


def test_attention_weights_predict_too(world, capsys):
    folder, _ = world
    assert predict.main([str(folder/'a'), str(folder/'photos')]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8


def test_photographs_are_read_as_a_folder_data_set_reads_them(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path/'x.png')
    path = str(tmp_path/'x.png')
    assert np.array_equal(predict.reader((16, 16, 3))(path), photographs.read_image(path, 16))
    assert predict.reader((16, 16, 1))(path).shape == (16, 16, 1)
    padded = predict.reader((16, 16, 3), fit='pad')(path)
    assert np.array_equal(padded, photographs.read_image(path, 16, fit='pad'))


def test_photographs_are_fitted_as_the_weights_say_they_were_trained(world, tmp_path, monkeypatch):
    folder, _ = world
    for name in ('classifier.json', 'classifier.weights.h5'):
        shutil.copy(folder/name, tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path/'x.png')
    seen, reader = [], predict.reader
    monkeypatch.setattr(predict, 'reader', lambda shape, invert, fit: seen.append(fit) or reader(shape))
    for arguments, fit in ({'fit': 'pad'}, 'pad'), ({}, 'crop'), ({'fit': 'x'}, 'crop'), (['fit'], 'crop'):
        know(tmp_path, arguments=arguments)
        assert predict.main([str(tmp_path/'classifier'), str(tmp_path/'x.png')]) == 0
        assert seen.pop() == fit


def test_28_pixel_images_are_padded_as_their_sets_are_and_black_stays_black(tmp_path):
    digit = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1), np.uint8)
    for name, x in ('a', digit), ('b', 255 - digit):
        Image.fromarray(x[0, ..., 0]).save(tmp_path/f'{name}.png')
    wanted = mydatasets.pad32(digit)[0]
    assert np.array_equal(predict.reader((32, 32, 1))(str(tmp_path/'a.png')), wanted)
    assert np.array_equal(predict.reader((32, 32, 1), invert=True)(str(tmp_path/'b.png')), wanted)
    assert predict.reader((32, 32, 3))(str(tmp_path/'a.png'))[0, 0].any()   # colour sets are not padded


def test_dark_objects_on_paper_are_noted_and_inverted_on_request(world, tmp_path, capsys):
    folder, images = world
    for i, x in enumerate(images.x):
        Image.fromarray(255 - x[..., 0]).save(tmp_path/f'{i}.png')
    assert predict.main([str(folder/'classifier'), str(tmp_path)]) == 0
    assert '--invert' in capsys.readouterr().err
    assert predict.main([str(folder/'classifier'), str(tmp_path), '--invert']) == 0
    out, err = capsys.readouterr()
    assert predict.main([str(folder/'classifier'), str(folder/'photos')]) == 0
    plain = capsys.readouterr().out
    assert not err and [s.split('\t')[1:] for s in out.splitlines()] == [
        s.split('\t')[1:] for s in plain.splitlines()]


def test_explain_adds_the_mask_of_the_unet_that_the_sidecar_names(world, tmp_path, capsys):
    folder, _ = world
    know(folder, trained_from={'unet': 'elsewhere/unet'})   # moved together: the file lies beside the weights
    words = [str(folder/'classifier'), str(folder/'photos'), '--explain', '--csv', str(tmp_path/'p.csv'),
             '--sheet', str(tmp_path/'p.png')]
    assert predict.main(words) == 0
    rows = rows_of(tmp_path/'p.csv')
    assert list(rows[0]) == ['image', 'class', 'confidence', 'mask', 'look_inside'] and len(rows) == 8
    assert all(0 <= float(r[k]) <= 1 for r in rows for k in ('mask', 'look_inside'))
    with Image.open(tmp_path/'p.png') as im:
        assert im.format == 'PNG' and np.asarray(im).std() > 20
    know(folder, trained_from={'unet': 'elsewhere/gone'})
    assert predict.main(words) == 0
    assert '--unet' in capsys.readouterr().err and list(rows_of(tmp_path/'p.csv')[0])[-1] == 'confidence'
    know(folder, trained_from={})
    assert predict.main([*words, '--unet', str(folder/'unet')]) == 0
    assert rows_of(tmp_path/'p.csv') == rows


def test_sheets_hold_so_many_pictures_and_cut_long_captions(tmp_path):
    picture = np.zeros((8, 8, 1), np.uint8)
    path, cells = str(tmp_path/'s.png'), [([picture, picture], ['x'*500, 'ü ☃\n'])]*(sheets.MOST + 50)
    sheets.save_sheet(path, [('t'*500, cells), ('none', [])])
    with Image.open(path) as im:
        first = im.size
    sheets.save_sheet(path, [('t', cells[:sheets.MOST]), ('none', [])])
    with Image.open(path) as im:
        assert im.size == first and im.width == sheets.WIDTH


def test_damaged_photographs_stop_the_run_unless_skipped(world, tmp_path, capsys):
    folder, _ = world
    shutil.copytree(folder/'photos', tmp_path/'photos')
    (tmp_path/'photos'/'4.png').write_bytes(b'no image')
    err = one_line(capsys, folder/'classifier', tmp_path/'photos', '--csv', tmp_path/'p.csv')
    assert '4.png' in err and '--skip-damaged' in err and not (tmp_path/'p.csv').exists()
    assert predict.main([str(folder/'classifier'), str(tmp_path/'photos'), '--skip-damaged']) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 7 and '4.png' in err


@pytest.mark.parametrize('words, named', [
    (['{w}/classifier', '{t}/nothing.png'], 'nothing.png'),
    (['{w}/classifier', '{t}'], 'no images'),
    (['{w}/classifier', '{w}/photos/notes.txt'], 'notes.txt'),
    (['{w}/nothing', '{w}/photos'], 'no weights'),
    (['{w}/unet', '{w}/photos'], 'holds a unet'),
    (['{w}/classifier', '{w}/photos', '--explain', '--unet', '{w}/classifier'], 'holds a classifier'),
    (['{w}/classifier', '{w}/photos/1.png', '--sheet', '{w}/photos/1.png'], 'one of the images')])
def test_mistakes_are_answered_in_one_line(world, tmp_path, capsys, words, named):
    folder, _ = world
    assert named in one_line(capsys, *(w.format(w=folder, t=tmp_path) for w in words))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize('option', [['--sheet', 'x.jpg'], ['--csv', 'photo.png'], ['--batchsize', '0']])
def test_wrong_arguments_leave_with_2(world, option, capsys):
    with pytest.raises(SystemExit) as e:
        predict.main([str(world[0]/'classifier'), str(world[0]/'photos'), *option])
    assert e.value.code == 2 and capsys.readouterr().err.count('\n') == 1

"""predict.py: photographs read as training read them, classes and confidences, sheets, explanations."""
import csv
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import mymodels
import predict
import toys
from common.quiet import keras, tf
from readers import frames
from report import sheets
from scoring import occlusion
from toys import error_of
from training import weightfiles


def know(folder, **more):
    """Adds to the sidecar of f."""
    with open(folder/'classifier.json') as f:
        about = json.load(f)
    with open(folder/'classifier.json', 'w') as f:
        json.dump({**about, **more}, f)


def rows_of(path):
    with open(path, newline='') as f:
        return list(csv.DictReader(f))


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


def test_names_of_any_bytes_are_predicted_written_down_and_drawn(world, tmp_path, capsys):
    folder, _ = world
    (tmp_path/'in').mkdir()
    name = os.fsdecode(b'caf\xe9 \xff.png')
    shutil.copy(folder/'photos'/'0.png', tmp_path/'in'/name)
    assert predict.main([str(folder/'classifier'), str(tmp_path/'in'), '--csv', str(tmp_path/'p.csv'),
                         '--sheet', str(tmp_path/'p.png')]) == 0
    with open(tmp_path/'p.csv', encoding='utf-8', errors='surrogateescape') as f:
        assert os.path.join(tmp_path, 'in', name) in f.read()
    assert r'caf\udce9 \udcff.png' in capsys.readouterr().out and (tmp_path/'p.png').is_file()


def test_attention_weights_predict_too(world, capsys):
    folder, _ = world
    assert predict.main([str(folder/'a'), str(folder/'photos')]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8


def test_the_promised_precision_holds_until_the_last_image(world, monkeypatch):
    seen, explain = [], occlusion.explain

    def watched(model, mask, x):
        seen.append((keras.config.dtype_policy().name,
                     tf.config.experimental.tensor_float_32_execution_enabled()))
        return explain(model, mask, x)
    monkeypatch.setattr(occlusion, 'explain', watched)
    folder, _ = world
    for words, policy in ([], 'float32'), (['--precision', 'bfloat16'], 'mixed_bfloat16'):
        assert predict.main([str(folder/'classifier'), str(folder/'photos'), '--explain', '--batchsize', '3',
                             '--quiet', '--unet', str(folder/'unet'), *words]) == 0
        assert seen == [(policy, False)]*3
        seen.clear()
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_photographs_are_fitted_as_the_weights_say_they_were_trained(world, tmp_path, monkeypatch):
    folder, _ = world
    for name in ('classifier.json', 'classifier.weights.h5'):
        shutil.copy(folder/name, tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(tmp_path/'x.png')
    seen, read = [], frames.Frame.read
    monkeypatch.setattr(frames.Frame, 'read', lambda frame, path: seen.append(frame.fit) or read(frame, path))
    for arguments, fit in ({'fit': 'pad'}, 'pad'), ({}, 'crop'), ({'fit': 'x'}, 'crop'), (['fit'], 'crop'):
        know(tmp_path, arguments=arguments)
        assert predict.main([str(tmp_path/'classifier'), str(tmp_path/'x.png')]) == 0
        assert seen.pop() == fit


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


@pytest.fixture
def moved(world, tmp_path, monkeypatch):
    """(new, home): weights and their U-Net lie together in `new`; from `home`, now the current folder, the
    place that the sidecar names leads to another U-Net."""
    folder, _ = world
    new, home = tmp_path/'new', tmp_path/'home'
    for path in (new, home/'saved'):
        path.mkdir(parents=True)
    for kind in 'classifier', 'unet':
        for ending in '.json', '.weights.h5':
            shutil.copy(folder/(kind + ending), new)
    other = mymodels.unet(toys.SHAPE, 4)
    weightfiles.save(other, home/'saved'/'unet', kind='unet', network={'width': 4}, shape=list(toys.SHAPE),
                     classes=toys.CLASSES)
    know(new, trained_from={'unet': 'saved/unet'})
    monkeypatch.chdir(home)
    return new, home


def unet_taken(monkeypatch, capsys, weights, photos):
    """(path of the U-Net that --explain takes, or None; the notes)."""
    taken, load = [], weightfiles.load

    def watched(path, *more, **options):
        model, about = load(path, *more, **options)
        taken.extend([os.path.realpath(path)]*(about['kind'] == 'unet'))
        return model, about
    monkeypatch.setattr(weightfiles, 'load', watched)
    assert predict.main([str(weights), str(photos), '--explain', '--quiet']) == 0
    monkeypatch.setattr(weightfiles, 'load', load)
    return (taken or [None])[0], capsys.readouterr().err


def digest(path):
    with open(f'{path}.weights.h5', 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def test_the_unet_beside_the_weights_comes_before_the_current_folders_and_is_named(world, moved, monkeypatch,
                                                                                   capsys):
    new, photo = moved[0], world[0]/'photos'/'1.png'
    taken, notes = unet_taken(monkeypatch, capsys, new/'classifier', photo)
    assert taken == str(new/'unet') and str(new/'unet') in notes and 'digest' in notes   # an old sidecar
    know(new, identity={'parents': {'unet': digest(new/'unet')}})
    assert unet_taken(monkeypatch, capsys, new/'classifier', photo) == (str(new/'unet'), '')


def test_a_unet_of_another_digest_is_passed_over_with_a_note(world, moved, monkeypatch, capsys):
    (new, home), photo = moved, world[0]/'photos'/'1.png'
    know(new, identity={'parents': {'unet': digest(home/'saved'/'unet')}})
    taken, notes = unet_taken(monkeypatch, capsys, new/'classifier', photo)
    assert taken == str(home/'saved'/'unet')
    assert notes.count('\n') == 1 and str(new/'unet') in notes and 'passed over' in notes
    know(new, identity={'parents': {'unet': '0'*64}})
    taken, notes = unet_taken(monkeypatch, capsys, new/'classifier', photo)
    assert taken is None and notes.count('passed over') == 2 and '--unet' in notes
    for identity in (None, [], {}, {'parents': []}, {'parents': {'unet': 1}}):   # of a stranger
        about = {'trained_from': {'unet': 'saved/unet'}, 'identity': identity}
        assert predict.known_unet(str(new/'classifier'), about) == str(new/'unet')


def test_the_unet_is_found_from_the_folder_of_the_weights(world, moved, monkeypatch, capsys):
    new, photo = moved[0], world[0]/'photos'/'1.png'
    masks = new.parent/'masks'
    masks.mkdir()
    monkeypatch.chdir('/')
    for ending in '.json', '.weights.h5':
        os.rename(new/('unet' + ending), masks/('u' + ending))
    know(new, trained_from={'unet': '../masks/u'}, identity={'parents': {'unet': digest(masks/'u')}})
    assert unet_taken(monkeypatch, capsys, new/'classifier', photo) == (str(masks/'u'), '')


def test_sheets_hold_so_many_pictures_and_cut_long_captions(tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, 'MOST', 30)
    picture = np.zeros((8, 8, 1), np.uint8)
    path, cells = str(tmp_path/'s.png'), [([picture, picture], ['x'*500, 'ü ☃\n'])]*50
    sheets.save_sheet(path, [('t'*500, cells), ('none', [])])
    with Image.open(path) as im:
        first = im.size
    sheets.save_sheet(path, [('t', cells[:30]), ('none', [])])
    with Image.open(path) as im:
        assert im.size == first and im.width == sheets.WIDTH


def test_damaged_photographs_stop_the_run_unless_skipped(world, tmp_path, capsys):
    folder, _ = world
    shutil.copytree(folder/'photos', tmp_path/'photos')
    (tmp_path/'photos'/'4.png').write_bytes(b'no image')
    err = error_of(predict.main, folder/'classifier', tmp_path/'photos', '--csv', tmp_path/'p.csv')
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
    (['{w}/classifier', '{w}/photos/1.png', '--margin', '8'], 'at most 7'),
    (['{w}/classifier', '{w}/photos/1.png', '--sheet', '{w}/photos/1.png'], 'one of the images')])
def test_mistakes_are_answered_in_one_line(world, tmp_path, words, named):
    folder, _ = world
    assert named in error_of(predict.main, *(w.format(w=folder, t=tmp_path) for w in words))
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize('option', [['--sheet', 'x.jpg'], ['--csv', 'photo.png'], ['--batchsize', '0'],
                                    ['--margin', '-1'], ['--margin', 'wide']])
def test_wrong_arguments_leave_with_2(world, option, capsys):
    with pytest.raises(SystemExit) as e:
        predict.main([str(world[0]/'classifier'), str(world[0]/'photos'), *option])
    assert e.value.code == 2 and capsys.readouterr().err.count('\n') == 1

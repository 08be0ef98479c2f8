"""export.py: files for other programs answer as the network does, or are not there."""
import os
import subprocess
import sys

import numpy as np
import pytest

import export
import mymodels
import toys
from common.crops import crop_largest
from common.quiet import keras, tf
from scoring.agreement import agreement
from training import weightfiles

NETWORKS = {'classifier': {'width': 4, 'dense': 8}, 'unet': {'width': 4},
            'attention': {'width': 4, 'dense': 8, 'tau': 0.7}}
BUILDERS = {'classifier': mymodels.classifier, 'attention': mymodels.attention}
HAS_ONNX = not [p for p in export.PACKAGES['onnx'] if export.importlib.util.find_spec(p) is None]


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """New colour networks of every kind, 16x16, their outputs far from even."""
    folder = tmp_path_factory.mktemp('export')
    keras.utils.set_random_seed(0)
    for kind, network in NETWORKS.items():
        model = (mymodels.unet((16, 16, 3), **network) if kind == 'unet' else
                 BUILDERS[kind]((16, 16, 3), 3, **network))
        model.set_weights([3*w for w in model.get_weights()])
        weightfiles.save(model, folder/kind, kind=kind, network=network, shape=[16, 16, 3],
                       classes=toys.CLASSES)
    return folder


def exported(weights, kind, format, path, *more):
    assert export.main([str(weights/kind), '--format', format, '--output', str(path), *more]) == 0
    return export.READ[format](str(path))


def pixels(n=5):
    return np.random.default_rng(1).integers(0, 256, (n, 16, 16, 3)).astype(np.float32)


CASES = [(k, f) for k in NETWORKS for f in ('keras', 'savedmodel', 'tflite')
         if (k, f) != ('attention', 'tflite')]


@pytest.mark.parametrize('kind, format', CASES)
def test_files_take_raw_pixels_and_answer_as_the_network(weights, tmp_path, capsys, kind, format):
    path = tmp_path/f'x{export.ENDINGS[format]}'
    found = exported(weights, kind, format, path)(pixels())
    wanted = weightfiles.load(weights/kind)[0](pixels()/255)
    wanted = wanted if kind == 'unet' else tf.nn.softmax(wanted)
    assert found.dtype == np.float32 and np.allclose(found, wanted, atol=1e-4)
    out = capsys.readouterr().out
    assert 'pixels 0..255' in out and ('mask' if kind == 'unet' else 'probabilities') in out
    assert os.listdir(tmp_path) == [path.name]
    if format == 'keras':   # no Lambda layer: it loads in safe mode
        model = keras.models.load_model(path)
        assert not any(isinstance(v, keras.layers.Lambda) for v in model._flatten_layers())
        assert model.input_shape == (None, 16, 16, 3) and model.inputs[0].dtype == 'float32'


def test_logits_instead_of_probabilities(weights, tmp_path, capsys):
    found = exported(weights, 'classifier', 'tflite', tmp_path/'x.tflite', '--logits')(pixels())
    assert np.allclose(found, weightfiles.load(weights/'classifier')[0](pixels()/255), rtol=1e-3, atol=1e-3)
    assert 'logits' in capsys.readouterr().out


def test_the_pixels_that_a_monochrome_network_wants_are_told_with_their_margin(tmp_path, capsys):
    network = {'width': 2, 'dense': 4}
    weightfiles.save(mymodels.classifier((32, 32, 1), 3, **network), tmp_path/'f', kind='classifier',
                     dataset='mnist', network=network, shape=[32, 32, 1], classes=toys.CLASSES)
    assert export.main([str(tmp_path/'f'), '--format', 'keras']) == 0
    assert 'grey, 28x28 inside 2 black ones on each side' in capsys.readouterr().out
    assert export.pixels_of({'shape': [16, 16, 1]}) == 'grey'


FRESH = """import sys
import keras, numpy as np
found = {}
for path in sys.argv[2:]:
    given = np.load(path + '.npz')
    model = keras.models.load_model(path, compile=False)
    found[path] = float(abs(np.asarray(model(given['x'])) - given['y']).max())
assert not [m for m in sys.modules if m.split('.')[0] in ('mymodels', 'common', 'training')]
print(found)
assert max(found.values()) < 1e-4, found
"""
FAMILIES = 'VGG16', 'ResNet50', 'MobileNetV2', 'EfficientNetB0', 'ConvNeXtTiny'


@pytest.mark.slow
def test_keras_files_of_every_kind_load_where_only_keras_is(weights, tmp_path):
    sources = {kind: (str(weights/kind), 16) for kind in NETWORKS}
    for name in FAMILIES:
        network = {'backbone': name, 'head': 'pooled'}
        model = mymodels.classifier((32, 32, 3), 3, name, 'none', head='pooled')
        weightfiles.save(model, tmp_path/name, kind='classifier', network=network, shape=[32, 32, 3],
                         classes=toys.CLASSES)
        sources[name] = str(tmp_path/name), 32
    paths = []
    for kind, (source, side) in sources.items():
        paths.append(str(tmp_path/f'{kind}.keras'))
        assert export.main([source, '--format', 'keras', '--output', paths[-1]]) == 0
        x = np.random.default_rng(2).integers(0, 256, (4, side, side, 3)).astype(np.float32)
        y = weightfiles.load(source)[0](x/255)
        np.savez(paths[-1] + '.npz', x=x, y=y if kind == 'unet' else tf.nn.softmax(y))
    done = subprocess.run([sys.executable, '-c', FRESH, 'x', *paths], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_crop_of_attention_in_keras_own_operations_is_the_same():
    random = np.random.default_rng(0)
    features = random.uniform(-1, 1, (40, 4, 4, 3)).astype(np.float32)
    features[:2] = 0.5                                  # flat: all is kept
    x = random.uniform(0, 1, (40, 16, 16, 3)).astype(np.float32)
    wanted = mymodels.CropLargest(0.7)([x, features])
    assert np.allclose(crop_largest(x, features, 0.7), wanted, atol=1e-4)
    assert np.allclose(wanted[:2], x[:2], atol=1e-4) and not np.allclose(wanted[2:], x[2:], atol=0.1)


def test_half_precision_halves_the_file_and_comes_close(weights, tmp_path, capsys):
    whole = exported(weights, 'classifier', 'tflite', tmp_path/'x.tflite')
    half = exported(weights, 'classifier', 'tflite', tmp_path/'h.tflite', '--float16')
    assert 0 < np.abs(whole(pixels()) - half(pixels())).max() < 1e-2
    assert os.path.getsize(tmp_path/'h.tflite') < os.path.getsize(tmp_path/'x.tflite')
    assert ' MB' in capsys.readouterr().out
    assert 'tflite' in fails(capsys, weights/'classifier', '--format', 'keras', '--float16', '--output',
                             tmp_path/'y.keras')


@pytest.mark.parametrize('format, times', [('keras', 1), ('tflite', 2)])
def test_files_are_compared_on_photographs(weights, tmp_path, capsys, format, times):
    photographs = toys.photographs(tmp_path/'p', each=3)
    path = tmp_path/f'x{export.ENDINGS[format]}'
    exported(weights, 'classifier', format, path, '--check', str(photographs))
    lines = [line for line in capsys.readouterr().out.splitlines() if 'same answer' in line]
    assert len(lines) == times and all('(of 10, ' in line and ' ms a photograph' in line for line in lines)


def test_a_file_that_answers_otherwise_on_photographs_is_told(weights, tmp_path, capsys, monkeypatch):
    photographs = toys.photographs(tmp_path/'p', each=3)
    monkeypatch.setattr(export, 'agreement', lambda *a: agreement(lambda x: -np.asarray(a[1](x)), *a[1:]))
    err = fails(capsys, weights/'classifier', '--format', 'keras', '--output', tmp_path/'x.keras', '--check',
                str(photographs))
    assert 'otherwise' in err
    assert 'no images' in fails(capsys, weights/'classifier', '--format', 'keras', '--output',
                                tmp_path/'y.keras', '--check', tmp_path/'nowhere')


def fails(capsys, *words):
    capsys.readouterr()
    assert export.main([str(w) for w in words]) == 2
    err = capsys.readouterr().err
    assert err.startswith('error: ') and err.count('\n') == 1 and ';' in err, err
    return err


@pytest.mark.parametrize('format', ['keras', 'savedmodel'])
def test_what_stands_there_is_replaced_only_when_asked(weights, tmp_path, capsys, format):
    path = tmp_path/f'x{export.ENDINGS[format]}'
    exported(weights, 'classifier', format, path)
    assert '--overwrite' in fails(capsys, weights/'unet', '--format', format, '--output', path)
    found = exported(weights, 'unet', format, path, '--overwrite')(pixels())
    assert found.shape == (5, 16, 16, 1) and os.listdir(tmp_path) == [path.name]


def test_a_folder_that_is_no_savedmodel_is_never_replaced(weights, tmp_path, capsys):
    (tmp_path/'precious').mkdir()
    (tmp_path/'precious'/'file').write_text('x')
    assert 'something else' in fails(capsys, weights/'classifier', '--format', 'savedmodel', '--output',
                                     tmp_path/'precious', '--overwrite')
    assert (tmp_path/'precious'/'file').read_text() == 'x'


@pytest.mark.parametrize('format', ['keras', 'savedmodel'])
def test_a_file_that_answers_otherwise_is_an_error_and_is_removed(weights, tmp_path, capsys, monkeypatch,
                                                                  format):
    read = export.READ[format]
    monkeypatch.setitem(export.READ, format, lambda path: lambda x: read(path)(x) + 0.01)
    path = tmp_path/f'x{export.ENDINGS[format]}'
    assert 'otherwise' in fails(capsys, weights/'classifier', '--format', format, '--output', path)
    assert os.listdir(tmp_path) == []


def test_a_format_that_cannot_hold_the_network_says_so_in_one_line(weights, tmp_path, capsys):
    err = fails(capsys, weights/'attention', '--format', 'tflite', '--output', tmp_path/'x.tflite')
    assert 'attention' in err and 'savedmodel' in err and os.listdir(tmp_path) == []


@pytest.mark.parametrize('words, named', [
    (['{w}/nothing', '--format', 'keras'], 'no weights'),
    (['{w}/unet', '--format', 'keras', '--logits', '--output', '{t}/x.keras'], '--logits'),
    (['{w}/unet', '--format', 'keras', '--output', '{t}/x.h5'], '.keras')])
def test_mistakes_are_answered_in_one_line(weights, tmp_path, capsys, words, named):
    assert named in fails(capsys, *(w.format(w=weights, t=tmp_path) for w in words))
    assert os.listdir(tmp_path) == []


def test_missing_packages_are_named_before_anything_is_loaded(weights, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export.importlib.util, 'find_spec', lambda name: None)
    err = fails(capsys, weights/'classifier', '--format', 'onnx', '--output', tmp_path/'x.onnx')
    assert 'pip install tf2onnx onnx onnxruntime' in err and os.listdir(tmp_path) == []


@pytest.mark.skipif(not HAS_ONNX, reason='tf2onnx, onnx and onnxruntime are optional and not all here')
@pytest.mark.parametrize('kind', ['classifier', 'unet'])
def test_onnx_answers_as_the_network(weights, tmp_path, kind):
    found = exported(weights, kind, 'onnx', tmp_path/'x.onnx', *(['--logits'] if kind != 'unet' else []))
    assert np.allclose(found(pixels()), weightfiles.load(weights/kind)[0](pixels()/255), rtol=1e-3, atol=1e-3)

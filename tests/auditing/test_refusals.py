"""One line for what cannot be audited or imported."""
import json
import os
import shutil
import zipfile

import h5py
import pytest

import audit
import export
import mymodels
from common.errors import UserError
from common.quiet import keras, tf
from readers import foreign, kerasfiles, savedmodels
from scoring import convention
from strangers import CLASSES, fails, L
from training import imports, weightfiles


def saved(net, name):
    """Writes a network under a name of the case's folder."""
    def write(tmp):
        net().save(tmp/name)
    return write


def sequential(*layers, shape=(16, 16, 3), batch=None):
    return lambda: keras.Sequential([keras.Input(shape, batch_size=batch), *layers])


def ending(k=4):
    return L.GlobalAveragePooling2D(), L.Dense(k)


class Own(L.Layer):
    def call(self, x):
        return x


def two_inputs():
    a, b = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    return keras.Model([a, b], L.Dense(4)(L.Flatten()(a + b)))


def two_outputs():
    a = keras.Input((16, 16, 3))
    return keras.Model(a, [L.Dense(4)(L.Flatten()(a)), L.Dense(4)(L.Flatten()(a))])


def cut(tmp):
    sequential(*ending())().save(tmp/'x.keras')
    content = (tmp/'x.keras').read_bytes()
    (tmp/'x.keras').write_bytes(content[:len(content)//2])


def cut_h5(tmp):
    sequential(*ending())().save(tmp/'x.h5')
    content = (tmp/'x.h5').read_bytes()
    (tmp/'x.h5').write_bytes(content[:len(content)//2])


def rezipped(name, change):
    """The `.keras` file with one member changed."""
    def write(tmp):
        sequential(*ending())().save(tmp/'whole.keras')
        with zipfile.ZipFile(tmp/'whole.keras') as old, \
                zipfile.ZipFile(tmp/'x.keras', 'w', zipfile.ZIP_DEFLATED) as new:
            for member in old.namelist():
                content = old.read(member)
                new.writestr(member, change(content) if member == name else content)
        os.remove(tmp/'whole.keras')
    return write


def gigabytes(content):
    """An architecture of a layer of 40 GB, with the weights of a small one."""
    return content.replace(b'"units": 4', b'"units": 1000000000')


def disguised(content):
    """A layer that claims to be a function of the operating system."""
    return content.replace(b'"class_name": "GlobalAveragePooling2D"', b'"class_name": "system"').replace(
        b'"module": "keras.layers"', b'"module": "os"')


def download(content):
    """An activation that would fetch a file."""
    return content.replace(b'"activation": "linear"', b'"activation": {"module": "keras.utils", '
                           b'"class_name": "function", "config": "get_file", "registered_name": "get_file"}')


def declared_h5(tmp):
    sequential(*ending())().save(tmp/'x.h5')
    with h5py.File(tmp/'x.h5', 'a') as f:
        f.create_dataset('model_weights/huge', (2**20, 2**20), 'f4', chunks=(64, 64))


def served(function, shape=(None, 16, 16, 3), name='serving_default'):
    """A SavedModel of a function of images."""
    def write(tmp):
        module = tf.Module()
        module.f = tf.function(function, input_signature=[tf.TensorSpec(shape)])
        tf.saved_model.save(module, str(tmp/'x'), {name: module.f.get_concrete_function()})
    return write


def mean(x):
    return tf.reduce_mean(x, (1, 2))


def writes(x):
    tf.io.write_file('/nonexistent/executed', 'x')
    return tf.reduce_mean(x, (1, 2))


def hidden(x):
    return tf.cond(tf.reduce_sum(x) > 1e9, lambda: tf.strings.length(tf.io.read_file('/etc/hostname')) > 0,
                   lambda: False) & tf.constant(True), tf.reduce_mean(x, (1, 2))


def python(x):
    return tf.ensure_shape(tf.py_function(lambda v: v, [tf.reduce_mean(x, (1, 2))], tf.float32), (None, 3))


CASES = {
    'no file': ('x.keras', 'no file', None),
    'neither file nor folder': ('x', 'no weights', None),
    'another ending': ('x.pt', 'no weights', lambda tmp: (tmp/'x.pt').write_text('x')),
    'an input that is no image': ('x.keras', 'takes 16 of float32', saved(sequential(L.Dense(4), shape=(16,)),
                                                                          'x.keras')),
    'grey images': ('x.keras', '16x16x1', saved(sequential(*ending(), shape=(16, 16, 1)), 'x.keras')),
    'two inputs': ('x.keras', '2 inputs', saved(two_inputs, 'x.keras')),
    'two outputs': ('x.keras', '2 outputs', saved(two_outputs, 'x.keras')),
    'channels first': ('x.keras', 'channels first', saved(
        sequential(L.Flatten(), L.Dense(4), shape=(3, 16, 16)), 'x.keras')),
    'a fixed batch': ('x.keras', '8 images at a time', saved(sequential(*ending(), batch=8), 'x.keras')),
    'oblong images': ('x.keras', 'square', saved(sequential(*ending(), shape=(16, 20, 3)), 'x.keras')),
    'maps instead of classes': ('x.keras', 'give a classifier', saved(sequential(L.Conv2D(4, 1)), 'x.keras')),
    'another number of classes': ('x.keras', 'with 5 numbers', saved(sequential(*ending(5)), 'x.keras')),
    'an ImageNet head': ('x.keras', '1,000 numbers', saved(sequential(*ending(1000)), 'x.keras')),
    'chance': ('x.keras', 'which is chance', saved(
        sequential(L.Flatten(), L.Dense(4, kernel_initializer='zeros')), 'x.keras')),
    'Lambda in .keras': ('x.keras', 'Lambda', saved(sequential(L.Lambda(lambda x: x), *ending()), 'x.keras')),
    'Lambda in .h5': ('x.h5', 'Lambda', saved(sequential(L.Lambda(lambda x: x), *ending()), 'x.h5')),
    'a layer of their own': ('x.keras', "'Own'", saved(sequential(Own(), *ending()), 'x.keras')),
    'a layer of their own in .h5': ('x.h5', "'Own'", saved(sequential(Own(), *ending()), 'x.h5')),
    'half a file': ('x.keras', 'damaged', cut),
    'half an .h5': ('x.h5', 'x.h5', cut_h5),
    'text': ('x.keras', 'damaged', lambda tmp: (tmp/'x.keras').write_text('text'*99)),
    'text for .h5': ('x.h5', 'no readable', lambda tmp: (tmp/'x.h5').write_text('text'*99)),
    'a zip bomb': ('x.keras', 'unpacks to', rezipped('config.json', lambda c: b' '*2_900_000 + c)),
    'a zip bomb of weights': ('x.keras', 'unpacks to', rezipped('model.weights.h5', lambda c: bytes(10**8))),
    'a layer of gigabytes': ('x.keras', 'but holds', rezipped('config.json', gigabytes)),
    'a class of the operating system': ('x.keras', "is not Keras' own", rezipped('config.json', disguised)),
    'an activation that fetches files': ('x.keras', "'get_file'", rezipped('config.json', download)),
    'an .h5 that declares terabytes': ('x.h5', 'declares', declared_h5),
    'weights alone': ('x.h5', 'save the whole model', lambda tmp: h5py.File(tmp/'x.h5', 'w').close()),
    'a folder that is no SavedModel': ('x', 'saved_model.pb', lambda tmp: os.mkdir(tmp/'x')),
    'a damaged SavedModel': ('x', 'damaged', lambda tmp: (
        os.mkdir(tmp/'x'), (tmp/'x/saved_model.pb').write_text('text'))),
    'no serving signature': ('x', 'no signature', served(mean, name='other')),
    'a SavedModel that writes files': ('x', 'WriteFile', served(writes)),
    'one that reads them in a branch': ('x', 'ReadFile', served(hidden)),
    'one that calls Python': ('x', 'EagerPyFunc', served(python)),
    'a SavedModel of a fixed batch': ('x', '2 images at a time', served(mean, (2, 16, 16, 3)))}


@pytest.mark.parametrize('case', CASES)
def test_what_cannot_be_audited_is_told_in_one_line(case, world, tmp_path, capsys):
    name, named, before = CASES[case]
    if before:
        before(tmp_path)
    err = fails(capsys, tmp_path/name, f'folder:{world}/photos', '--size', '16', '--out', tmp_path/'out')
    assert named in err, err
    assert not (tmp_path/'out').exists()


FOLDERS = {
    'no test': (lambda root: shutil.rmtree(root/'test'), [], 'has no test images'),
    'no masks': (lambda root: shutil.rmtree(root/'masks'), [], 'or find them with --masks learn'),
    'a class of one photograph': (lambda root: [p.unlink() for p in sorted((root/'train/cup').iterdir())[1:]],
                                  [], 'one image; a class needs'),
    'a test class of one photograph': (
        lambda root: [p.unlink() for p in sorted((root/'test/cup').iterdir())[1:]], ['--input', '0..255'],
        'has one photograph'),
    'another side': (None, ['--size', '32'], 'takes images of 16 pixels'),
    'no list of classes': (None, ['--classes', '{tmp}/none.txt'], 'cannot be read'),
    'another list of classes': (None, ['--classes', '{tmp}/list.txt'], 'stands not once'),
    'no such input': (None, ['--input', 'cafe'], 'did you mean caffe?'),
    'no such masks': (None, ['--masks', 'unet'], 'no weights unet'),
    'a name that is taken': (None, ['--import', '{tmp}/taken'], 'give another NAME')}


@pytest.mark.parametrize('case', FOLDERS)
def test_folders_and_options_that_do_not_fit_are_told_in_one_line(case, world, stranger, tmp_path, capsys):
    change, words, named = FOLDERS[case]
    shutil.copytree(world/'photos', tmp_path/'photos')
    (tmp_path/'list.txt').write_text('a\nb\nc\nd\n')
    (tmp_path/'taken.weights.h5').write_text('')
    if change:
        change(tmp_path/'photos')
    capsys.readouterr()
    try:
        code = audit.main([stranger, f'folder:{tmp_path}/photos', *(w.format(tmp=tmp_path) for w in words),
                           '--out', str(tmp_path/'out')])
    except SystemExit as e:
        code = e.code
    err = [line for line in capsys.readouterr().err.splitlines() if not line.startswith('note: ')]
    assert code == 2 and named in '\n'.join(err), err
    assert len(err) == 1 or case == 'a class of one photograph'   # which brings the report of the folder
    assert not (tmp_path/'out').exists()


def test_a_savedmodel_is_not_imported_and_own_format_is_for_imports(world, stranger, tmp_path, capsys):
    served(mean)(tmp_path)
    photos = f'folder:{world}/photos'
    assert 'is a SavedModel' in fails(capsys, tmp_path/'x', photos, '--import', tmp_path/'n')
    weightfiles.save(mymodels.classifier((16, 16, 3), 4, width=4, dense=8), tmp_path/'w', kind='classifier',
                     shape=[16, 16, 3], classes=CLASSES, network={'width': 4, 'dense': 8})
    assert 'need no import' in fails(capsys, tmp_path/'w', photos, '--import', tmp_path/'n')
    assert 'for other networks' in fails(capsys, tmp_path/'w', photos, '--input', '0..1')
    assert export.main([str(tmp_path/'w'), '--format', 'own']) == 2
    assert 'audit.py --import' in capsys.readouterr().err


def test_a_sidecar_with_a_program_for_an_architecture_is_refused(world, stranger, tmp_path, data):
    network = foreign.read(stranger)
    found = convention.convention(network, data, CLASSES)
    args = audit.parse([stranger, 'folder:x'])
    imports.write(str(tmp_path/'n'), network, found, data, args)
    about = json.loads((tmp_path/'n.json').read_text())

    def said(**changes):
        (tmp_path/'n.json').write_text(json.dumps({**about, 'network': {**about['network'], **changes}}))
        with pytest.raises(UserError) as e:
            weightfiles.load(tmp_path/'n')
        return str(e.value)
    evil = {'class_name': 'Lambda', 'module': 'keras.layers', 'config': {}, 'registered_name': None}
    assert 'Lambda' in said(architecture=evil)
    assert 'does not build' in said(architecture={'class_name': 'Dense', 'config': {'units': 'x'}})
    assert 'does not build' in said(architecture={'class_name': 'Dense', 'module': 'keras.layers',
                                                  'config': {'units': 4}, 'registered_name': None})
    assert 'order' in said(order=[0, 0, 1, 2]) and 'input' in said(input='bgr')
    assert 'architecture' in said(width=4)


def test_functions_that_only_save_and_restore_may_name_files_and_nothing_else():
    assert not any(savedmodels._harmless(op, {}) for op in (
        'WriteFile', 'ReadFile', 'MatchingFiles', 'PyFunc', 'PyFuncStateless', 'ImmutableConst', 'SaveV2',
        'RestoreV2', 'PrintV2', 'TextLineDataset', 'GenerateVocabRemapping', 'InitializeTableFromTextFile',
        'RemoteCall', '_Send', 'NoSuchOperation', 'CacheDataset', 'DebugIdentity'))
    assert all(savedmodels._harmless(op, {}) for op in ('Conv2D', 'Softmax', 'VarHandleOp', 'StatelessIf'))
    assert kerasfiles.MAX_CONFIG < weightfiles.MAX_SIDECAR_BYTES

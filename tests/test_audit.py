"""audit.py: the same answers from every format, the input found, one line for what cannot be audited, and the
way from a stranger's file to a mended one of the same kind."""
import contextlib
import io
import json
import os
import re
import shutil
import zipfile

import h5py
import numpy as np
import pytest

import audit
import export
import mymodels
import toys
import train2
import train3
from common.errors import UserError
from common.quiet import keras, tf
from mydatagen import to_float
from readers import foreign, kerasfiles, savedmodels
from report import audits as pages
from scoring import convention, evaluation
from training import imports, weightfiles

CLASSES = ['apple', 'Berry', 'cup', 'pen']   # by alphabet with capitals first it is another order
L = keras.layers


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """A folder whose ground colour belongs to the class."""
    root = tmp_path_factory.mktemp('audit')
    toys.folder_of(toys.coloured(64, 1, True, True), root/'photos', 'train', CLASSES, masks=False)
    toys.folder_of(toys.coloured(24, 2, True, True), root/'photos', 'test', CLASSES)
    return root


def pixels():
    return toys.coloured(64, 1, True, True)


def trained(end, prepare=lambda x: 255*x, outputs=4, ground=True):
    """A small network on images that `prepare` makes of [0, 1], its last layer or layers made by `end`."""
    keras.utils.set_random_seed(0)
    images = toys.coloured(256, 3, ground, True)
    x = np.asarray(prepare(to_float(images.x)))
    inputs = keras.Input((16, 16, 3))
    hidden = L.Conv2D(8, 3, strides=2, activation='relu')(inputs)
    hidden = L.Dropout(0.1)(L.Dense(16, activation='relu')(L.Flatten()(hidden)))
    net = keras.Model(inputs, end(hidden))
    loss = keras.losses.SparseCategoricalCrossentropy() if outputs > 1 else keras.losses.BinaryCrossentropy()
    net.compile(keras.optimizers.Adam(3e-3), loss)
    net.fit(x, images.y if outputs > 1 else images.y % 2, 32, 12, verbose=0)
    return net


@pytest.fixture(scope='module')
def stranger(world):
    """A `.keras` file that a stranger trained, with its metrics, on pixels 0..255."""
    net = trained(lambda x: L.Dense(4, activation='softmax')(x))
    net.save(world/'stranger.keras')
    return str(world/'stranger.keras')


@pytest.fixture(scope='module')
def data(world):
    return toys.load(f'folder:{world}/photos', size=16)


def run(world, *words, out='out'):
    """Exit code of an audit of the folder."""
    return audit.main([*map(str, words[:1]), f'folder:{world}/photos', *map(str, words[1:]), '--size', '16',
                       '--out', str(world/out)])


def fails(capsys, *words):
    capsys.readouterr()
    try:
        code = audit.main([str(w) for w in words])
    except SystemExit as e:   # of argparse
        code = e.code
    err = [line for line in capsys.readouterr().err.splitlines() if not line.startswith('note: ')]
    assert code == 2 and len(err) == 1 and err[0].startswith('error: ') and ';' in err[0], err
    return err[0]


# Reading

@pytest.mark.slow
def test_the_same_network_answers_alike_as_weights_keras_h5_and_savedmodel(world, data, tmp_path):
    keras.utils.set_random_seed(0)
    own = mymodels.classifier((16, 16, 3), 4, width=4, dense=16)
    own.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = toys.coloured(128, 3, True, True)
    own.fit(images.x/np.float32(255), images.y, 32, 5, verbose=0)
    deployed = export.deployed(own, 'classifier')
    deployed.save(tmp_path/'f.keras')
    deployed.save(tmp_path/'f.h5')
    export.WRITE['savedmodel'](deployed, str(tmp_path/'f'))
    x = to_float(images.x)
    wanted = tf.nn.softmax(own(x)).numpy()
    second, first = np.sort(wanted, 1)[:, -2:].T
    sure = first - second > 1e-4
    assert sure.mean() > 0.9
    for name in 'f.keras', 'f.h5', 'f':
        told = None if name == 'f.keras' else '0..255'
        found = convention.convention(foreign.read(str(tmp_path/name)), data, CLASSES, told)
        assert found.how.input == '0..255' and found.how.order is None
        answers = found.model(x, training=False)
        assert np.array_equal(np.argmax(answers, 1)[sure], wanted.argmax(1)[sure]), name
        assert np.allclose(tf.nn.softmax(answers), wanted, atol=1e-5)
        test = data.tests['test']
        assert np.array_equal(evaluation.answers(found.model, test), evaluation.answers(own, test)), name


PREPARE = {'0..1': lambda x: x, '0..255': lambda x: 255*x, '-1..1': lambda x: 2*x - 1,
           'caffe': lambda x: keras.applications.vgg16.preprocess_input(255*np.array(x)),
           'torch': lambda x: keras.applications.densenet.preprocess_input(255*np.array(x))}


@pytest.mark.slow
@pytest.mark.parametrize('word', PREPARE)
def test_the_input_is_found_or_called_unsure(data, tmp_path, word):
    assert set(PREPARE) == set(foreign.INPUTS)
    x = toys.coloured(4, 0).x/np.float32(255)
    assert np.allclose(foreign.INPUTS[word]()(tf.constant(x)), PREPARE[word](x), atol=1e-3)
    trained(lambda x: L.Dense(4, activation='softmax')(x), PREPARE[word]).save(tmp_path/'n.keras')
    found = convention.convention(foreign.read(str(tmp_path/'n.keras')), data, CLASSES)
    assert found.how.input == word or found.lead < convention.SURE
    assert set(found.found) == set(PREPARE) and all(f'{k} {100*v:.1f}' in found.line()
                                                    for k, v in found.found.items())
    assert ('unsure' in found.line()) == (found.lead < convention.SURE)


APPLICATIONS = {'MobileNet': '0..1', 'EfficientNetB0': '0..255', 'MobileNetV2': '-1..1', 'ResNet50': 'caffe',
                'DenseNet121': 'torch'}


@pytest.mark.slow
@pytest.mark.parametrize('name', APPLICATIONS)
def test_a_network_of_keras_applications_is_recognised_or_told_as_unsure(world, tmp_path, name):
    word, images = APPLICATIONS[name], toys.coloured(128, 3, True, True)
    net = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=4)
    for layer in net.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.momentum = 0.5   # its statistics have but some steps
    net.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy())
    x = np.repeat(np.repeat(PREPARE[word](to_float(images.x)), 2, 1), 2, 2)
    net.fit(x, images.y, 32, 6, verbose=0)
    net.save(tmp_path/'n.keras')
    data = toys.load(f'folder:{world}/photos', size=32)
    found = convention.convention(foreign.read(str(tmp_path/'n.keras')), data, CLASSES)
    assert found.how.input == word or 'unsure' in found.line()


ENDS = {'softmax in the last layer': (lambda x: L.Dense(4, activation='softmax')(x), 4),
        'a layer of softmax': (lambda x: L.Softmax()(L.Dense(4)(x)), 4),
        'an operation': (lambda x: keras.ops.softmax(L.Dense(4)(x)), 4),
        'a model in the model': (lambda x: keras.Sequential([L.Dense(4), L.Softmax()])(x), 4),
        'one sigmoid': (lambda x: L.Dense(1, activation='sigmoid')(x), 1)}


@pytest.mark.slow
@pytest.mark.parametrize('end', ENDS)
def test_outputs_become_logits_whatever_stands_at_the_end(data, tmp_path, end):
    make, outputs = ENDS[end]
    net = trained(make, outputs=outputs)
    net.save(tmp_path/'n.keras')
    x = to_float(data.train.x)
    p = net(255*x, training=False).numpy()
    p = np.concatenate([1 - p, p], 1) if outputs == 1 else p
    names = CLASSES if outputs > 1 else ['even', 'odd']
    those = data._replace(classes=names, train=data.train.__class__(data.train.x, data.train.y % len(names)))
    with contextlib.redirect_stdout(io.StringIO()):
        net.export(tmp_path/'s', verbose=False)
    for path in 'n.keras', 's':
        found = convention.convention(foreign.read(str(tmp_path/path)), those, names, '0..255')
        logits = found.model(x, training=False)
        assert np.allclose(tf.nn.softmax(logits), p, atol=1e-5), path
    assert (np.abs(logits) > 1e-3).any()


def test_classes_come_in_the_order_that_is_told_or_in_the_alphabet_that_is_right(data, stranger):
    network = foreign.read(stranger)
    assert convention.convention(network, data, None, '0..255').classes == tuple(CLASSES)
    told = convention.convention(network, data, CLASSES, '0..255')
    assert told.found['0..255'] > 0.9 and told.lead is None
    with pytest.raises(UserError, match='chance; check the order of its classes'):
        convention.convention(network, data, CLASSES[1:] + CLASSES[:1], '0..255')
    assert convention.order_of(['a', 'b', 'c'], ['c', 'a', 'b']) == (1, 2, 0)
    with pytest.raises(UserError, match="'b' stands not once"):
        convention.order_of(['a', 'b', 'c'], ['c', 'a', 'd'])


# The whole way

def test_an_audit_prints_its_measures_and_a_verdict_and_writes_one_page(world, stranger, capsys):
    assert run(world, stranger) == 0
    out = capsys.readouterr().out
    for text in ('input: 0..255', 'Only-BG-T', 'Mixed-Rand', 'background gap', 'unseen, no halo',
                 'leans on the background', 'of 10 photographs change', 'next: python audit.py', '--import'):
        assert text in out, text
    page = (world/'out/report.html').read_text()
    assert page.count('data:image/png;base64,') == 3 and all(t in page for t in ('Only-BG-B', 'leans on'))
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    [entry] = json.loads((world/'out/audits.json').read_text())
    plain, gap = entry['measures']['test'], entry['measures']['background gap']
    assert entry['n'] == plain[2] == gap[2] == 24 and -1 <= gap[0] <= 1


@pytest.mark.slow
def test_worst_and_limit_are_on_as_many_photographs_as_they_say(world, stranger, capsys):
    assert run(world, stranger, '--worst', '8', '--limit', '16', '--quiet', out='few') == 0
    [entry] = json.loads((world/'few/audits.json').read_text())
    assert entry['measures']['worst background'][2] == 8 and entry['n'] == 16
    assert capsys.readouterr().out.splitlines() == [f'report: {world}/few/report.html']


@pytest.mark.slow
def test_backgrounds_that_do_not_tell_the_classes_leave_the_verdict_to_the_unseen(stranger):
    from scoring import audits
    images = toys.coloured(24, 2, False, True)
    data = toys.in_colour()._replace(
        tests={'test': audits.mydatasets.Test(lambda: images)}, classes=CLASSES)
    model = foreign.network(foreign.read(stranger), 16, foreign.How('0..255'))
    model.task = data.task
    findings = audits.examine(model, data)
    assert not pages.differ(findings)
    said = ' '.join(pages.verdict('x', findings))
    assert 'do not differ between classes' in said and 'unseen backgrounds' in said


@pytest.mark.slow
@pytest.mark.parametrize('ending', ['keras', 'h5'])
def test_what_is_imported_mended_and_exported_is_like_the_one_inside(world, stranger, tmp_path, ending):
    path = str(tmp_path/f'theirs.{ending}')
    keras.models.load_model(stranger).save(path)
    ours, unet, mended = (str(tmp_path/name) for name in ('ours', 'unet', 'mended'))
    assert run(world, path, '--import', ours, '--quiet', out=f'a-{ending}') == 0
    net, about = weightfiles.load(ours)
    x = to_float(pixels().x)
    assert np.allclose(tf.nn.softmax(net(x)), keras.models.load_model(path)(255*x, training=False), atol=1e-5)
    assert about['network']['format'] == ending and about['shape'] == [16, 16, 3]
    photos, few = f'folder:{world}/photos', ['--size', '16', '--batchsize', '16', '--epochs', '1', '--quiet']
    assert train2.main([photos, ours, *few, '--steps-per-epoch', '4', '--width', '4', '--output', unet]) == 0
    assert train3.main([photos, ours, unet, 'snap', 'textures', *few, '--output', mended]) == 0
    inside, about = weightfiles.load(mended)
    assert not np.allclose(inside(x), net(x), atol=1e-3)   # it has learnt
    assert export.main([mended, '--format', 'own']) == 0
    back = keras.models.load_model(f'{mended}.{ending}')
    assert [layer.name for layer in back.layers] == [
        layer.name for layer in keras.models.load_model(path).layers]
    assert np.allclose(back(255*x, training=False), tf.nn.softmax(inside(x)), atol=1e-5)
    assert run(world, mended, '--quiet', out=f'a-{ending}') == 0   # before and after in one table
    assert [e['name'] for e in json.loads((world/f'a-{ending}/audits.json').read_text())] == [
        f'theirs.{ending}', 'mended']


@pytest.mark.slow
def test_masks_are_learnt_from_the_very_network_also_of_a_savedmodel_and_once(world, stranger, capsys):
    with contextlib.redirect_stdout(io.StringIO()):
        keras.models.load_model(stranger).export(world/'served', verbose=False)
    for _ in range(2):
        assert run(world, world/'served', '--masks', 'learn', '--epochs', '1', out='learnt') == 0
    [entry] = json.loads((world/'learnt/audits.json').read_text())
    assert entry['masks'].startswith('learnt ') and entry['input'] == '0..255'
    unet = str(world/'learnt/served-masks')
    out = capsys.readouterr().out
    assert 'is complete; nothing to do' in out and 'ask for it as a .keras file' in out
    assert run(world, stranger, '--masks', unet, '--quiet', out='learnt') == 0   # with the same masks
    found = json.loads((world/'learnt/audits.json').read_text())
    assert [e['masks'] for e in found] == [entry['masks']]*2
    first, second = (e['measures'] for e in found)
    assert {k for k in first if first[k] != second[k]} <= {'look inside the object'}   # log(p) has a floor


# What cannot be audited

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


@pytest.mark.slow
def test_the_commands_of_the_page_work_as_they_stand_there(world, tmp_path, monkeypatch):
    with open(os.path.join(toys.ROOT, 'docs', 'audit.md'), encoding='utf-8') as f:
        block = re.search(r'<!-- commands: a test runs these -->\n```\n(.*?)```', f.read(), re.S).group(1)
    trained(lambda x: L.Dense(4, activation='softmax')(x), ground=False).save(tmp_path/'model.keras')
    monkeypatch.chdir(tmp_path)
    mains = {'audit.py': audit.main, 'train3.py': train3.main, 'export.py': export.main}
    for line in block.splitlines():
        _, script, *words = line.replace('PATH', f'{world}/photos').split()
        few = {'audit.py': ['--size', '16', '--epochs', '2'], 'train3.py': ['--size', '16', '--quiet'],
               'export.py': []}
        assert mains[script]([*words, *few[script]]) == 0, line
    assert {'mended.keras', 'audits', 'saved', 'model.keras'} == set(os.listdir())
    masks = [e['masks'] for e in json.loads((tmp_path/'audits/audits.json').read_text())]
    assert masks[0] == masks[1] != 'given'
    assert keras.models.load_model('mended.keras').input_shape == (None, 16, 16, 3)

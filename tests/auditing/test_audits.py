"""audit.py: the same answers from every format, the input found, and the way from a stranger's file to a
mended one of the same kind."""
import contextlib
import io
import json
import os
import re

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
from readers import foreign
from report import audits as pages
from scoring import convention, evaluation
from strangers import CLASSES, L, pixels, run, trained
from training import weightfiles


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

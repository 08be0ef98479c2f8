"""Bad input: exit code 2, one line that names the thing and the mend; nothing half done, nothing executed."""
import contextlib
import functools
import io
import json
import os
import pathlib
import pickle
import re
import resource
import shutil
import signal
import types
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

import evaluate
import evaluate_seg
import launch
import mymodels
import reproduce
import mydatasets
import toys
import train1
import train2
import train3
import train_att
from common.errors import UserError
from readers import photographs
from scoring import rowfile
from training import checkpoints, weightfiles

MAINS = {'train1': train1.main, 'train2': train2.main, 'train3': train3.main, 'train_att': train_att.main,
         'evaluate': evaluate.main, 'evaluate_seg': evaluate_seg.main, 'reproduce': reproduce.main,
         'launch': launch.main}
TFDS = os.path.join(toys.ROOT, '..', 'shared', 'tfds')
LOG = os.environ.get('BAD_INPUTS_LOG')   # a file that collects what users see


# The world of a case: {tmp}/in holds weights f (classifier) and u (masks), results belong into {tmp}/out

@pytest.fixture(scope='session')
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    for kind, short in zip(toys.parents(folder), 'fu'):
        for ending in ('.weights.h5', '.json'):
            os.rename(kind + ending, folder/(short + ending))
    colour = {'shape': [16, 16, 3], 'classes': ['cat', 'dog'], 'seed': 0, 'settings': 'c'}
    network = mymodels.classifier((16, 16, 3), 2, width=4, dense=8)
    weightfiles.save(network, folder/'c', kind='classifier', **colour,
                   network={'width': 4, 'dense': 8})
    weightfiles.save(mymodels.unet((16, 16, 3), 4), folder/'cu', kind='unet', network={'width': 4}, **colour)
    return folder


@pytest.fixture
def world(tmp_path, weights):
    shutil.copytree(weights, tmp_path/'in')
    (tmp_path/'out').mkdir()
    return tmp_path


def photos(folder, classes=('cat', 'dog'), splits=('train', 'test'), n=2):
    """A sound folder of photographs."""
    for split in splits:
        for c in classes:
            os.makedirs(folder/split/c)
            for i in range(n):
                pixels = np.random.RandomState(zlib.crc32(f'{split}{c}{i}'.encode())).randint(
                    0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder/split/c/f'{split}{i}.png')


def bomb(path, side=60_000):
    """A few bytes that declare 60,000 x 60,000 pixels."""
    def chunk(kind, data):
        return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')
    header = 2*side.to_bytes(4, 'big') + bytes([8, 2, 0, 0, 0])
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(99)))
                     + chunk(b'IEND', b''))


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


# What goes wrong before the command: functions of the world

def sidecar(**changes):
    """f.json says something else; None removes a field. The checksum goes, as a hostile author would do."""
    def change(tmp):
        path = tmp/'in/f.json'
        about = json.loads(path.read_text())
        about = {k: v for k, v in (about | {'sha256': None} | changes).items() if v is not None}
        path.write_text(json.dumps(about))
    return change


def written(name, content):
    """A file of this content (text or bytes)."""
    def write(tmp):
        os.makedirs((tmp/name).parent, exist_ok=True)
        (tmp/name).write_bytes(content.encode() if isinstance(content, str) else content)
    return write


def truncated(tmp):
    path = tmp/'in/f.weights.h5'
    path.write_bytes(path.read_bytes()[:2000])
    sidecar()(tmp)


def swapped(tmp):
    shutil.copy(tmp/'in/u.weights.h5', tmp/'in/f.weights.h5')


def swapped_unnoticed(tmp):
    swapped(tmp)
    sidecar()(tmp)


def external_link(tmp):
    with h5py.File(tmp/'in/f.weights.h5', 'a') as f:
        f['secret'] = h5py.ExternalLink('/etc/hostname', '/')
    sidecar()(tmp)


def soft_link(tmp):
    with h5py.File(tmp/'in/f.weights.h5', 'a') as f:
        f['again'] = h5py.SoftLink('/layers')
    sidecar()(tmp)


def circle(tmp):
    with h5py.File(tmp/'in/f.weights.h5', 'a') as f:
        f['layers/again'] = f['layers']
    sidecar()(tmp)


def external_storage(tmp):
    with h5py.File(tmp/'in/f.weights.h5', 'a') as f:
        f.create_dataset('secret', (4,), 'u1', external=[('/etc/hostname', 0, 4)])
    sidecar()(tmp)


def virtual(tmp):
    layout = h5py.VirtualLayout((4,), 'u1')
    layout[:] = h5py.VirtualSource('/etc/hostname', 'x', (4,))
    with h5py.File(tmp/'in/f.weights.h5', 'a') as f:
        f.create_virtual_dataset('secret', layout)
    sidecar()(tmp)


def huge_array(tmp):
    """A file of some kilobytes that declares terabytes."""
    with h5py.File(tmp/'in/f.weights.h5', 'a') as f:
        f.create_dataset('huge', (2**20, 2**20), 'f4', chunks=(64, 64))
    sidecar()(tmp)


def texts_in_arrays(tmp):
    with h5py.File(tmp/'in/f.weights.h5', 'a') as f:
        shape = f['layers/dense/vars/1'].shape
        del f['layers/dense/vars/1']
        f['layers/dense/vars/1'] = np.full(shape, b'text', 'S4')
    sidecar()(tmp)


def pickled_weights(tmp):
    (tmp/'in/f.weights.h5').write_bytes(pickle.dumps(Bomb(tmp/'executed')) + bytes(30_000))
    sidecar()(tmp)


def pickled_sidecar(tmp):
    (tmp/'in/f.json').write_bytes(pickle.dumps(Bomb(tmp/'executed')))


def lambda_layer(tmp):
    """A whole Keras model with code in it, under the name of weights."""
    import keras
    model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp/'in/evil.keras')
    os.rename(tmp/'in/evil.keras', tmp/'in/f.weights.h5')
    with open(tmp/'in/f.weights.h5', 'ab') as f:
        f.write(bytes(30_000))
    sidecar()(tmp)


def existing(tmp):
    shutil.copy(tmp/'in/f.weights.h5', tmp/'out/x.weights.h5')
    shutil.copy(tmp/'in/f.json', tmp/'out/x.json')


def full(tmp):
    """No file may grow beyond 4 kB: what a full disk is like."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1][1]))

    def undo():
        resource.setrlimit(resource.RLIMIT_FSIZE, before[1])
        signal.signal(signal.SIGXFSZ, before[0])
    return undo


def variable(name, value):
    def put(tmp):
        before = os.environ.get(name)
        os.environ[name] = value

        def undo():
            os.environ.pop(name) if before is None else os.environ.update({name: before})
        return undo
    return put


def unreachable(tmp):
    import socket
    before = socket.create_connection

    def create_connection(*args, **kwargs):
        raise OSError('no network')
    socket.create_connection = create_connection

    def undo():
        socket.create_connection = before
    return undo


def folder(**options):
    return lambda tmp: photos(tmp/'photos', **options)


def with_file(name, content):
    def write(tmp):
        photos(tmp/'photos')
        written(f'photos/{name}', content)(tmp)
    return write


def with_bomb(tmp):
    photos(tmp/'photos')
    bomb(tmp/'photos/train/cat/big.png')


def not_a_number(tmp):
    photos(tmp/'photos')
    Image.fromarray(np.full((16, 16), np.nan, np.float32)).save(tmp/'photos/train/cat/nan.tif')


def empty_class(tmp):
    photos(tmp/'photos')
    os.mkdir(tmp/'photos/train/cow')


def other_class(tmp):
    photos(tmp/'photos')
    os.rename(tmp/'photos/test/dog', tmp/'photos/test/dingo')


def cut_image(tmp):
    photos(tmp/'photos')
    path = tmp/'photos/train/cat/train0.png'
    path.write_bytes(path.read_bytes()[:300])


def mnist(damage):
    """A copy of the prepared set, to be damaged; the test is skipped where it is not there."""
    def copy(tmp):
        if not os.path.isdir(TFDS):
            pytest.skip('../shared/tfds is not there')
        shutil.copytree(os.path.join(TFDS, 'mnist'), tmp/'tfds/mnist')
        damage(next((tmp/'tfds/mnist').iterdir()))
    return copy


def cut_record(version):
    for path in version.glob('*train*tfrecord*'):
        with open(path, 'r+b') as f:
            f.truncate(100_000)


def no_records(version):
    for path in version.glob('*tfrecord*'):
        path.unlink()


def emptied(version):
    for path in version.iterdir():
        path.unlink()


def no_json(version):
    (version/'dataset_info.json').write_text('{')


OUT, PHOTOS = ['--output', '{tmp}/out/x'], 'folder:{tmp}/photos'
F, U, C, CU = '{tmp}/in/f', '{tmp}/in/u', '{tmp}/in/c', '{tmp}/in/cu'   # of toy, and of colour photographs
SMALL = ['--size', '16', '--batchsize', '2']
QUICK = [*toys.FEW, *OUT]
BIG_CLASSES = [str(i) for i in range(20_000)]
WIDE = {'shape': [1024, 1024, 1], 'network': {'width': 512}}

# what is wrong: (script, its arguments, a part of the line that users see[, what happened before])
CASES = {
    # names
    'unknown data set': ('train1', ['mnst'], 'did you mean mnist'),
    'data set that resembles none': ('train1', ['qqq'], 'known are digits, toy'),
    'no data set': ('train1', [], 'required: dataset'),
    'unknown pair': ('train1', ['cifar10_slt10'], 'cifar10_stl10'),
    'unknown set of tensorflow-datasets': ('train1', ['tfds:nosuchset'], "no set 'nosuchset'"),
    'unknown option': ('train1', ['toy', '--epochz', '3'], 'did you mean --epochs?'),
    'unknown backbone': ('train1', ['toy', '--backbone', 'VGG91'], 'no backbone'),
    'unknown strategy': ('train1', ['toy', '--strategy', 'miror'], 'did you mean mirrored?'),
    'unknown precision': ('train1', ['toy', '--precision', 'float61'], 'did you mean float16?'),
    'unknown schedule': ('train1', ['toy', '--schedule', 'cosin'], 'did you mean cosine?'),
    'unknown area loss': ('train2', ['toy', F, '--loss', 'squard'], 'did you mean squared?'),
    'unknown binarisation': ('train3', ['toy', F, U, 'otsuu', 'adv'], 'did you mean otsu?'),
    'unknown background': ('train3', ['toy', F, U, 'otsu', 'texture'], 'did you mean textures?'),
    'no background': ('train3', ['toy', F, U, 'otsu'], 'required: back'),
    'unknown method': ('reproduce', ['toy', '--methods', 'basline'], 'did you mean baseline?'),
    'unknown data set to reproduce': ('reproduce', ['mnst', '--out', '{tmp}/out'], 'did you mean mnist'),
    'unknown kind of tests': ('reproduce', ['toy', '--tests', 'atack'], 'did you mean attack?'),
    # numbers
    'negative epochs': ('train1', ['toy', '--epochs', '-1'], "'-1' is no whole number from 1"),
    'no epochs': ('train1', ['toy', '--epochs', '0'], "'0' is no whole number"),
    'half an epoch': ('train1', ['toy', '--epochs', '1.5'], "'1.5' is no whole number"),
    'epochs in words': ('train1', ['toy', '--epochs', 'many'], '--epochs'),
    'epochs in Arabic-Indic digits': ('train1', ['toy', '--epochs', '\u0663'], '--epochs'),
    'batch of nothing': ('train1', ['toy', '--batchsize', '0'], '--batchsize'),
    'batch larger than the set': ('train1', ['toy', '--batchsize', '1000', *OUT], 'use at most 287'),
    'negative rate': ('train1', ['toy', '--lr', '-1'], '--lr'),
    'rate that is no number': ('train1', ['toy', '--lr', 'nan'], "'nan' is no number above 0"),
    'infinite rate': ('train1', ['toy', '--lr', 'inf'], '--lr'),
    'limit of nothing': ('train1', ['toy', '--limit', '0'], '--limit'),
    'limit below two a class': ('train1', ['toy', '--limit', '5', *OUT], 'use 6 or more'),
    'negative seed': ('train1', ['toy', '--seed', '-1'], '--seed'),
    'seed of twenty digits': ('train1', ['toy', '--seed', '1'*20], '--seed'),
    'side of four pixels': ('train1', ['toy', '--size', '4'], '--size'),
    'side of a million pixels': ('train1', ['toy', '--size', '1000000'], 'from 8 to 1024'),
    'side that weights do not have': ('train2', ['toy', F, '--size', '44', *OUT], 'images of shape'),
    'too many filters': ('train1', ['toy', '--width', '100000'], '--width'),
    'no filters': ('train2', ['toy', F, '--width', '0'], '--width'),
    'checkpoints every 0 minutes': ('train1', ['toy', '--minutes', '0'], '--minutes'),
    'area 0': ('train2', ['toy', F, '--area', '0'], "'0' is no number above 0 and below 1"),
    'area 1': ('train2', ['toy', F, '--area', '1'], "'1' is no number"),
    'area in words': ('train2', ['toy', F, '--area', 'small'], '--area'),
    'negative total variation': ('train2', ['toy', F, '--total-variation', '-1'], '--total-variation'),
    'quantile of everything': ('train3', ['toy', F, U, 'quantile', 'adv', '--area', '1'], '--area'),
    'tiles that do not divide the side': (
        'train3', ['toy', F, U, 'otsu', 'adv', '--tiles', '3', *OUT], 'must divide the side 16; use 1 or 2'),
    'as many tiles as pixels': ('train3', ['toy', F, U, 'otsu', 'adv', '--tiles', '16', *OUT], '--tiles 16'),
    'share of two': ('train3', ['toy', F, U, 'otsu', 'adv', '--clean', '2'], '--clean'),
    'negative pool': ('train3', ['toy', F, U, 'otsu', 'adv', '--pool', '-5'], '--pool'),
    'no fresh backgrounds': ('train3', ['toy', F, U, 'otsu', 'adv', '--fresh', '0'], '--fresh'),
    'dilation beyond the image': ('train3', ['toy', F, U, 'otsu', 'adv', '--dilate', '999'], '--dilate'),
    'tau of 0': ('train_att', ['toy', '--tau', '0'], '--tau'),
    'tau of 2': ('train_att', ['toy', '--tau', '2'], '--tau'),
    'no seeds': ('reproduce', ['toy', '--seeds', '0'], '--seeds'),
    'size in words': ('reproduce', ['toy', '--size', 'big'], '--size'),
    'third shard of two': ('reproduce', ['toy', '--shard', '3/2'], 'I/N'),
    'determinism in half precision': (
        'train1', ['toy', '--deterministic', '--precision', 'float16', *OUT], 'leave out --precision'),
    # weights and sidecars
    'no weights': ('train2', ['toy', '{tmp}/in/nothing', *OUT], 'train them first'),
    'folder for weights': ('train2', ['toy', '{tmp}/in', *OUT], 'no weights'),
    'mask network for classifier': ('train2', ['toy', U, *OUT], 'needed is classifier'),
    'classifier for mask network': ('train3', ['toy', F, F, 'otsu', 'adv', *OUT], 'needed is unet'),
    'mask network to be evaluated': ('evaluate', ['toy', U], 'holds a unet'),
    'classifier for masks': ('evaluate_seg', ['toy', F], 'holds a classifier'),
    'mask network as global branch': ('train_att', ['toy', '--global-classifier', U, *OUT], 'holds a unet'),
    'weights of another size': ('train2', ['digits', F, *OUT], 'these are (32, 32, 1)'),
    'weights of another number of classes': (
        'train2', ['toy', F, *OUT], 'knows 2 classes, the data set has 3', sidecar(classes=['a', 'b'])),
    'weights of other classes': (
        'train2', ['toy', F, *OUT], 'knows other classes', sidecar(classes=['disk', 'square', 'ring'])),
    'truncated weights': ('train2', ['toy', F, *OUT], 'f.weights.h5', truncated),
    'empty weights': ('train2', ['toy', F, *OUT], 'has 0 bytes', written('in/f.weights.h5', '')),
    'text for weights': ('train2', ['toy', F, *OUT], 'is not the file that',
                         written('in/f.weights.h5', 'text'*9999)),
    'swapped weights': ('train2', ['toy', F, *OUT], 'is not the file that', swapped),
    'swapped weights without checksum': ('train2', ['toy', F, *OUT], 'other arrays', swapped_unnoticed),
    'weights of a wider network': (
        'train2', ['toy', F, *OUT], 'f.weights.h5', sidecar(network={'width': 6, 'dense': 8})),
    'no sidecar': ('train2', ['toy', F, *OUT], 'copy both files', lambda tmp: os.remove(tmp/'in/f.json')),
    'empty sidecar': ('train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', '')),
    'sidecar that is no JSON': ('train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', '{x')),
    'sidecar of binary junk': (
        'train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', bytes(range(256)))),
    'sidecar nested without end': (
        'train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', '['*100_000)),
    'sidecar of five megabytes': (
        'train2', ['toy', F, *OUT], 'no sidecar of ours', written('in/f.json', ' '*5_000_000)),
    'sidecar that is a list': ('train2', ['toy', F, *OUT], 'the whole must be', written('in/f.json', '[1]')),
    'sidecar without a kind': ('train2', ['toy', F, *OUT], 'kind must be', sidecar(kind=[])),
    'sidecar of an unknown kind': ('train2', ['toy', F, *OUT], 'kind must be', sidecar(kind='os.system')),
    'shape of words': ('train2', ['toy', F, *OUT], 'shape must be', sidecar(shape=['a', 'b', 'c'])),
    'shape of terabytes': ('train2', ['toy', F, *OUT], 'shape must be', sidecar(shape=[10**6, 10**6, 1])),
    'network of gigabytes': ('train2', ['toy', F, *OUT], 'is not the network', sidecar(**WIDE)),
    'twenty thousand classes': ('train2', ['toy', F, *OUT], 'classes must be', sidecar(classes=BIG_CLASSES)),
    'classes that are numbers': ('train2', ['toy', F, *OUT], 'classes must be', sidecar(classes=[1, 2, 3])),
    'class names that control the terminal': (
        'train2', ['toy', F, *OUT], 'classes must be', sidecar(classes=['\x1b[2J', 'b', 'c'])),
    'unknown settings of a network': (
        'train2', ['toy', F, *OUT], 'network must be', sidecar(network={'activation': 'exec'})),
    'backbone that is no network': (
        'train2', ['toy', F, *OUT], 'backbone must be', sidecar(network={'backbone': 'os.system'})),
    'settings of another kind': (
        'train2', ['toy', F, *OUT], 'network must be', sidecar(network={'tau': 0.5})),
    'seed that is text': ('evaluate', ['toy', F], 'seed must be', sidecar(seed='0; rm -rf')),
    'method of two lines': ('evaluate', ['toy', F], 'method must be', sidecar(method='a\nb')),
    'pickle for weights': ('train2', ['toy', F, *OUT], 'no readable weights', pickled_weights),
    'pickle for sidecar': ('train2', ['toy', F, *OUT], 'f.json is damaged', pickled_sidecar),
    'model with code for weights': ('train2', ['toy', F, *OUT], 'no readable weights', lambda_layer),
    'link out of the weights': ('train2', ['toy', F, *OUT], 'contains links', external_link),
    'link inside the weights': ('train2', ['toy', F, *OUT], 'contains links', soft_link),
    'weights in circles': ('train2', ['toy', F, *OUT], 'or in circles', circle),
    'weights stored in another file': ('train2', ['toy', F, *OUT], 'something else', external_storage),
    'weights that are a view of another file': ('train2', ['toy', F, *OUT], 'something else', virtual),
    'weights that declare terabytes': ('train2', ['toy', F, *OUT], 'other arrays', huge_array),
    'weights that are texts': ('train2', ['toy', F, *OUT], 'other arrays', texts_in_arrays),
    # output
    'output that exists': ('train1', ['toy', *QUICK], '--overwrite', existing),
    'output that exists with other settings': (
        'train1', ['toy', *QUICK, '--resume'], 'other settings', existing),
    'output below a file': ('train1', ['toy', '--output', '{tmp}/in/f.json/x'], 'choose another --output'),
    'output where nobody can write': ('train1', ['toy', '--output', '/proc/nothing/x'], 'cannot write /proc'),
    'output that is a folder': ('train1', ['toy', '--output', '{tmp}/out/'], 'give the NAME'),
    'full disk': ('train1', ['toy', '--width', '4', *QUICK], 'cannot write', full),
    'CSV of something else': ('evaluate', ['toy', F, '--csv', '{tmp}/in/x.csv'], 'another header',
                              written('in/x.csv', 'a,b\n1,2\n')),
    'CSV below a file': ('evaluate', ['toy', F, '--csv', '{tmp}/in/f.json/x.csv'], 'x.csv'),
    'name of a method with a space': (
        'evaluate', ['toy', F, '--method', 'my method'], "'my method' is no name"),
    'results below a file': ('reproduce', ['toy', '--out', '{tmp}/in/f.json/r', '--quick'], 'f.json'),
    # data
    'no network': ('train1', ['cifar10', '--data-dir', '{tmp}/in', *OUT], 'use `digits`', unreachable),
    'set without a download': ('train1', ['synthdigits', '--data-dir', '{tmp}'], 'folder:{tmp}/synthdigits'),
    'truncated record': ('train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], 'prepare it again',
                         mnist(cut_record)),
    'no records': (
        'train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], 'prepare it again', mnist(no_records)),
    'empty version folder': (
        'train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], '{tmp}/tfds', mnist(emptied)),
    'damaged description of a set': (
        'train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], '{tmp}/tfds', mnist(no_json)),
    'file for a data folder': (
        'train1', ['mnist', '--data-dir', '{tmp}/in/f.json', *OUT], 'is no folder', unreachable),
    'backbone for monochrome images': (
        'train1', ['toy', '--backbone', 'VGG19', '--backbone-weights', 'none', *OUT], 'needs colour images'),
    'missing weights of a backbone': (
        'train1', [PHOTOS, '--size', '32', '--backbone', 'MobileNetV3Small', '--dense', '4',
                   '--backbone-weights',
                   '{tmp}/in/nothing', '--batchsize', '2', *OUT], 'in/nothing', folder()),
    'no such folder': ('train1', ['folder:{tmp}/nothing', *OUT], 'no such folder'),
    'folder without train/': ('train1', [PHOTOS, *OUT], 'train/', folder(splits=('test',))),
    'one class only': ('train1', [PHOTOS, *OUT], 'only the class cat', folder(classes=('cat',))),
    'empty class': ('train1', [PHOTOS, *OUT], 'class', empty_class),
    'class that train/ lacks': ('train1', [PHOTOS, *OUT], 'class', other_class),
    'image of zero bytes': ('train1', [PHOTOS, *OUT], 'damaged', with_file('train/cat/x.png', '')),
    'text as an image': ('train1', [PHOTOS, *OUT], 'damaged', with_file('train/cat/x.jpg', 'hello')),
    'truncated image': ('train1', [PHOTOS, *OUT], '--skip-damaged', cut_image),
    'decompression bomb': ('train1', [PHOTOS, *OUT], 'damaged', with_bomb),
    'numbers that are no pixels': ('train1', [PHOTOS, *OUT], 'damaged', not_a_number),
    'pickle as an image': (
        'train1', [PHOTOS, *OUT], 'damaged', with_file('train/cat/x.png', pickle.dumps([1]))),
    'masks of x > 0 in colour': (
        'train3', [PHOTOS, C, 'heuristic', 'otsu', 'adv', *SMALL, *OUT],
        'give the weights of phase 2', folder()),
    'no photographs in the folder of a colour set': (
        'train3', [PHOTOS, C, 'heuristic', 'otsu', 'real', *SMALL, *OUT], 'give', folder()),
    'attack on colour images': (
        'evaluate', [PHOTOS, C, '--size', '16', '--adversarial'], 'leave out --adv', folder()),
    'folder without tests': (
        'evaluate', [PHOTOS, C, '--size', '16'], 'no test images', folder(splits=('train',))),
    'tables of a folder without tests': ('reproduce', [PHOTOS, '--size', '16', '--out', '{tmp}/none'],
                                         'no test images', folder(splits=('train',))),
    'row on real photographs without photographs': (
        'reproduce', [PHOTOS, '--size', '16', '--methods', 'textures', 'real', '--out', '{tmp}/none'],
        'leave the row out', folder()),
    'attack in tables of photographs': (
        'reproduce', [PHOTOS, '--size', '16', '--tests', 'attack', '--out', '{tmp}/none'],
        '--tests attack is for monochrome sets', folder()),
    'ascent where no object is known': (
        'evaluate', [PHOTOS, C, '--size', '16', '--tests', 'pixels'], 'true masks', folder()),
    'a fixed set of backgrounds where no object is known': (
        'reproduce', [PHOTOS, '--size', '16', '--tests', 'worst', '--out', '{tmp}/none'], 'true masks',
        folder()),
    'unseen backgrounds where no object is known': (
        'reproduce', [PHOTOS, '--size', '16', '--tests', 'unseen', '--out', '{tmp}/none'], 'true masks',
        folder()),
    'masks without truth': ('evaluate_seg', [PHOTOS, CU, '--size', '16'], 'true masks', folder()),
    'no photographs': ('train3', ['toy', F, U, 'otsu', 'real', '--backgrounds', '{tmp}/nothing', *OUT],
                       '--backgrounds {tmp}/nothing'),
    'photographs made square where there are none': (
        'train1', ['toy', '--fit', 'pad', *OUT], '--fit pad is for folders'),
    'weights of photographs made square another way': (
        'train2', [PHOTOS, C, '--size', '16', '--fit', 'pad', *OUT], 'was trained with --fit crop', folder()),
    'no such picture to fill with': (
        'train2', ['toy', F, '--fill', '{tmp}/nothing.png', *OUT], 'no such file'),
    'text to fill with': ('train2', ['toy', F, '--fill', '{tmp}/in/f.json', *OUT], 'in/f.json'),
    # several devices
    'several workers without a cluster': (
        'train1', ['toy', '--strategy', 'multiworker', *OUT], 'launch.py', variable('TF_CONFIG', '')),
    'cluster that is no JSON': (
        'train1', ['toy', '--strategy', 'multiworker', *OUT], 'TF_CONFIG', variable('TF_CONFIG', '{')),
    'cluster of nobody': ('train1', ['toy', '--strategy', 'multiworker', *OUT], 'TF_CONFIG',
                          variable('TF_CONFIG', '{"cluster": {}, "task": {"type": "worker", "index": 0}}')),
    'no workers': ('launch', ['--workers', '0', 'train1.py', 'toy'], '--workers'),
    'nothing to launch': ('launch', ['--workers', '2'], 'script'),
    'launch of a script that does not train': ('launch', ['evaluate.py', 'toy', F], 'train1.py'),
}


def run(script, argv, capfd):
    """(exit code, lines on stderr) of a command in this process."""
    capfd.readouterr()
    try:
        code = MAINS[script](argv)
    except SystemExit as e:
        code = e.code
    return code, capfd.readouterr().err.splitlines()


@pytest.mark.parametrize('case', CASES)
def test_bad_input_is_answered_with_exit_code_2_and_one_line(case, world, capfd, monkeypatch):
    script, words, part, *before = CASES[case]
    monkeypatch.chdir(world/'out')   # where results go by default
    undo = [u for u in (prepare(world) for prepare in before) if callable(u)]
    there = sorted(os.listdir(world/'out'))
    try:
        code, err = run(script, [w.replace('{tmp}', str(world)) for w in words], capfd)
    finally:
        for u in undo:
            u()
    if LOG:
        with open(LOG, 'a') as f:
            f.write(f'{case}\n    {script}.py {" ".join(words)[:150]}\n    ' + '\n    '.join(err).replace(
                str(world), '{tmp}') + '\n')
    assert code == 2, err
    first = [line for line in err if line.startswith('error: ')]
    # of a folder, file by file
    report = [line for line in err if re.match('  (damaged|error|warning): ', line)]
    assert len(first) == 1 and len(err) == 1 + len(report), err
    assert part.replace('{tmp}', str(world)) in first[0]
    assert len(first[0]) < 1500 and 'Traceback' not in first[0] and ';' in first[0], 'no mend'
    assert sorted(os.listdir(world/'out')) == there, 'something half done was left'
    assert not (world/'executed').exists()


def test_there_are_at_least_sixty_bad_inputs():
    assert len(CASES) >= 60


# A full disk

@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount a small disk')
def test_a_full_disk_stops_the_run_with_one_line_and_no_half_file(tmp_path, capfd):
    disk = tmp_path/'disk'
    disk.mkdir()
    if os.system(f'mount -t tmpfs -o size=64k tmpfs {disk} 2>/dev/null'):
        pytest.skip('mounting is not allowed here')
    try:
        words = ['toy', '--width', '16', *toys.FEW, '--output', str(disk/'x')]
        code, err = run('train1', words, capfd)
        left = [os.path.join(place, n) for place, _, names in os.walk(disk) for n in names]
    finally:
        os.system(f'umount {disk}')
    assert code == 2 and len(err) == 1 and 'No space left' in err[0] and left == []


# Nothing from strangers runs

DANGEROUS = [r'\bpickle\b', r'\bmarshal\b', r'\bshelve\b', r'\bdill\b', r'joblib', r'allow_pickle\s*=\s*True',
             r'(?<![.\w])eval\(', r'(?<![.\w])exec\(', r'\bLambda\s*\(', r'safe_mode\s*=\s*False',
             r'yaml\.load\b',
             r'enable_unsafe_deserialization', r'os\.system', r'os\.popen', r'shell\s*=\s*True',
             r'__import__',
             r'extractall\(', r'load_model\((?![^)]*safe_mode=True)', r'torch\.load']
PROGRAM = sorted(p for pattern in ('*.py', '[a-z]*/*.py') for p in pathlib.Path(toys.ROOT).glob(pattern)
                 if p.parent.name not in ('tests', 'benchmarks', 'runs'))


@pytest.mark.parametrize('path', PROGRAM, ids=lambda p: f'{p.parent.name}/{p.name}')
def test_no_file_of_the_program_uses_calls_that_execute_data(path):
    code = '\n'.join(line.split('#')[0] for line in path.read_text().splitlines())
    code = re.sub(r'""".*?"""', '', code, flags=re.DOTALL)
    assert [d for d in DANGEROUS if re.search(d, code)] == []


def test_numpy_files_are_opened_without_pickle_and_python_would_notice(tmp_path):
    output = str(tmp_path/'x')
    os.makedirs(output + '.checkpoint')
    evil = np.empty(1, object)
    evil[0] = Bomb(tmp_path/'executed')
    with open(output + '.checkpoint/000000001.npz', 'wb') as f:
        np.savez(f, about=evil)
    assert checkpoints.read_checkpoint(toys.job(output), {}) is None and not (tmp_path/'executed').exists()


def test_compressed_checkpoints_are_not_unpacked(tmp_path, capfd):
    output = str(tmp_path/'x')
    os.makedirs(output + '.checkpoint')
    np.savez_compressed(output + '.checkpoint/000000001.npz', about=np.array('{}'), v=np.zeros(10**7))
    assert checkpoints.read_checkpoint(toys.job(output), {}) is None
    assert 'it is compressed' in capfd.readouterr().err


# Fuzzing: only a UserError may come out

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
                    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(
                        st.text(max_size=8), inner, max_size=5),
                    max_leaves=15)
MODEST = settings(max_examples=150, deadline=None, derandomize=True,
                  suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
GOOD = {'kind': 'classifier', 'dataset': 'toy', 'method': 'x', 'shape': [16, 16, 1],
        'classes': ['a', 'b', 'c'],
        'network': {'width': 4, 'dense': 8}, 'seed': 0, 'settings': 'x'}
FIELDS = st.sampled_from([*GOOD, 'sha256', 'area'])
NETWORKS = st.dictionaries(st.sampled_from(['width', 'dense', 'depth', 'tau', 'backbone', 'bias']),
                           JSON | st.integers(1, 9) | st.just('VGG19'), max_size=4)


def only_user_errors(call):
    try:
        return call()
    except UserError as e:
        assert str(e) and '\n' not in str(e)


@MODEST
@given(st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_for_a_sidecar_are_answered_with_a_user_error(weights, content):
    shutil.copy(weights/'f.weights.h5', weights/'z.weights.h5')
    (weights/'z.json').write_bytes(content)
    only_user_errors(lambda: weightfiles.load(weights/'z'))


@MODEST
@given(st.dictionaries(FIELDS, JSON, max_size=3), st.none() | NETWORKS,
       st.sampled_from(['classifier', 'unet', 'attention']))
def test_any_values_in_a_sidecar_are_answered_with_weights_or_a_user_error(weights, changes, network, kind):
    about = {**GOOD, 'kind': kind, **({} if network is None else {'network': network}), **changes}
    shutil.copy(weights/'f.weights.h5', weights/'z.weights.h5')
    (weights/'z.json').write_text(json.dumps(about))
    only_user_errors(lambda: weightfiles.load(weights/'z'))


@settings(MODEST, max_examples=60)
@given(st.data())
def test_any_damage_to_weights_is_answered_with_weights_or_a_user_error(weights, data):
    content = bytearray((weights/'f.weights.h5').read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (weights/'z.weights.h5').write_bytes(content[:data.draw(st.integers(len(content)//2, len(content)))])
    (weights/'z.json').write_text(json.dumps(GOOD))
    only_user_errors(lambda: weightfiles.load(weights/'z'))


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    import tensorflow as tf
    output = str(tmp_path_factory.mktemp('fuzz')/'x')
    state = {'model': [tf.Variable([1., 2.]), tf.Variable(3.)]}
    checkpoints.write_checkpoint(toys.job(output), 7, state, {'history': [], 'seen': {}, 'attempt': 0,
                                                            'seconds': 1.})
    path = pathlib.Path(checkpoints.checkpoints(output)[0])
    return output, state, path, path.read_bytes()


@MODEST
@given(st.data())
def test_any_damage_to_a_checkpoint_is_passed_over_or_answered_with_a_user_error(checkpoint, data):
    output, state, path, sound = checkpoint
    content = bytearray(sound)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else len(content)
    path.write_bytes(content[:cut])
    found = only_user_errors(lambda: checkpoints.read_checkpoint(toys.job(output), state))
    assert found is None or found['step'] == 7 or content != sound


@MODEST
@given(st.dictionaries(st.sampled_from([*checkpoints.FIELDS]), JSON), JSON)
def test_whatever_a_checkpoint_says_is_passed_over_or_answered_with_a_user_error(checkpoint, changes, whole):
    output, state, path, _ = checkpoint
    about = {'settings': 's', 'precision': 'float32', 'history': [], 'seen': {}, 'attempt': 0, 'seconds': 1.,
             'step': 7, **changes}
    for said in (about, whole):
        file = io.BytesIO()
        arrays = {'model/0': np.ones(2, 'f4'), 'model/1': np.float32(1)}
        np.savez(file, about=np.array(json.dumps(said)), **arrays)
        path.write_bytes(file.getvalue())
        only_user_errors(lambda: checkpoints.read_checkpoint(toys.job(output), state))
        resumed = types.SimpleNamespace(output=output, resume=True)
        assert isinstance(checkpoints.attempts_used(resumed), int)
        assert checkpoints.kept_precision(output) in (None, 'float32', 'bfloat16', 'float16')


ROW = {'dataset': 'toy', 'method': 'x', 'seed': 0, 'test': 'original', 'n': 10, 'correct': 5, 'accuracy': 0.5,
       'settings': 's'}


@MODEST
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_for_rows_are_answered_with_rows_or_a_user_error(tmp_path_factory, content, headed):
    path = tmp_path_factory.mktemp('rows')/'r.csv'
    path.write_bytes((','.join(rowfile.ACCURACY).encode() + b'\n' if headed else b'') + content)
    rows = only_user_errors(lambda: rowfile.read(str(path)))
    assert rows is None or all(set(r) == set(rowfile.ACCURACY) and 0 <= r['accuracy'] <= 1 for r in rows)
    if only_user_errors(lambda: rowfile.append(str(path), ROW)):
        assert ROW in rowfile.read(str(path))


@functools.cache
def images():
    """The same picture in all formats."""
    im, found = Image.fromarray(np.random.RandomState(0).randint(0, 256, (20, 24, 3), np.uint8)), {}
    for form in photographs.FORMATS:
        file = io.BytesIO()
        im.save(file, form)
        found[form] = file.getvalue()
    return found


@pytest.mark.filterwarnings('ignore')   # of Pillow, which myfolder silences outside of pytest
@MODEST
@given(st.data())
def test_any_damage_to_an_image_is_answered_with_pixels_or_a_user_error(tmp_path_factory, data):
    content = bytearray(images()[data.draw(st.sampled_from(photographs.FORMATS))])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp()/'fuzzed'
    end = data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else None
    path.write_bytes(content[:end])
    for read, channels in ((photographs.read_image, 3), (photographs.read_mask, 1)):
        pixels = only_user_errors(lambda read=read: read(str(path), 16))
        assert pixels is None or pixels.shape == (16, 16, channels)


NAMES = st.sampled_from(['cat', 'dog', 'CAT', 'x.png', 'x.jpg', 'y.png', '.png', 'a\nb', '\x1b[2J.png', ' ',
                         '-rf', '\udcff.png'])
PATHS = st.tuples(st.sampled_from(['train', 'test', 'test2', 'masks/train', 'backgrounds', '']), NAMES, NAMES)
CONTENTS = st.sampled_from(['image', 'junk', 'empty', 'folder', 'link', 'loop'])


@settings(MODEST, max_examples=100)
@given(st.dictionaries(PATHS, CONTENTS, max_size=8), st.booleans())
def test_any_folder_is_answered_with_a_data_set_or_a_user_error(tmp_path_factory, tree, skip_damaged):
    root = tmp_path_factory.mktemp('folder')
    photos(root)
    make = {'image': lambda p: shutil.copy(root/'train/cat/train0.png', p), 'empty': pathlib.Path.touch,
            'junk': lambda p: p.write_bytes(b'junk'), 'folder': pathlib.Path.mkdir,
            'link': lambda p: p.symlink_to('nowhere'), 'loop': lambda p: p.symlink_to('.')}
    for (split, name, file), content in tree.items():
        path = root/split/name/file
        with contextlib.suppress(OSError):   # a file stands where a folder would be
            path.parent.mkdir(parents=True, exist_ok=True)
            make[content](path)
    try:
        data = toys.load(f'folder:{root}', size=16, skip_damaged=skip_damaged)
    except UserError as e:   # below its first line, a report of all files
        lines = str(e).splitlines()
        assert all(re.match('  (damaged|error|warning): ', line) for line in lines[1:])
        assert all(line.isprintable() for line in lines)
        return
    assert len(data.classes) >= 2 and data.train.y.max() < len(data.classes)
    assert all(len(t.images()) for t in data.tests.values())


def test_memory_stays_bounded_when_a_sidecar_declares_gigabytes(weights, tmp_path):
    """In a process of its own that may not have them."""
    for ending in ('.weights.h5', '.json'):
        shutil.copy(weights/('f' + ending), tmp_path/('f' + ending))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for changes in (WIDE, {'shape': [1024, 1024, 3], 'network': {'backbone': 'VGG19', 'dense': [8192, 8192]}},
                    {'kind': 'unet', 'shape': [1024, 1024, 1], 'network': {'width': 512, 'depth': 8}},
                    {'kind': 'attention', 'shape': [1024, 1024, 1],
                     'network': {'width': 512, 'dense': 8192}}):
        (tmp_path/'in').mkdir(exist_ok=True)
        for ending in ('.weights.h5', '.json'):
            shutil.copy(tmp_path/('f' + ending), tmp_path/'in'/('f' + ending))
        sidecar(**changes)(tmp_path)
        with pytest.raises(UserError, match='is not the network'):
            weightfiles.load(tmp_path/'in/f')
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 100_000   # kB


def test_output_is_refused_before_the_work_and_not_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(mydatasets, 'load', lambda *args, **more: pytest.fail('the work has begun'))
    with pytest.raises(UserError):
        train1.run(train1.parse(['toy', '--output', '/proc/nothing/x']))

"""What goes wrong before a command: functions of the world, a folder."""
import json
import os
import pickle
import resource
import shutil
import signal
import zlib

import h5py
import numpy as np
import pytest
from PIL import Image

import toys

WIDE = {'shape': [1024, 1024, 1], 'network': {'width': 512}}   # of a sidecar: gigabytes


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


# Functions of the world

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
        if not os.path.isdir(toys.TFDS):
            pytest.skip('../shared/tfds is not there')
        shutil.copytree(os.path.join(toys.TFDS, 'mnist'), tmp/'tfds/mnist')
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

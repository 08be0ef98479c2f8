"""Weights on disk: NAME.weights.h5, and NAME.json (the sidecar) saying what they are. Both only data."""
from mycommon import UserError, whole_file, write_json  # first: it quietens TensorFlow

import datetime
import hashlib
import json
import os
import platform

import h5py
import keras
import numpy as np
import tensorflow as tf

from mymodels import attention, backbone_names, classifier, unet

MAX_SIDECAR_BYTES = 1_000_000


def stem(path):
    """NAME of any of NAME, NAME.weights.h5, NAME.json."""
    path = str(path)
    for ending in ('.weights.h5', '.json'):
        path = path.removesuffix(ending)
    return path


def versions():
    return {'python': platform.python_version(), 'tensorflow': tf.__version__, 'keras': keras.__version__,
            'numpy': np.__version__}


def save(model, path, **about):
    """Writes weights, then the sidecar that says what they are. about: kind, dataset, shape, classes ..."""
    name = stem(path)
    with whole_file(name + '.weights.h5') as temporary:
        # Keras insists on the ending; the temporary name already has it
        model.save_weights(temporary)
    with open(name + '.weights.h5', 'rb') as f:
        digest = hashlib.file_digest(f, 'sha256').hexdigest()
    about = {**about, 'sha256': digest, 'versions': versions(),
             'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}
    write_json(name + '.json', about)
    return name + '.weights.h5'


BUILDERS = {'classifier': lambda a: classifier(a['shape'], len(a['classes']), **a.get('network', {})),
            'unet': lambda a: unet(a['shape'], **a.get('network', {})),
            'attention': lambda a: attention(a['shape'], len(a['classes']), **a.get('network', {}))}


def read_sidecar(path):
    """What NAME.json says, checked field by field: it may come from a stranger."""
    name = stem(path)
    if not os.path.exists(name + '.weights.h5'):
        raise UserError(f'no weights {name}.weights.h5; train them first, or check the path')
    try:
        if os.path.getsize(name + '.json') > MAX_SIDECAR_BYTES:
            raise UserError(f'{name}.json is larger than {MAX_SIDECAR_BYTES} bytes, so no sidecar of ours')
        with open(name + '.json', encoding='utf-8') as f:
            about = json.load(f)
    except FileNotFoundError as e:
        raise UserError(f'no {name}.json beside the weights; it says what they are: copy both files') from e
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f'{name}.json is damaged ({str(e)[:80]}); copy it again or train again') from e
    _check_sidecar(about, name)
    return about


def _check_sidecar(about, name):
    def need(ok, field, what):
        if not ok:
            raise UserError(f'{name}.json: {field} must be {what}; copy the file again or train again')
    need(isinstance(about, dict), 'the whole', 'an object')
    need(about.get('kind') in BUILDERS, 'kind', f'one of {", ".join(BUILDERS)}')
    shape = about.get('shape')
    need(isinstance(shape, list) and len(shape) == 3 and all(type(s) is int for s in shape)
         and 8 <= shape[0] == shape[1] <= 1024 and shape[2] in (1, 3), 'shape', '[side, side, 1 or 3]')
    classes = about.get('classes')
    need(isinstance(classes, list) and 2 <= len(classes) <= 10_000
         and all(isinstance(c, str) and len(c) <= 200 for c in classes), 'classes', 'a list of names')
    network = about.get('network', {})
    need(isinstance(network, dict) and set(network) <= {'backbone', 'width', 'dense', 'depth', 'tau'},
         'network', 'an object of known settings')
    for field in ('width', 'depth'):
        need(network.get(field) is None or type(network[field]) is int and 1 <= network[field] <= 512,
             field, 'a small whole number')
    dense = network.get('dense')
    need(dense is None or all(type(d) is int and 1 <= d <= 8192
                              for d in (dense if isinstance(dense, list) else [dense])),
         'dense', 'small whole numbers')
    tau = network.get('tau')
    need(tau is None or type(tau) in (int, float) and 0 < tau <= 1, 'tau', 'a number in (0, 1]')
    need(network.get('backbone') is None or network['backbone'] in backbone_names(), 'backbone',
         'a name of keras.applications')
    for field in ('dataset', 'method', 'settings'):
        need(isinstance(about.get(field, ''), str) and len(about.get(field, '')) <= 300,
             field, 'a short text')
    need(type(about.get('seed', 0)) is int, 'seed', 'a whole number')


def load(path, kind=None, shape=None, classes=None):
    """(network, what its sidecar says). UserError, one line, when it does not fit what is asked."""
    about, name = read_sidecar(path), stem(path)
    kinds = (kind,) if isinstance(kind, str) else kind
    if kinds and about['kind'] not in kinds:
        raise UserError(f'{name} holds a {about["kind"]}, needed is {" or ".join(kinds)}; give other weights')
    if shape is not None and tuple(about['shape']) != tuple(shape):
        raise UserError(f'{name} was trained on images of shape {tuple(about["shape"])}, these are '
                        f'{tuple(shape)}; use the same --size and data set')
    if classes is not None and len(about['classes']) != len(classes):
        raise UserError(f'{name} knows {len(about["classes"])} classes, the data set has {len(classes)}; '
                        'give weights of this data set')
    if classes is not None and list(about['classes']) != list(classes):
        raise UserError(f'{name} knows other classes ({", ".join(about["classes"][:3])} ...) than the data '
                        f'set ({", ".join(classes[:3])} ...); give weights of this data set')
    model = BUILDERS[about['kind']](about)
    with open(name + '.weights.h5', 'rb') as f:
        digest = hashlib.file_digest(f, 'sha256').hexdigest()
    if about.get('sha256') not in (None, digest):
        raise UserError(f'{name}.weights.h5 is not the file that {name}.json describes; copy both files '
                        'again')
    read_arrays(model, name + '.weights.h5')
    return model, about


def read_arrays(model, path):
    """Keras's own reader, after a look that the file holds just the arrays that the network has room for."""
    expected = sorted(tuple(v.shape) for v in model.variables)
    found = []
    try:
        with h5py.File(path, 'r') as f:
            _collect(f, found)
    except (OSError, RuntimeError, KeyError, ValueError) as e:
        raise UserError(f'{path} is no readable weights file ({str(e)[:80]}); copy it again or train '
                        'again') from e
    if sorted(s for s, _ in found) != expected or any(k not in 'fiu' for _, k in found):
        raise UserError(f'{path} holds other arrays than the network has; give weights of this network')
    try:
        model.load_weights(path)
    except Exception as e:  # Keras raises whatever its parts raise
        raise UserError(f'{path} does not fit the network ({str(e).splitlines()[0][:100]}); train '
                        'again') from e


def _collect(group, found):
    """Shapes and kinds of all arrays below; links that lead out of the file are refused."""
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError('it contains links')
        item = group[key]
        if isinstance(item, h5py.Group):
            _collect(item, found)
        elif item.external or item.is_virtual:
            raise ValueError('it refers to other files')
        else:
            found.append((item.shape, item.dtype.kind))

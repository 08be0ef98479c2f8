"""Weights on disk: NAME.weights.h5, and NAME.json (the sidecar) saying what they are. Both only data."""
import datetime
import hashlib
import json
import os
import platform
from typing import NamedTuple

import numpy as np

from common.arrays import read_arrays
from common.errors import brief, UserError
from common.files import whole_file, write_json
from common.quiet import keras, tf
from common.tasks import Classes, Number
from mymodels import (HEADS, attention, backbone_names, blocks, classifier, MAX_CLASSES, MAX_DENSE, MAX_SIDE,
                      MAX_WIDTH, unet)
from readers import foreign, kerasfiles
from readers.photographs import FITS

MAX_SIDECAR_BYTES = 4_000_000
MAX_WEIGHTS_BYTES = 8_000_000_000


def stem(path):
    """NAME of any of NAME, NAME.weights.h5, NAME.json."""
    path = str(path)
    for ending in ('.weights.h5', '.json'):
        path = path.removesuffix(ending)
    return path


def versions():
    return {'python': platform.python_version(), 'tensorflow': tf.__version__, 'keras': keras.__version__,
            'numpy': np.__version__}


def digest(path):
    """SHA-256 of a file, or the path itself where there is none."""
    if not os.path.isfile(path):
        return path
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest()


def save(model, path, **about):
    """Writes weights, then the sidecar that says what they are. about: kind, dataset, shape, classes ..."""
    name = stem(path)
    with whole_file(name + '.weights.h5') as temporary:
        # Keras insists on the ending; the temporary name already has it
        model.save_weights(temporary)
    about = {**about, 'sha256': digest(name + '.weights.h5'), 'versions': versions(),
             'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}
    write_json(name + '.json', about)
    return name + '.weights.h5'


def task_of(about):
    """What f is asked for, by its sidecar."""
    return Number.read(about['task']) if 'task' in about else Classes(tuple(about['classes']))


BUILDERS = {'classifier': lambda a: classifier(a['shape'], task_of(a), **a.get('network', {})),
            'regressor': lambda a: classifier(a['shape'], task_of(a), **a.get('network', {})),
            'unet': lambda a: unet(a['shape'], **a.get('network', {})),
            'segmenter': lambda a: unet(a['shape'], **a.get('network', {})),
            'attention': lambda a: attention(a['shape'], task_of(a), **a.get('network', {}))}


IMPORTED = {'architecture', 'input', 'output', 'order', 'format'}   # of a network that somebody else made
SMALL = {'backbone', 'head', 'width', 'dense'}
UNET = {'width', 'depth', 'copy'}
OPTIONS = {'classifier': SMALL | IMPORTED | {'remover'}, 'regressor': SMALL | {'remover'},
           'attention': SMALL | {'tau'}, 'unet': UNET, 'segmenter': UNET}
MASKS = 'unet', 'segmenter'   # kinds that answer with masks: of phase 2, and of phase 3


def read_sidecar(path):
    """What NAME.json says, checked field by field: it may come from a stranger."""
    name = stem(path)
    if not os.path.isfile(name + '.weights.h5'):
        raise UserError(f'no weights {name}.weights.h5; train them first, or check the path')
    if not os.path.isfile(name + '.json'):
        raise UserError(f'no {name}.json beside the weights; it says what they are: copy both files')
    try:
        if os.path.getsize(name + '.json') > MAX_SIDECAR_BYTES:
            raise UserError(f'{name}.json is larger than {MAX_SIDECAR_BYTES:,} bytes, so no sidecar of '
                            'ours; copy it again or train again')
        with open(name + '.json', encoding='utf-8') as f:
            about = json.load(f)
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f'{name}.json is damaged ({brief(e)}); copy it again or train again') from e
    _check_sidecar(about, name)
    size = os.path.getsize(name + '.weights.h5')
    if size > MAX_WEIGHTS_BYTES or _least_bytes(about) > size:   # before anything is built
        raise UserError(f'{name}.weights.h5 has {size:,} bytes, which is not the network of {name}.json; '
                        'copy both files again or train again')
    return about


def _check_sidecar(about, name):
    def need(ok, field, what):
        if not ok:
            raise UserError(f'{name}.json: {field} must be {what}; copy the file again or train again')

    def whole(value, low, high):
        return type(value) is int and low <= value <= high

    def text(value, most):
        return isinstance(value, str) and len(value) <= most and not any(ord(c) < 32 for c in value)
    need(isinstance(about, dict), 'the whole', 'an object')
    kind, shape, classes = (about.get(k) for k in ('kind', 'shape', 'classes'))
    need(isinstance(kind, str) and kind in BUILDERS, 'kind', f'one of {", ".join(BUILDERS)}')
    need(isinstance(shape, list) and len(shape) == 3 and all(whole(s, 1, MAX_SIDE) for s in shape)
         and 8 <= shape[0] == shape[1] and shape[2] in (1, 3), 'shape', '[side, side, 1 or 3]')
    least = 2 if kind in ('classifier', 'attention') else 0   # numbers have no names, and their masks none
    need(isinstance(classes, list) and least <= len(classes) <= MAX_CLASSES
         and all(text(c, 300) for c in classes), 'classes', 'a list of names')
    try:
        number = 'task' in about and Number.read(about['task'])
    except ValueError as e:
        need(False, 'task', f'what a number is in ({e})')
    need(bool(number) == (kind == 'regressor'), 'task', 'there for regressors, and for them alone')
    network = about.get('network', {})
    need(isinstance(network, dict) and set(network) <= OPTIONS[kind], 'network',
         f'an object of {", ".join(sorted(OPTIONS[kind]))}')
    backbone, head, dense = (network.get(k) for k in ('backbone', 'head', 'dense'))
    tau = network.get('tau', 1)
    need(backbone is None or backbone in backbone_names(), 'backbone', 'a name of keras.applications')
    need(head is None or backbone and head in HEADS, 'head', f'one of {", ".join(HEADS)}, of a backbone')
    remover = network.get('remover', {})
    need(isinstance(remover, dict) and set(remover) <= UNET | {'ground'}
         and ('remover' not in network or type(remover.get('ground')) in (int, float)
              and 0 <= remover['ground'] <= 1), 'remover', 'a ground in [0, 1], and what builds a U-Net')
    for part in network, remover:
        for field, most in (('width', MAX_WIDTH), ('depth', 8)):
            need(part.get(field) is None or whole(part[field], 1, most), field, 'a small whole number')
        need(part.get('copy') is None or whole(part['copy'], 8, shape[0]), 'copy',
             'a side that is not larger')
    need(dense is None or (isinstance(dense, list) and 1 <= len(dense) <= 4
                           and all(whole(d, 1, MAX_DENSE) for d in dense) if backbone
                           else whole(dense, 1, MAX_DENSE)), 'dense', 'small whole numbers')
    need(type(tau) in (int, float) and 0 < tau <= 1, 'tau', 'a number in (0, 1]')
    if IMPORTED & set(network):
        order, many = network.get('order'), len(classes)
        need(set(network) <= IMPORTED and isinstance(network.get('architecture'), dict), 'architecture',
             "Keras' own, with nothing of other networks beside it")
        need(network.get('input') in foreign.INPUTS and network.get('output') in foreign.OUTPUTS
             and network.get('format') in kerasfiles.READ, 'input, output and format', 'known ones')
        need(order is None or isinstance(order, list) and all(whole(i, 0, many) for i in order)
             and sorted(order) == list(range(many)), 'order', 'the numbers of all classes')
    for field in ('dataset', 'method', 'settings'):
        need(text(about.get(field, ''), 4000 if field == 'dataset' else 100), field, 'a short text')
    need(whole(about.get('seed', 0), 0, 10**9), 'seed', 'a whole number')


def _least_bytes(about):
    """What the largest arrays of the network take at least: a few bytes must not make us build gigabytes."""
    side, network = about['shape'][0], about.get('network', {})
    width, dense = network.get('width') or 32, network.get('dense')
    if about['kind'] in MASKS:
        depth = network.get('depth') or min(blocks(network.get('copy') or side), 4)
        return 4*9*width*2**(depth - 1)*width*2**depth
    if 'remover' in network:
        alone = {k: v for k, v in network.items() if k != 'remover'}
        return (_least_bytes({**about, 'network': alone})
                + _least_bytes({**about, 'kind': 'unet', 'network': network['remover']}))
    if 'architecture' in network:   # looked through when it is built
        return 0
    if network.get('backbone'):   # none has fewer than 512 features, nor halves more than five times
        pooled = network.get('head') == 'pooled'
        units = [*(dense or ([] if pooled else [4096, 4096])), len(about['classes'])]
        features = 512*(1 if pooled else max(1, side//32)**2)
        return 4*(features*units[0] + (units[-2]*units[-1] if len(units) > 1 else 0))
    n, units = blocks(side), dense or 128
    last = width*2**(n - 1)
    convolution = 9*last*last//2 if n > 1 else 0
    return 4*(convolution + last*(side >> n)**2*units + units*len(about['classes']))


def kind_of(path):
    """Of the network of some weights; None where they cannot be read, which is told when they are."""
    try:
        return read_sidecar(path)['kind']
    except UserError:
        return None


def fit_of(about):
    """How the photographs that the weights were trained on were made square, by what their sidecar says."""
    own = about.get('arguments')
    fit = own.get('fit') if isinstance(own, dict) else None
    return fit if fit in FITS else FITS[0]


def load(path, kind=None, like=None):
    """(network, what its sidecar says). UserError, one line, when it does not fit what is asked.

    kind: of network, or several. like: what has the shape, classes and fit that it has to share (a
    Dataset, a Like); the classes of a mask generator do not matter.
    """
    about, name = read_sidecar(path), stem(path)
    kinds = (kind,) if isinstance(kind, str) else kind
    if kinds and about['kind'] not in kinds:
        raise UserError(f'{name} holds a {about["kind"]}, needed is {" or ".join(kinds)}; give other weights')
    if like is not None:
        _demand_alike(about, name, like)
    model = _built(about, name)
    with open(name + '.weights.h5', 'rb') as f:
        found = hashlib.file_digest(f, 'sha256').hexdigest()
    if about.get('sha256') not in (None, found):
        raise UserError(f'{name}.weights.h5 is not the file that {name}.json describes; copy both files '
                        'again')
    read_arrays(model, name + '.weights.h5')
    return model, about


def _built(about, name):
    """The network of a sidecar, with new weights."""
    network = about.get('network', {})
    if 'architecture' not in network:
        return BUILDERS[about['kind']](about)
    model = foreign.imported(about['shape'], network, name, os.path.getsize(name + '.weights.h5')//4)
    model.task = task_of(about)
    if model.output_shape != (None, len(about['classes'])):
        raise UserError(f'{name}.json names {len(about["classes"])} classes, its network has '
                        f'{model.output_shape[1]}; import it again')
    return model


class Like(NamedTuple):
    """What weights have to share: shape of the images, how photographs became square, names of classes."""
    shape: tuple
    fit: str | None = None
    classes: list | None = None


def _demand_alike(about, name, like):
    if tuple(about['shape']) != tuple(like.shape):
        raise UserError(f'{name} was trained on images of shape {tuple(about["shape"])}, these are '
                        f'{tuple(like.shape)}; use the same --size and data set')
    if like.fit not in (None, fit_of(about)):
        raise UserError(f'{name} was trained with --fit {fit_of(about)}, these photographs are read with '
                        f'--fit {like.fit}; use the same')
    wanted = getattr(like, 'task', None)
    if about['kind'] == 'regressor' and isinstance(wanted, Number):
        own = task_of(about)
        if (own.unit, own.turned) != (wanted.unit, wanted.turned):
            raise UserError(f'{name} answers with another number ({own.unit}) than the data set asks for '
                            f'({wanted.unit}); give weights of this data set')
    mine, wanted = about['classes'], like.classes
    if about['kind'] in MASKS or wanted is None or list(mine) == list(wanted):
        return
    if len(mine) != len(wanted):
        raise UserError(f'{name} knows {len(mine)} classes, the data set has {len(wanted)}; give weights of '
                        'this data set')
    raise UserError(f'{name} knows other classes ({", ".join(mine[:3])} ...) than the data set '
                    f'({", ".join(wanted[:3])} ...); give weights of this data set')

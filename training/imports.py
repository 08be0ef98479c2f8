"""Networks that somebody else made, as weights of this project: what stands in their sidecar."""
import hashlib
import json
import os

import numpy as np

from common.errors import brief, UserError
from common.files import printable, whole_file
from common.quiet import keras
from readers import foreign
from training import finish, weightfiles

METHOD = 'imported'


def digest(path):
    """SHA-256 of a file, or of all files of a SavedModel and their names."""
    if not os.path.isdir(path):
        return weightfiles.digest(path)
    inside = sorted(os.path.join(folder, f) for folder, _, files in os.walk(path) for f in files)
    found = [(os.path.relpath(f, path), weightfiles.digest(f)) for f in inside]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def settings(sha256, how):
    """Short name of a network and of how it is asked, as the fingerprints of rows are."""
    text = json.dumps([METHOD, sha256, how.input, how.output, how.order])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def demand_possible(name, network):
    """Errors: UserError for a network that cannot be imported, and where other weights stand."""
    if network is None or network.format == 'savedmodel':
        what = 'weights of this project, which need no import' if network is None else \
            f'{printable(network.path)} is a SavedModel, which can be audited but not trained on'
        raise UserError(f'{what}; leave out --import, or give a .keras or .h5 file')
    if os.path.exists(weightfiles.stem(name) + '.weights.h5') or name.endswith(os.sep):
        raise UserError(f'--import {printable(name)}: weights of that name are there; give another NAME')


def write(name, network, found, data, args):
    """Writes the weights and their sidecar; the path of the weights. network: foreign.Foreign; found: its
    scoring Convention; args: with dataset, fit and size."""
    how, sha256 = found.how, digest(network.path)
    return weightfiles.save(
        found.model, name, kind='classifier', dataset=finish.portable(args.dataset), method=METHOD,
        shape=list(data.shape), classes=list(data.classes),
        network={'architecture': network.architecture, 'input': how.input, 'output': how.output,
                 'order': None if how.order is None else list(how.order), 'format': network.format},
        arguments={'fit': args.fit, 'size': args.size}, seed=0, settings=settings(sha256, how),
        imported={'file': os.path.basename(network.path), 'sha256': sha256})


def give_back(path, model, about, tolerance, images=8):
    """Writes a classifier of imported weights as the file that it was: the same architecture, input and
    outputs, other weights. How far its probabilities are from the network's on random images.

    Errors: UserError, and no file is left, where that is more than the tolerance.
    """
    settings, name = about['network'], printable(path)
    with whole_file(path) as temporary:
        try:
            foreign.original(model, settings, name).save(temporary)
            again = foreign.read(temporary)
        except (UserError, OSError):
            raise
        except Exception as e:   # Keras raises whatever its parts raise
            raise UserError(f'{name} cannot be written ({brief(e)}); take another --format') from e
        how = foreign.How(settings['input'], settings['output'], settings.get('order'))
        x = np.random.default_rng(0).random((images, *about['shape']), np.float32)
        wanted, found = (keras.ops.softmax(net(x, training=False)) for net in
                         (model, foreign.network(again, about['shape'][0], how)))
        apart = float(keras.ops.max(abs(wanted - found)))
        if not apart <= tolerance:
            raise UserError(f'{name} answers otherwise than the network (by {apart:.1e} of a probability), '
                            'so it was removed; take another --format')
    return apart

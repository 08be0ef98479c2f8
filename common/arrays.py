"""Weight files: a look at what they hold before Keras' own reader is let in."""
import os

import h5py

from common.errors import brief, UserError

MAX_ITEMS = 10_000   # groups and arrays in a file
MAX_DEPTH = 64       # of groups in groups


def read_arrays(model, path):
    """Keras's own reader, after a look that the file holds just the arrays that the network has room for."""
    expected = sorted(tuple(v.shape) for v in model.weights)   # the states of dropout are not saved
    found = arrays_of(path, path)
    if sorted(s for s, _ in found) != expected or any(k not in 'fiu' for _, k in found):
        raise UserError(f'{path} holds other arrays than the network has; give weights of this network')
    try:
        model.load_weights(path)
    except Exception as e:  # Keras raises whatever its parts raise
        raise UserError(f'{path} does not fit the network ({brief(e)}); train '
                        'again') from e


def arrays_of(path, name):
    """[(shape, kind of numbers)] of the arrays in a file. name: of it, in errors. Errors: UserError."""
    found = []
    if not os.path.isfile(path):
        raise UserError(f'no weights {path}; check the path')
    try:
        with h5py.File(path, 'r') as f:
            _collect(f, found)
    except Exception as e:  # damage makes h5py raise nearly anything
        raise UserError(f'{name} is no readable weights file ({brief(e)}); copy it again or train '
                        'again') from e
    return [item for item in found if item]   # groups left None


def _collect(group, found, depth=0):
    """Shapes and kinds of all arrays below; links that lead out of the file or in circles are refused."""
    if depth > MAX_DEPTH:
        raise ValueError('its groups lie too deep in each other, or in circles')
    for key in group:
        found.append(None)
        if len(found) > MAX_ITEMS:
            raise ValueError('it contains too much')
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError('it contains links')
        item = group[key]
        if isinstance(item, h5py.Group):
            _collect(item, found, depth + 1)
        elif not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
            raise ValueError('it holds something else than arrays')
        else:
            found.append((item.shape, item.dtype.kind))

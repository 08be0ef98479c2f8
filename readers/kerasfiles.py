"""Networks that somebody else saved with Keras, `.keras` or `.h5`: a file -> a model, no code of it run.

Before Keras is let in, in its safe mode, sizes are bounded and the architecture is looked through: nothing
but Keras' own layers, operations and initialisers may stand in it, and it may ask for no more room than its
weights fill.
"""
import json
import math
import os
import tempfile
import zipfile

import h5py

from common.arrays import arrays_of
from common.errors import brief, UserError
from common.files import printable
from common.quiet import keras
from keras.src.backend.common import global_state     # Keras has no public door to these (3.15)
from keras.src.legacy.saving import json_utils, saving_options, saving_utils

FORMATS = {'.keras': 'keras', '.h5': 'h5', '.hdf5': 'h5'}   # by the ending of a file
MAX_BYTES = 4_000_000_000     # of a file, and of what it unpacks to
MAX_CONFIG = 3_000_000        # of an architecture: less than a sidecar
MAX_RATIO = 20                # what unpacks to more is a bomb: weights hardly shrink
MAX_VALUES = 2**28            # of one image, anywhere in the network (1 GB)
SPARE = 10_000                # values: states of random layers stand in no file
CONFIG, WEIGHTS = 'config.json', 'model.weights.h5'
MEMBERS = {CONFIG, WEIGHTS, 'metadata.json'}
# layers of Keras' own that hold a program, or read other files
REFUSED = 'Lambda', 'TFSMLayer', 'TorchModuleWrapper', 'JaxLayer', 'FlaxLayer'
PARTS = '__keras_tensor__', '__tensor__', '__numpy__', '__slice__', '__ellipsis__', '__tuple__', 'TensorShape'
MODELS = 'Functional', 'Sequential', 'Model'
ROOMS = 'layers', 'initializers', 'regularizers', 'constraints', 'dtype_policies'   # of Keras
OPERATIONS = 'numpy', 'nn', 'math', 'image', 'linalg'   # modules of keras.src.ops
MEND = "ask for it as a .keras file of Keras' own layers"


def read(path):
    """(model, its architecture as Keras' own JSON) of a file. Errors: UserError, one line."""
    name = printable(path)
    if not os.path.isfile(path):
        raise UserError(f'no file {name}; check the path')
    if os.path.getsize(path) > MAX_BYTES:
        raise UserError(f'{name} is larger than {MAX_BYTES:,} bytes; give a smaller network')
    try:
        model = READ[FORMATS[os.path.splitext(path)[1]]](path, name)
    except (UserError, MemoryError):
        raise
    except Exception as e:   # damage makes zipfile, h5py and Keras raise nearly anything
        raise UserError(f'{name} is damaged, or of another Keras ({brief(e)}); copy it again, or '
                        + MEND) from e
    return model, architecture_of(model)


def architecture_of(model):
    """JSON (a dict) that `rebuilt` takes."""
    return _uncompiled(json.loads(json.dumps(keras.saving.serialize_keras_object(model))))


def _uncompiled(config):
    """Without losses and metrics, which may be custom: of models inside models too. A copy."""
    if isinstance(config, dict):
        return {k: _uncompiled(v) for k, v in config.items() if k != 'compile_config'}
    return [_uncompiled(v) for v in config] if isinstance(config, list) else config


def rebuilt(config, name, room=None):
    """A new model of an architecture, looked through first. room: values that its weights may have.

    Errors: UserError; and whatever Keras raises.
    """
    demand_plain(_uncompiled(config), name)

    def build():
        return keras.saving.deserialize_keras_object(_uncompiled(config), safe_mode=True)
    if room is not None:
        _demand_room(build, name, room)
    return build()


def _read_keras(path, name):
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        members = archive.infolist()
        if {i.filename for i in members} != MEMBERS or len(members) != len(MEMBERS):
            raise UserError(f'{name} holds other files than {", ".join(sorted(MEMBERS))}; {MEND}')
        for member in members:   # what the central directory says is all that will be unpacked
            most = MAX_BYTES if member.filename == WEIGHTS else MAX_CONFIG
            if member.file_size > min(most, MAX_RATIO*member.compress_size + 1000):
                raise UserError(f'{name} unpacks to {member.file_size:,} bytes of {member.filename}, which '
                                'no network needs; do not trust it')
        config, weights = json.loads(archive.read(CONFIG)), archive.extract(WEIGHTS, folder)
        model = rebuilt(config, name, _room(weights, name))
        model.load_weights(weights)
    return model


def _read_h5(path, name):
    room = _room(path, name)
    with h5py.File(path, 'r') as f:
        text = f.attrs.get('model_config')
    if text is None:
        raise UserError(f'{name} holds weights alone; save the whole model')
    if len(text) > MAX_CONFIG:
        raise UserError(f'{name} has an architecture of {len(text):,} bytes, which no network needs; do not '
                        'trust it')
    demand_plain(json.loads(text), name)
    with saving_options.keras_option_scope(use_legacy_config=True):
        _demand_room(lambda: saving_utils.model_from_config(json_utils.decode(text)), name, room)
    return keras.models.load_model(path, compile=False, safe_mode=True)


READ = {'keras': _read_keras, 'h5': _read_h5}


# The architecture

def demand_plain(config, name):
    """Errors: UserError for anything in an architecture that is not Keras' own, or holds a program."""
    if isinstance(config, dict):
        if 'class_name' in config:
            _demand_own(config, name)
        for value in config.values():
            demand_plain(value, name)
    elif isinstance(config, list):
        for value in config:
            demand_plain(value, name)


def _demand_own(part, name):
    kind, module, registered = (part.get(k) for k in ('class_name', 'module', 'registered_name'))
    if kind in REFUSED or kind == '__lambda__':
        raise UserError(f'{name} has a layer {kind}, which holds a program or reads a file, and neither is '
                        f'done; {MEND}')
    if kind == 'function':   # by name; activations are the only ones that a network needs
        known, kind = module in (None, 'builtins', 'keras.activations'), part.get('config')
        known &= isinstance(kind, str) and hasattr(keras.activations, kind)
    elif isinstance(module, str) and module.startswith('keras.src.ops.'):
        known = module.removeprefix('keras.src.ops.') in OPERATIONS
    elif module == 'keras.src.applications.convnext':
        known = kind == 'LayerScale'
    else:
        rooms = [getattr(keras, room) for room in ROOMS]
        known = isinstance(kind, str) and (kind in PARTS or kind in MODELS or _is_operation(part)
                                           or any(hasattr(room, kind) for room in rooms))
        known &= module is None or isinstance(module, str) and module.split('.')[0] in ('keras', 'builtins')
    if not known or registered not in (None, kind, part.get('class_name')):
        raise UserError(f"{name} has a part {registered or kind!r} that is not Keras' own; {MEND}")


def _is_operation(part):
    """Is it, in an .h5 file, which names no modules, an operation between layers?"""
    from keras.src import ops
    return any(hasattr(getattr(ops, room, None), part['class_name']) for room in OPERATIONS)


# Room

def _room(path, name):
    """Values in the arrays of a file. Errors: UserError for one that declares more than it holds."""
    arrays, size = arrays_of(path, name), os.path.getsize(path)
    values = sum(math.prod(shape) for shape, _ in arrays)
    if values > MAX_RATIO*size:
        raise UserError(f'{name} declares {values:,} numbers in {size:,} bytes; do not trust it')
    return values


def _demand_room(build, name, room):
    """Errors: UserError where a network has more weights than `room`, or images that fill the memory."""
    try:
        with keras.StatelessScope(initialize_variables=False):   # no variable gets its numbers
            model = build()
            values = sum(math.prod(v.shape) for v in model.variables)
            widest = max(map(_values, _operations(model)), default=0)
    finally:   # nor later
        global_state.set_global_attribute('uninitialized_variables', [])
    if values > room + SPARE or widest > MAX_VALUES:
        raise UserError(f'{name} has an architecture of {values:,} weights and images of {widest:,} values, '
                        f'but holds {room:,}; copy it again, or do not trust it')


def _operations(model):
    """All of them, those of the models inside too."""
    for operation in model.operations if hasattr(model, 'operations') else model.layers:
        yield operation
        if isinstance(operation, keras.Model):
            yield from _operations(operation)


def _values(operation):
    """Of one image that it makes; 0 where that is not known."""
    shape = getattr(getattr(operation, 'output', None), 'shape', None) or [None]
    return math.prod(s or 1 for s in shape[1:])

"""TensorFlow's SavedModels that somebody else made: a folder -> its serving signature as a function.

Such a graph is a program. Before TensorFlow loads it, the file is parsed as plain data and every operation is
looked up: what computes from its inputs alone may stay, and so may reading the network's own weights. What
reads or writes files, calls Python or leaves this process is refused, wherever in the file it stands.
"""
import os

from common.errors import brief, UserError
from common.files import printable
from common.quiet import tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

GRAPH = 'saved_model.pb'
SIGNATURE = 'serving_default'
MAX_GRAPH = 500_000_000        # bytes of the graph, which is parsed in memory
MAX_BYTES = 4_000_000_000      # of the whole folder
# with a state, but one that is the network's own: its weights, tables, random numbers, calls of its functions
OWN = {'VarHandleOp', 'ReadVariableOp', 'AssignVariableOp', 'VarIsInitializedOp', 'DisableCopyOnRead',
       'ResourceGather', 'VariableShape', 'NoOp', 'Assert', 'Placeholder', 'PlaceholderWithDefault',
       'StatefulPartitionedCall', 'PartitionedCall', 'If', 'While', 'RandomUniform', 'RandomStandardNormal',
       'RandomUniformInt', 'TruncatedNormal', 'TensorListReserve'}
# parts of the names of operations that reach a file, Python, another machine or a debugger, though
# TensorFlow's own list calls some of them free of state
OUTWARD = ('File', 'Dataset', 'Iterator', 'Reader', 'PyFunc', 'Proto', 'Debug', 'Print', 'Summary', 'Remote',
           'Rpc', 'Host', 'TPU', 'Xla', 'Remap', 'Vocab', 'Table', 'Abort', 'ImmutableConst', 'Sleep')
# of the functions that save and restore the weights, which are not run: TensorFlow reads the file itself
SAVING = {'SaveV2', 'RestoreV2', 'MergeV2Checkpoints', 'ShardedFilename'}
MEND = 'ask for it as a .keras file, or for another SavedModel'


def read(path):
    """(function of images -> outputs, TensorSpec of the images, shape of the outputs) of a SavedModel.

    Errors: UserError, one line.
    """
    name = printable(path)
    demand_harmless(_parsed(path, name), name)
    try:
        loaded = tf.saved_model.load(path)
        signature = loaded.signatures[SIGNATURE]
        inputs = signature.structured_input_signature
        specs = [*inputs[0], *inputs[1].values()]
        outputs = list(signature.structured_outputs.values())
    except Exception as e:   # damage makes TensorFlow raise nearly anything
        raise UserError(f'{name} cannot be loaded ({brief(e)}); copy it again, or {MEND}') from e
    if len(specs) != 1 or len(outputs) != 1:
        raise UserError(f'{name} has {len(specs)} inputs and {len(outputs)} outputs, needed is one of each; '
                        'give a network that takes an image and answers with its classes')
    word = next(iter(inputs[1]), None)

    def run(x, loaded=loaded):   # which keeps its weights alive
        return next(iter((signature(**{word: x}) if word else signature(x)).values()))
    return run, specs[0], outputs[0].shape


def _parsed(path, name):
    """The protocol buffer of a folder whose sizes are bounded."""
    file = os.path.join(path, GRAPH)
    if not os.path.isfile(file):
        raise UserError(f'{name} holds no {GRAPH}, so it is no SavedModel; check the path')
    size = sum(os.path.getsize(os.path.join(folder, f)) for folder, _, files in os.walk(path) for f in files)
    if os.path.getsize(file) > MAX_GRAPH or size > MAX_BYTES:
        raise UserError(f'{name} is larger than a network needs ({size:,} bytes); {MEND}')
    found = saved_model_pb2.SavedModel()
    try:
        with open(file, 'rb') as f:
            found.ParseFromString(f.read())
    except Exception as e:
        raise UserError(f'{file} is damaged ({brief(e)}); copy it again') from e
    return found


def demand_harmless(saved, name):
    """Errors: UserError for a parsed SavedModel that has no serving signature, or does more than compute."""
    if len(saved.meta_graphs) != 1 or not saved.meta_graphs[0].object_graph_def.nodes:
        raise UserError(f'{name} is not of TensorFlow 2, or damaged; {MEND}')
    graph = saved.meta_graphs[0]
    if SIGNATURE not in graph.signature_def:
        known = ', '.join(k for k in graph.signature_def if not k.startswith('__')) or 'none'
        raise UserError(f'{name} has no signature {SIGNATURE} (it has: {printable(known)}); export it '
                        'with one')
    if graph.asset_file_def:
        raise UserError(f'{name} brings files with it that its graph reads; {MEND}')
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    run = _reached(graph.object_graph_def.concrete_functions, functions)
    for nodes, is_run in [(graph.graph_def.node, False),
                          *((f.node_def, key in run) for key, f in functions.items())]:
        for node in nodes:
            if not _harmless(node.op, functions) and (is_run or node.op not in SAVING):
                raise UserError(f'{name} has an operation {printable(node.op)}, which does more than compute '
                                f'an answer, and is not run; {MEND}')


def _harmless(op, functions):
    if op in functions or op in OWN:
        return True
    known = op_def_registry.get(op)
    return known is not None and not known.is_stateful and not any(word in op for word in OUTWARD)


def _reached(names, functions):
    """The names of the functions that are called from those of these names, and these."""
    found, left = set(), [n for n in names if n in functions]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for node in functions[name].node_def:
            called = [node.op, *(a.func.name for a in node.attr.values()),
                      *(f.name for a in node.attr.values() for f in a.list.func)]
            left += [n for n in called if n in functions]
    return found

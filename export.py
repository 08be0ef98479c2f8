"""Networks for other programs: a file whose input is raw pixels 0..255, checked against the network."""
import argparse
import contextlib
import importlib.util
import io
import os
import sys
import tempfile
import warnings

import numpy as np

import mymodels
from common import cli
from common.crops import crop_largest
from common.errors import brief, guard, UserError
from common.files import printable, whole_file, whole_folder
from common.quiet import silence, keras, tf
from readers import folders, frames
from scoring.agreement import MARGIN, agreement
from scoring.evaluation import precision
from training import weightfiles
from keras import layers

ENDINGS = {'keras': '.keras', 'savedmodel': '-savedmodel', 'tflite': '.tflite', 'onnx': '.onnx'}
PACKAGES = {'onnx': ('tf2onnx', 'onnx', 'onnxruntime')}   # beside the pinned requirements
OUTPUTS = {**dict.fromkeys(weightfiles.MASKS, 'mask'), 'regressor': 'value'}   # others: probabilities
WITH_CLASSES = 'classifier', 'attention'
SQUARE = {'crop': 'the central square of a photograph',
          'pad': 'a whole photograph, padded to a square with the colour of its border'}
IMAGES = 8               # random ones that the file has to agree on
TOLERANCE = {False: 1e-4, True: 1e-2}   # of the largest output; True: weights in half precision
SURE = {False: MARGIN, True: 0.05}      # margin from which --check wants the same answer
THREADS = {'tflite': (1, 2), 'onnx': (1, 2)}   # that --check counts milliseconds with; else the format's own
BATCH = 64               # photographs that the network looks at together


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python export.py saved/PATH-adv-textures-0 --format tflite',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('weights', help='of any of the trainers')
    p.add_argument('--format', choices=ENDINGS, required=True,
                   help='a Keras file, a TensorFlow SavedModel (a folder), TFLite (LiteRT), or ONNX')
    p.add_argument('--output', metavar='FILE', help='to write; None: beside the weights, under their name')
    p.add_argument('--logits', action='store_true', help='the output is logits instead of probabilities')
    p.add_argument('--float16', action='store_true',
                   help='tflite: weights in half precision, half the size; computed in float32')
    p.add_argument('--check', metavar='FOLDER', help='also compare the answers of file and network on all '
                   'photographs in and below it, and take the time')
    p.add_argument('--overwrite', action='store_true', help='replace what stands at --output')
    return p


def parse(argv=None):
    return cli.parse(arguments(), argv)


def deployed(model, kind, logits=False):
    """The network on raw pixels, float32 (n, h, w, c) in 0..255 -> probabilities, logits, masks, numbers."""
    x = keras.Input(model.input_shape[1:], name='image')
    y = model(layers.Rescaling(1/255, name='from_0_to_1')(x))
    if kind in WITH_CLASSES and not logits:
        y = layers.Softmax(name='probabilities')(y)
    if kind == 'regressor':
        y = layers.Rescaling(model.task.deviation, model.task.mean, name='value')(y)
    return keras.Model(x, y, name=model.name + '_of_pixels')


def plain(model):
    """The network of Keras' own layers and operations alone, so that its file needs nothing but Keras."""
    def call(layer, *args, **kwargs):
        if isinstance(layer, mymodels.CropLargest):
            return crop_largest(*args[0], layer.tau)
        return layer(*args, **kwargs)
    if not any(isinstance(layer, mymodels.CropLargest) for layer in model.layers):
        return model
    found = keras.models.clone_model(model, call_function=call)
    found.set_weights(model.get_weights())
    return found


# Formats. write(model, path, float16), and read(path, threads) -> function of float32 images, by the format's
# own reader

def write_keras(model, path, float16=False):
    model.save(path)


def read_keras(path, threads=None):
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    return lambda x: model(x, training=False).numpy()


def write_savedmodel(model, path, float16=False):
    with contextlib.redirect_stdout(io.StringIO()):
        model.export(path, format='tf_saved_model', verbose=False)


def read_savedmodel(path, threads=None):
    loaded = tf.saved_model.load(path)   # kept alive by the function: its signature does not own it
    return lambda x: next(iter(loaded.signatures['serving_default'](tf.constant(x)).values())).numpy()


def write_tflite(model, path, float16=False):
    with tempfile.TemporaryDirectory() as folder, silence():   # its complaints come as exceptions too
        write_savedmodel(model, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if float16:
            converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], [
                tf.float16]
        data = converter.convert()
    with open(path, 'wb') as f:
        f.write(data)


def read_tflite(path, threads=None):
    with warnings.catch_warnings(), silence():
        warnings.simplefilter('ignore')   # of its move to a package of its own
        run = tf.lite.Interpreter(path, num_threads=threads)
    image, output = run.get_input_details()[0]['index'], run.get_output_details()[0]['index']
    shape = None

    def predict(x):
        nonlocal shape
        if x.shape != shape:
            run.resize_tensor_input(image, x.shape)
            with silence():
                run.allocate_tensors()
            shape = x.shape
        run.set_tensor(image, x)
        run.invoke()
        return run.get_tensor(output)
    return predict


def write_onnx(model, path, float16=False):
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), silence():
        warnings.simplefilter('ignore')
        signature = [keras.InputSpec(shape=model.input_shape, dtype='float32', name='image')]
        model.export(path, format='onnx', verbose=False, input_signature=signature)


def read_onnx(path, threads=None):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0   # 0: as many as there are cores
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


WRITE = {'keras': write_keras, 'savedmodel': write_savedmodel, 'tflite': write_tflite, 'onnx': write_onnx}
READ = {'keras': read_keras, 'savedmodel': read_savedmodel, 'tflite': read_tflite, 'onnx': read_onnx}


def demand(args):
    """Errors: UserError when packages of the format are missing, or an option is not for it."""
    format = args.format
    if args.float16 and format != 'tflite':
        raise UserError(f'--float16 is for tflite, not for {format}; leave it out, or take --format tflite')
    missing = [name for name in PACKAGES.get(format, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f'--format {format} needs packages that are not installed; pip install '
                        f'{" ".join(missing)}, or take another format')


def check_output(path, format, overwrite):
    """A UserError where the output may not be written; only a SavedModel is replaced as a folder."""
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise UserError(f'{printable(path)} exists; replace it with --overwrite, or give another --output')
    folder = os.path.isdir(path) and not os.path.islink(path)
    replaceable = os.path.isfile(os.path.join(path, 'saved_model.pb')) if folder else os.path.isfile(path)
    if not replaceable or folder != (format == 'savedmodel'):
        raise UserError(f'{printable(path)} is something else than an exported {format}; give another '
                        '--output')


def answer(model, kind, logits):
    """The network as the file is to answer: pixels 0..255 (n, h, w, c) -> outputs."""
    def outputs(pixels):
        y = model(pixels/np.float32(255), training=False)
        if kind == 'regressor':
            return model.task.answers(y)[:, None]
        return tf.nn.softmax(y) if kind in WITH_CLASSES and not logits else y
    return outputs


def difference(run, model, kind, logits, seed=0):
    """Largest difference of the written file from the network on random images, over the largest output."""
    pixels = np.random.default_rng(seed).integers(0, 256, (IMAGES, *model.input_shape[1:]), np.uint8)
    pixels = pixels.astype(np.float32)
    wanted, found = answer(model, kind, logits)(pixels).numpy(), run(pixels)
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return np.inf
    return float(np.abs(found - wanted).max()/max(np.abs(wanted).max(), 1e-6))


def pictures(folder):
    """Paths of the photographs of --check. Errors: UserError for none."""
    found = folders.pictures_below(folder) if os.path.isdir(folder) else []
    if not found:
        raise UserError(f'--check {printable(folder)}: no images in or below it; give another folder')
    return found


def check(path, args, model, about, photographs):
    """Compares file and network on photographs, and says in what time. Errors: UserError if they differ."""
    frame = frames.frame_of(about, weightfiles.fit_of(about))
    for threads in THREADS.get(args.format, (None,)):
        found = agreement(READ[args.format](path, threads), answer(model, about['kind'], False),
                          (x for _, x in frames.batches(photographs, frame.read, BATCH)))
        words = '' if threads is None else f', {threads} thread' + 's'*(threads > 1)
        print(f'the same answer on {found.same} of {found.compared} photographs (of {found.photographs}, '
              f'those with a margin above {MARGIN:g}); {found.milliseconds:.1f} ms a photograph{words}')
        if found.widest > SURE[args.float16]:
            raise UserError(f'{printable(path)} answers otherwise than the network where that is sure by '
                            f'{found.widest:.3f}; take another --format'
                            + ', or leave out --float16'*args.float16)


def run(args):
    demand(args)
    photographs = pictures(args.check) if args.check else []
    path = args.output or weightfiles.stem(args.weights) + ENDINGS[args.format]
    ending = ENDINGS[args.format]
    if ending.startswith('.') and not path.endswith(ending):
        raise UserError(f'--output {printable(path)} does not end in {ending}; let it')
    check_output(path, args.format, args.overwrite)
    with precision('float32'):
        model, about = weightfiles.load(args.weights)
        name = 'mask generator' if about['kind'] in weightfiles.MASKS else about['kind']
        if args.logits and about['kind'] not in WITH_CLASSES:
            raise UserError(f'a {name} has no logits to give; leave out --logits')
        if photographs and about['kind'] not in WITH_CLASSES:
            raise UserError(f'a {name} has no classes to compare; leave out --check')
        report(path, args, about, write(path, args, model, about['kind']))
        if photographs:
            check(path, args, model, about, photographs)


def write(path, args, model, kind):
    """Writes the file; its `difference` from the network. Errors: UserError, and no file is left."""
    with (whole_folder if args.format == 'savedmodel' else whole_file)(path) as temporary:
        try:
            source = plain(model) if args.format == 'keras' else model
            WRITE[args.format](deployed(source, kind, args.logits), temporary, args.float16)
            apart = difference(READ[args.format](temporary), model, kind, args.logits)
        except (UserError, OSError):
            raise
        except Exception as e:   # converters raise whatever their parts raise
            raise UserError(f'{args.format} cannot hold this {kind} ({brief(e, 60)}); take another --format, '
                            'savedmodel for example') from e
        if not apart <= TOLERANCE[args.float16]:
            raise UserError(f'the {args.format} file answers otherwise than the network (by {apart:.1e} of '
                            'the largest output), so it was removed; take another --format, savedmodel for '
                            'example')
    return apart


def bytes_of(path):
    """Size of a file, or of all that lies in a folder."""
    inside = [os.path.join(folder, f) for folder, _, files in os.walk(path) for f in files]
    return sum(map(os.path.getsize, inside or [path]))


def pixels_of(about):
    """In words: the images that the network wants."""
    if about['shape'][-1] == 3:
        return 'RGB, ' + SQUARE[weightfiles.fit_of(about)]
    margin, side = frames.margin_of(about), about['shape'][0]
    if not margin:
        return 'grey'
    return f'grey, {side - 2*margin}x{side - 2*margin} inside {margin} black ones on each side'


def report(path, args, about, apart):
    """What the user of the file has to know."""
    (h, w, c), kind = about['shape'], about['kind']
    output = 'logits' if args.logits else OUTPUTS.get(kind, 'probabilities')
    size = f'(n, {h}, {w}, 1)' if kind in weightfiles.MASKS else f'(n, {len(about["classes"]) or 1})'
    if kind == 'regressor':
        output += f' ({about["task"]["unit"]})'
    print(f'written: {printable(path)}, {bytes_of(path)/1e6:.2f} MB\n'
          f'input: float32 (n, {h}, {w}, {c}), pixels 0..255, {pixels_of(about)}\n'
          f'output: float32 {size}, {output}\n'
          f'largest difference from the network on {IMAGES} random images: {apart:.1e} of the largest output')
    if kind in WITH_CLASSES:
        print('classes: ' + ', '.join(about['classes'][:20])
              + (f' ... as in {weightfiles.stem(args.weights)}.json' if len(about['classes']) > 20 else ''))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

"""Networks for other programs: a file whose input is raw pixels 0..255, checked against the network."""
import argparse
import importlib.util
import os
import sys

import numpy as np

from common import cli
from common.errors import brief, guard, UserError
from common.files import printable, whole_file, whole_folder
from common.quiet import tf
from readers import folders, frames
from scoring.agreement import MARGIN, agreement
from scoring.evaluation import precision
from training import imports, weightfiles
from training.exports import deployed, plain, READ, WITH_CLASSES, WRITE

ENDINGS = {'keras': '.keras', 'savedmodel': '-savedmodel', 'tflite': '.tflite', 'onnx': '.onnx'}
OWN = 'own'
PACKAGES = {'onnx': ('tf2onnx', 'onnx', 'onnxruntime')}   # beside the pinned requirements
OUTPUTS = {**dict.fromkeys(weightfiles.MASKS, 'mask'), 'regressor': 'value'}   # others: probabilities
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
    p.add_argument('--format', choices=(*ENDINGS, OWN), required=True,
                   help='a Keras file, a TensorFlow SavedModel (a folder), TFLite (LiteRT), or ONNX; own: a '
                   'network of audit.py --import, as the file that it was and with the input that it had')
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


def give_back(args):
    """Writes an imported network as the file that it was. Errors: UserError, and no file is left."""
    about = weightfiles.read_sidecar(args.weights)
    format = about.get('network', {}).get('format')
    if format is None or args.logits or args.float16 or args.check:
        raise UserError(f'--format {OWN} is for networks of audit.py --import, without other options; take '
                        'another --format')
    path = args.output or f'{weightfiles.stem(args.weights)}.{format}'
    if not path.endswith('.' + format):
        raise UserError(f'--output {printable(path)} does not end in .{format}; let it')
    check_output(path, 'keras', args.overwrite)
    with precision('float32'):
        model, about = weightfiles.load(args.weights)
        apart = imports.give_back(path, model, about, TOLERANCE[False])
    print(f'written: {printable(path)}, {bytes_of(path)/1e6:.2f} MB\n'
          f'input and output: as the network had them when it was imported ({about["network"]["input"]})\n'
          f'largest difference from the network on random images: {apart:.1e} of a probability')


def run(args):
    if args.format == OWN:
        return give_back(args)
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

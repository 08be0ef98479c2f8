"""Phase 2: trains the mask generator f_m without annotations, from the loss of the frozen classifier.

min_fm  L(f(m x + (1 - m) c), y) + mean relu(area(m) - A) + w TV(m),  with c the colour of the image's own
border.
"""
import os
import sys
import time

import numpy as np

import mybackgrounds
import mydatasets
import mymodels
from common import binarization, cli
from common.errors import BrokenRun, guard, UserError
from common.quiet import keras, tf
from mydatagen import in_order, spread, to_float
from readers.photographs import read_image
from report.figures import save_grid
from training import checkpoints, finish, loop, options, start, steps, weightfiles

COLLAPSED = 0.01, 0.99     # a mean area of the masks outside says that they show nothing or everything,
KNOWN = 0.5                # unless objects are that small: then f(m x) is right at least as often as this
DEAD = 1e-3, 1 - 1e-3      # a mean of the unbinarised masks outside: no gradient leads back
CHANCE = 1.5               # times 1/classes: an accuracy of f(m x) below says that the masks hide the object
PAPER = {'lr': 1e-5, 'area': 0.2, 'fill': 'black'}


def arguments():
    p = options.parser(__doc__, 'python train2.py mnist saved/mnist-baseline-0',
                       epochs=10, steps_per_epoch=30, lr=5e-4)
    p.add_argument('classifier', help='weights of phase 1')
    g = p.add_argument_group('masks')
    g.add_argument('--area', type=area, default='auto', metavar='A|auto',
                   help='share of the image that a mask may cover for free; auto: found from the data')
    g.add_argument('--loss', choices=('abs', 'squared'), default='abs', help='of the area above A')
    g.add_argument('--total-variation', type=cli.number(0, 1e6), default=0.1, metavar='W',
                   help='weight of the total variation of the mask')
    g.add_argument('--fill', default='border', metavar='black|border|FILE',
                   help="what stands where the mask removes: the image's own border colour, black, or a "
                   'picture')
    g.add_argument('--binarize', choices=binarization.BINARIZE, default='otsu',
                   help='for the check of collapsed masks and the pictures')
    g.add_argument('--width', type=cli.whole(1, mymodels.MAX_WIDTH), default=32,
                   help='filters of the first level')
    g.add_argument('--debug', action='store_true', help='a picture of masks every epoch beside the weights')
    return p


def area(text):
    return text if text == 'auto' else cli.part(text)


def parse(argv=None):
    args = options.parse(arguments(), argv, PAPER)
    args.output = args.output or f'saved/{mydatasets.label(args.dataset)}-unet-{args.seed}'
    return args


def settings(args, parents):
    return options.fingerprint('train2', args, parents)


def total_variation(m):
    """Mean absolute difference along rows + columns (Rudin et al. 1992, anisotropic). m: (n, h, w, 1)."""
    return tf.reduce_mean(tf.abs(m[:, 1:] - m[:, :-1])) + tf.reduce_mean(tf.abs(m[:, :, 1:] - m[:, :, :-1]))


def filler(name, shape):
    """The colour or picture c that stands where the mask removes: image -> (n or 1, 1 or h, 1 or w, c)."""
    if name == 'border':
        return mybackgrounds.border_colour
    if name == 'black':
        return lambda x: tf.zeros([1, 1, 1, x.shape[-1]])
    if not os.path.isfile(name):
        raise UserError(f'--fill {name}: no such file; give border, black or a picture')
    picture = to_float(read_image(name, shape[0], shape[-1]))[None]
    return lambda x: picture


AREA_LOSS = {'abs': tf.nn.relu, 'squared': lambda a: tf.square(tf.nn.relu(a))}


def make_step(unet, classifier, optimizer, fill, args, free_area):
    """free_area: scalar variable, the share A of the image that a mask covers for free."""
    area_loss = AREA_LOSS[args.loss]

    def step(batch, key):
        x, c = batch['x'], fill(batch['x'])
        with tf.GradientTape() as tape:
            m = unet(x, training=True)
            z = mybackgrounds.compose(x, m, c)
            ce = tf.reduce_mean(steps.task_loss(batch['y'], classifier(z)))
            excess = tf.reduce_mean(area_loss(tf.reduce_mean(m, (1, 2, 3)) - free_area))
            tv = total_variation(m)
        steps.descend(tape, [ce, excess, args.total_variation*tv], (optimizer, unet.trainable_variables))
        return {'ce': ce, 'excess': excess, 'tv': tv, 'area': tf.reduce_mean(m)}
    return step


def measure(unet, classifier, data, binarize, fill, most=2000):
    """() -> {'val_area': of the binarised masks, 'val_masked': accuracy of f(m x)} on validation images."""
    images = data.validation.take(np.arange(len(data.validation))[:most])

    @tf.function(reduce_retracing=True)
    def look(batch):
        x = to_float(batch['x'])
        m = binarize(unet(x), x)
        z = mybackgrounds.compose(x, m, fill(x))
        right = tf.argmax(classifier(z), 1, output_type=tf.int32) == batch['y']
        return tf.reduce_sum(tf.reduce_mean(m, (1, 2, 3))), tf.reduce_sum(tf.cast(right, tf.float32))

    def validate():
        area, right = np.sum([[float(v) for v in look(b)] for b in in_order(images)], 0)/len(images)
        return {'val_area': float(area), 'val_masked': float(right)}
    return validate


class Collapsed(Exception):
    """Masks that show nothing, everything, or not the object; says which."""


def alive(means, step):
    """Masks that stand at 0 or 1 everywhere stay there: noticed at the end of the epoch."""
    if not DEAD[0] < means['area'] < DEAD[1]:
        raise Collapsed(f'at step {step} they cover {100*means["area"]:.1f} % of the image')


def collapse(found, classes):
    """What is wrong with masks that show nothing, everything, or not the object; None when nothing is."""
    least = DEAD[0] if found['val_masked'] >= KNOWN else COLLAPSED[0]
    if not least < found['val_area'] < COLLAPSED[1]:
        return f'they cover {100*found["val_area"]:.1f} % of the image'
    if found['val_masked'] < CHANCE/classes:
        return f'the accuracy of f(m x) is {100*found["val_masked"]:.1f} %, which is chance'
    return None


def train(args, data, classifier, fingerprint, attempt, began):
    """One attempt from new weights: (unet, history, free area). Errors: Collapsed."""
    keras.utils.set_random_seed(args.seed + loop.RESTART*attempt)
    unet = mymodels.unet(data.shape, args.width)
    optimizer = start.adam(args, unet.trainable_variables)
    fill = filler(args.fill, data.shape)
    free = tf.Variable(0. if args.area == 'auto' else args.area, trainable=False, name='free_area',
                       aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    validate = measure(unet, classifier, data, binarization.BINARIZE[args.binarize], fill)
    # the area is read off masks that were pressed together as far as the classifier's loss lets them
    press = measure(unet, classifier, data, binarization.BINARIZE['otsu'], fill)

    def each_epoch(epoch):
        if args.area == 'auto' and epoch == max(1, args.epochs//2):
            free.assign(press()['val_area'])
            if not args.quiet:
                print(f'area: {float(free.numpy()):.3f}, found from the data')
        if args.debug:
            picture(f'{args.output}.masks/epoch-{epoch:03d}.png', data, unet, args, fill)
    prepare = start.augmented(start.augmentation(args))
    step = make_step(unet, classifier, optimizer, fill, args, free)
    state = {'unet': unet.variables, 'optimizer': optimizer.variables, 'area': [free]}
    history = loop.fit(prepare, step, data, args, state, fingerprint, validate, each_epoch, alive,
                          attempt, began)
    problem = collapse(history[-1], len(data.classes))
    if problem:
        raise Collapsed(f'at step {args.epochs*args.steps_per_epoch} {problem}')
    return unet, history, float(free.numpy())


def picture(path, data, unet, args, fill, count=10):
    """Image, mask, binarised mask and what the classifier sees, of some validation images."""
    x = to_float(spread(data.validation, count)['x'])
    m = unet(x)
    b = binarization.BINARIZE[args.binarize](m, x)
    save_grid(path, [x, m, b, mybackgrounds.compose(x, b, fill(x))])


def run(args):
    about = weightfiles.read_sidecar(args.classifier)
    fingerprint = settings(args, [about.get('settings')])
    if checkpoints.finished(args, fingerprint):
        return
    began, strategy = time.monotonic(), start.start(args)
    data = start.load_data(args)
    with strategy.scope():
        classifier, about = weightfiles.load(args.classifier, 'classifier', data.shape, data.classes,
                                           data.fit)
        classifier.trainable = False
        for attempt in range(checkpoints.attempts_used(args), 2):
            try:
                unet, history, found = train(args, data, classifier, fingerprint, attempt, began)
                break
            except Collapsed as e:
                if attempt:
                    raise BrokenRun(f'the masks collapsed twice: {e}; try another --area, --fill or --seed, '
                                    'with --overwrite') from e
                print(f'the masks collapsed: {e}; starting once more with another key', file=sys.stderr)
                checkpoints.forget(args)
        finish.finish(unet, 'unet', args, data, fingerprint, history, 'unet',
                       {'classifier': args.classifier}, {'width': args.width},
                       ['train3.py', args.dataset, args.classifier, args.output,
                        *(('otsu', 'adv') if data.monochrome else ('snap', 'textures', '--settle', '0.3'))],
                       area=found)


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

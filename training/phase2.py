"""Phase 2: trains the mask generator f_m without mask annotation, from the loss of the frozen classifier.

min_fm  L(f(m x + (1 - m) c), y) + mean relu(area(m) - A) + w TV(m),  with c the colour of the image's own
border.
"""
import os

import mymodels
from common import cli
from common.binarization import BINARIZE
from common.errors import UserError
from common.quiet import keras, tf
from mybackgrounds import border_colour, compose
from mydatagen import to_float
from readers.photographs import read_image
from training import loop, options, restarts, start, steps, validation

PAPER = {'lr': 1e-5, 'area': 0.2, 'fill': 'black', 'total_variation': 0.1}


def arguments():
    p = options.parser(__doc__, 'python train2.py mnist saved/mnist-baseline-0',
                       epochs=10, steps_per_epoch=30, lr=5e-4)
    p.add_argument('classifier', help='weights of phase 1')
    g = p.add_argument_group('masks')
    g.add_argument('--area', type=area, default='auto', metavar='A|auto',
                   help='share of the image that a mask may cover for free; auto: found from the data')
    g.add_argument('--loss', choices=('abs', 'squared'), default='abs', help='of the area above A')
    g.add_argument('--total-variation', type=cli.number(0, 1e6), default=0., metavar='W',
                   help='weight of the total variation of the mask (the paper: 0.1)')
    g.add_argument('--fill', default='border', metavar='black|border|FILE',
                   help="what stands where the mask removes: the image's own border colour, black, or a "
                   'picture')
    g.add_argument('--binarize', choices=BINARIZE, default='otsu',
                   help='for the check of collapsed masks and the pictures')
    g.add_argument('--width', type=cli.whole(1, mymodels.MAX_WIDTH), default=32,
                   help='filters of the first level')
    g.add_argument('--debug', action='store_true', help='a picture of masks every epoch beside the weights')
    return p


def area(text):
    return text if text == 'auto' else cli.part(text)


def parse(argv=None):
    return options.parse(arguments(), argv, lambda args: 'unet', PAPER, 'train2')


def fingerprint(args, parents, rate=None):
    return options.fingerprint('train2', args, parents)


def network_of(args, shape):
    """Keyword arguments of mymodels.unet: of large images it looks at smaller copies."""
    copy = {'copy': mymodels.COPY} if shape[0] >= mymodels.BIG else {}
    return {'width': args.width, **copy}


def total_variation(m):
    """Mean absolute difference along rows + columns (Rudin et al. 1992, anisotropic). m: (n, h, w, 1)."""
    return tf.reduce_mean(tf.abs(m[:, 1:] - m[:, :-1])) + tf.reduce_mean(tf.abs(m[:, :, 1:] - m[:, :, :-1]))


def filler(name, shape):
    """The colour or picture c that stands where the mask removes: image -> (n or 1, 1 or h, 1 or w, c)."""
    if name == 'border':
        return border_colour
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
            z = compose(x, m, c)
            ce = tf.reduce_mean(steps.task_loss(batch['y'], classifier(z)))
            excess = tf.reduce_mean(area_loss(tf.reduce_mean(m, (1, 2, 3)) - free_area))
            tv = total_variation(m)
            losses = [ce, excess]
            if args.total_variation:
                losses.append(args.total_variation*tv)
            loss = steps.share(losses, optimizer)
        steps.descend(tape, loss, (optimizer, unet.trainable_variables))
        return {'ce': ce, 'excess': excess, 'tv': tv, 'area': tf.reduce_mean(m)}
    return step


def train(job, classifier, attempt, snapshots=None):
    """One attempt from new weights: (unet, history, free area). Errors: restarts.Collapsed.

    snapshots: (unet, binarize, fill) -> each_epoch, which draws them; None: no pictures.
    """
    args, data = job.args, job.data
    keras.utils.set_random_seed(args.seed + loop.RESTART*attempt)
    unet = mymodels.unet(data.shape, **network_of(args, data.shape))
    optimizer = start.adam(job, unet.trainable_variables, args.lr)
    fill = filler(args.fill, data.shape)
    free = tf.Variable(0. if args.area == 'auto' else args.area, trainable=False, name='free_area',
                       aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    validate = validation.mask_validator(unet, classifier, data.validation, BINARIZE[args.binarize], fill)
    # the area is read off masks that were pressed together as far as the classifier's loss lets them
    press = validation.mask_validator(unet, classifier, data.validation, BINARIZE['otsu'], fill)
    draw = snapshots(unet, BINARIZE[args.binarize], fill) if snapshots else None

    def each_epoch(epoch):
        if args.area == 'auto' and epoch == max(1, args.epochs//2):
            free.assign(press()['val_area'])
            if not args.quiet:
                print(f'area: {float(free.numpy()):.3f}, found from the data')
        if draw:
            draw(epoch)
    history = loop.fit(job, loop.Work(
        start.augmented(start.augmentation(job)),
        make_step(unet, classifier, optimizer, fill, args, free),
        {'unet': unet.variables, 'optimizer': optimizer.variables, 'area': [free]},
        validate, each_epoch, restarts.alive, attempt))
    problem = restarts.problem(history[-1], len(data.classes))
    if problem:
        raise restarts.Collapsed(f'at step {job.steps} {problem}')
    return unet, history, float(free.numpy())


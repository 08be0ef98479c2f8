"""Phase 3: trains the classifier f against backgrounds, min_f max_fb L(f(m x + (1 - m) b), y).

The backgrounds b come from the adversary f_b, from random textures, noise, black, or real photographs.
"""
import dataclasses
import sys
import time

import numpy as np

import mybackgrounds
import mydatasets
import mymodels
from common import binarization, cli, geometry
from common.errors import BrokenRun, guard, UserError
from common.files import whole_file
from common.keys import Key
from common.quiet import tf
from mydatagen import in_order, spread, to_float
from report.figures import save_grid
from training import checkpoints, finish, loop, options, start, steps, validation, weightfiles

BACKS = 'black', 'noise', 'adv', 'real', 'textures'
PAPER = {'lr': None, 'lr_back': 1e-5, 'clean': 0., 'pool': 0, 'fresh': 1, 'adversary': 'plain', 'halo': 0}


def arguments():
    p = options.parser(__doc__, 'python train3.py mnist saved/mnist-baseline-0 saved/mnist-unet-0 otsu adv '
                      'textures', epochs=40, steps_per_epoch=100, lr=1e-3)
    p.add_argument('classifier', help='weights of phase 1, from which f starts')
    p.add_argument('unet', help='weights of phase 2, or `heuristic` (x > 0), or `truth` (masks of the data '
                   'set, or x > 0 grown by --dilate)')
    p.add_argument('binarize', choices=binarization.BINARIZE, help='of the masks')
    p.add_argument('back', nargs='+', choices=BACKS,
                   help='sources of backgrounds; several: images take turns')
    g = p.add_argument_group('composition')
    g.add_argument('--area', type=cli.part, default=0.2, help='for `quantile` masks')
    g.add_argument('--dilate', type=cli.whole(0, 64),
                   help='pixels by which masks are grown; None: 2 for `truth`, which the tests leave '
                   'around objects too, else 0')
    g.add_argument('--halo', type=cli.whole(0, 16), default=2,
                   help='each mask is grown by 0 to HALO pixels more, so that no rim of the old background '
                   'gives the object away')
    g.add_argument('--clean', type=cli.share, default=0.2, metavar='SHARE', help='of untouched images')
    g.add_argument('--backgrounds', metavar='DIR', help='photographs for `real`')
    g = p.add_argument_group('adversary')
    g.add_argument('--tiles', type=cli.whole(1), default=2, help='the background is TILES x TILES squares')
    g.add_argument('--lr-back', type=cli.positive, default=1e-3, help="Adam's rate of the generator")
    g.add_argument('--adversary', choices=('threshold', 'plain'), default='threshold',
                   help="plain: sigmoid of the generator's logits (the paper); threshold: after taking "
                   "from each image's logits their mean and a random multiple of their deviation")
    g.add_argument('--generator', choices=('trained', 'untrained', 'redrawn'), default='trained',
                   help='controls: `untrained` keeps its first random weights, `redrawn` gets new ones '
                   'at every step; their backgrounds maximise nothing')
    g.add_argument('--pool', type=cli.whole(0), default=4096, metavar='N',
                   help='adversarial backgrounds remembered; 0: none, all are fresh')
    g.add_argument('--fresh', type=cli.whole(1), default=4, metavar='K',
                   help='every K-th adversarial background is new and trains the generator, the others are '
                   'remembered ones')
    g.add_argument('--imsave', action='store_true',
                   help='a picture of backgrounds and compositions every epoch')
    return p


def parse(argv=None):
    args = options.parse(arguments(), argv, PAPER)
    if args.lr is None:
        args.lr = 1e-3
    if args.dilate is None:
        args.dilate = mydatasets.HALO if args.unet == 'truth' else 0
    args.output = args.output or (f'saved/{mydatasets.label(args.dataset)}-{"-".join(args.back)}-{args.seed}')
    return args


def settings(args, parents):
    kind = args.unet if args.unet in ('heuristic', 'truth') else 'unet'
    return options.fingerprint('train3', args, [*parents, kind])


# Masks: image -> (n, h, w, 1), made once for every training image and warped with it

def mask_source(args, data, unet):
    """The masks of the arguments as a function of images in [0, 1], binarised but not yet grown."""
    if args.unet == 'truth' and data.masks:
        return None   # they travel with the images
    if args.unet in ('heuristic', 'truth'):
        if not data.monochrome:
            raise UserError(f'{args.unet} masks are x > 0, which says nothing in colour photographs; give '
                            'the weights of phase 2, or masks in the folder')
        return lambda x: mydatasets.true_mask(x, 0)
    binarize = binarization.binarizer(args.binarize, args.area)
    return lambda x: binarize(unet(x), x)


LAST = {}   # the masks made last, by name: the rows of a table share them


def with_masks(images, mask, name=None):
    """The images with their masks beside them, (n, h, w, 1) uint8, where both fit in memory.

    name: of what the masks depend on, so that they need not be made again; None: make them.
    """
    if mask is None or isinstance(images.x, list):
        return images
    if name is None or name not in LAST:
        make = tf.function(lambda x: tf.round(255*mask(to_float(x))), reduce_retracing=True)
        LAST.clear()
        LAST[name] = np.concatenate([make(b['x']).numpy().astype(np.uint8) for b in in_order(images)])
    return dataclasses.replace(images, m=LAST[name])


# Backgrounds

def reverse(b, scale):
    """b itself forward, -scale times the gradient backward: the generator ascends on what f descends on."""
    return (1 + scale)*tf.stop_gradient(b) - scale*b


def adversary(shape, args):
    """(network, draw): draw(n, key) -> fresh backgrounds (n, h, w, c) in [0, 1]."""
    net = mymodels.generator(shape, args.tiles)
    plain, redrawn = args.adversary == 'plain', args.generator == 'redrawn'

    def draw(n, key):
        z = key.normal(n, net.input_shape[1:])
        logits = redrawn_call(net, z, key.fold(3)) if redrawn else net(z, training=True)
        if plain:
            return tf.sigmoid(logits)
        return mybackgrounds.tinted(mybackgrounds.threshold(logits, key.fold(1)), key.fold(2))
    return net, draw


def redrawn_call(net, z, key):
    """net(z) with new random weights: uniform kernels (Glorot and Bengio 2010), biases 0. All replicas draw
    the same ones."""
    weights = []
    for i, v in enumerate(net.trainable_variables):
        kernel = len(v.shape) == 4                       # (h, w, in, out)
        limit = (6/(v.shape[0]*v.shape[1]*(v.shape[2] + v.shape[3])))**0.5 if kernel else 0.
        weights.append(limit*tf.random.stateless_uniform(v.shape, key.fold(i).seed, -1., 1.))
    return net.stateless_call(weights, [], z, training=True)[0]


def remember(pool, fresh, key):
    """Writes the fresh backgrounds of all replicas over the oldest of the pool; returns how many it holds."""
    new = tf.cast(tf.stop_gradient(fresh), pool.dtype)
    if key.parts > 1:
        new = tf.distribute.get_replica_context().all_gather(new, 0)
    size, count = pool.shape[0], key.parts*len(fresh)
    rows = (key.step*count + tf.range(count, dtype=tf.int64)) % size
    pool.scatter_update(tf.IndexedSlices(new[-size:], rows[-size:]))   # no row twice in one update
    return tf.minimum((key.step + 1)*count, size)


def recall(pool, held):
    """Source of remembered backgrounds, mirrored at random in both directions. held: how many are there."""
    def recalled(x, key):
        n = tf.shape(x)[0]
        rows = tf.cast(key.uniform(n)*tf.cast(held, tf.float32), tf.int64)
        b = tf.cast(tf.gather(pool, rows), tf.float32)
        u = key.fold(1).uniform(n, (2, 1, 1, 1))
        b = tf.where(u[:, 0] < 0.5, b[:, :, ::-1], b)
        return tf.where(u[:, 1] < 0.5, b[:, ::-1], b)
    return recalled


def sources(args, data):
    """The sources that need no training, by name."""
    found = {'black': mybackgrounds.black, 'noise': mybackgrounds.noise, 'textures': mybackgrounds.textures}
    if 'real' in args.back:
        if data.backgrounds is not None:
            found['real'] = mybackgrounds.photographs(data.backgrounds)
        elif data.monochrome:
            found['real'] = mybackgrounds.patterns_source(data.shape[0])   # upper bound: the tests' own
        else:
            raise UserError(f'{args.dataset} has no backgrounds/ folder; give photographs with '
                            '--backgrounds DIR')
    return [None if name == 'adv' else found[name] for name in args.back]


def make_prepare(augment, back, args):
    """prepare(batch, key): the augmented image, its mask warped with it, and backgrounds without weights.

    back: the sources in the order of the arguments, None where the adversary stands.
    """
    def prepare(batch, key):
        x, m = augment(to_float(batch['x']), to_float(batch['m']) if 'm' in batch else None, key.fold(0))
        parts = {f'b{i}': source(x[i::len(back)], key.fold(10 + i))
                 for i, source in enumerate(back) if source}
        masks = {} if m is None else {'m': grow(m, args, key.fold(1))}
        return {'x': x, 'y': batch['y'], **masks, **parts}
    return prepare


def grow(m, args, key):
    """Masks ready for the composition: binary again after the warp, dilated, all ones for clean images."""
    m = m if args.binarize == 'none' else tf.round(m)
    m = geometry.dilate_between(m, args.dilate, args.dilate + args.halo, key.fold(0))
    return tf.where(key.fold(1).uniform(tf.shape(m)[0], (1, 1, 1)) < args.clean, 1., m)


def make_step(model, optimizer, mask, back, args, adversary=None, optimizer_back=None, pool=None):
    """The min-max step on prepared batches. adversary: (network, draw); pool: variable (N, h, w, c)."""
    net, draw = adversary or (None, None)
    learns = net and args.generator == 'trained'
    turns = args.fresh if pool is not None else 1   # every turns-th adversarial background is a fresh one

    def step(batch, key):
        x = batch['x']
        m = batch['m'] if 'm' in batch else grow(mask(x), args, key.fold(1))
        parts = [batch.get(f'b{i}') for i in range(len(back))]
        with tf.GradientTape() as tape:
            if net:
                i = back.index(None)
                images = x[i::len(back)]
                fresh = draw(len(images[::turns]), key.fold(3))
                turned = reverse(fresh, len(x)/len(fresh)) if learns else tf.stop_gradient(fresh)
                old = [recall(pool, remember(pool, fresh, key))]*(turns - 1) if turns > 1 else []
                parts[i] = mybackgrounds.mixed([lambda x, key: turned, *old])(images, key.fold(4))
            z = mybackgrounds.compose(x, m, mybackgrounds.interleave(parts, len(x)))
            logits = model(z, training=True)
            loss = {'ce': tf.reduce_mean(steps.task_loss(batch['y'], logits))}
            if learns and x.shape[-1] == 1:   # a monochrome background may not fill more than half of it
                loss['bright'] = tf.nn.relu(steps.global_mean(fresh) - 0.5)
        players = [(optimizer, model.trainable_variables)]
        if learns:
            players.append((optimizer_back, net.trainable_variables))
        gradients = steps.descend(tape, list(loss.values()), *players)
        if learns:
            loss['gradient_back'] = steps.gradient_norm(gradients[1], optimizer)
        return {**loss, 'accuracy': steps.accuracy(batch['y'], logits)}
    return step


def pictures(args, data, mask, back, adversary, count=10):
    """each_epoch(epoch): a picture of the backgrounds now, bare and behind some validation images."""
    batch = spread(data.validation, count)
    x = to_float(batch['x'])
    m = mask(x) if mask else to_float(batch['m'])
    filled = [adversary_source(adversary[1]) if source is None else source for source in back]

    @tf.function
    def look():
        key = Key.of(args.seed)   # the same noise every time: what changes is the generator
        rows = [source(x, key) for source in filled]
        return rows + [mybackgrounds.compose(x, geometry.dilate(m, args.dilate), rows[0])]

    def draw(epoch):
        rows, path = look(), f'{args.output}.backgrounds/epoch-{epoch:03d}'
        save_grid(path + '.png', rows)
        # for the figure over the epochs
        with whole_file(path + '.npy') as temporary, open(temporary, 'wb') as f:
            np.save(f, rows[0].numpy())
    return draw


def adversary_source(draw):
    return lambda x, key: draw(len(x), key)


def alive(means, step):
    """A generator without gradient has stopped moving: its sigmoids are saturated or f ignores them."""
    if means.get('gradient_back') == 0:
        raise BrokenRun(f'the background generator has stopped moving before step {step}; lower --lr-back, '
                        'or use --adversary threshold')


def run(args):
    parents, about = {}, {}
    for role, path in (('classifier', args.classifier), ('unet', args.unet)):
        if path not in ('heuristic', 'truth'):
            about[role] = weightfiles.read_sidecar(path)
            parents[role] = weightfiles.stem(path)
    fingerprint = settings(args, [a.get('settings') for a in about.values()])
    if checkpoints.finished(args, fingerprint):
        return
    began, strategy = time.monotonic(), start.start(args)
    data = start.load_data(args)
    with strategy.scope():
        model, about_f = weightfiles.load(args.classifier, 'classifier', data.shape, data.classes, data.fit)
        unet = None
        if 'unet' in parents:
            unet, _ = weightfiles.load(args.unet, 'unet', data.shape, fit=data.fit)
        mask = mask_source(args, data, unet)
        name = about.get('unet', {}).get('sha256'), *(getattr(args, k) for k in (
            'unet', 'dataset', 'data_dir', 'size', 'limit', 'fit', 'skip_damaged', 'binarize', 'area',
            'precision'))
        data = data._replace(train=with_masks(data.train, mask, name))
        optimizer = start.adam(args, model.trainable_variables)
        state = {'model': model.variables, 'optimizer': optimizer.variables}
        extra = {}
        if 'adv' in args.back:
            net, draw = adversary(data.shape, args)
            optimizer_back = start.adam(args, net.trainable_variables, args.lr_back)
            extra = {'adversary': (net, draw), 'optimizer_back': optimizer_back}
            state |= {'generator': net.variables, 'optimizer_back': optimizer_back.variables}
            if args.pool and args.fresh > 1:
                # half precision: the smallest numbers that collectives between machines carry
                extra['pool'] = tf.Variable(tf.zeros((args.pool, *data.shape), tf.float16), trainable=False,
                                            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
                state['pool'] = [extra['pool']]
        back = sources(args, data)
        prepare = make_prepare(start.augmentation(args), back, args)
        step = make_step(model, optimizer, mask, back, args, **extra)
        each_epoch = pictures(args, data, mask, back, extra.get('adversary')) if args.imsave else None
        validate = validation.validator(model, data, None if data.monochrome else mask)
        history = loop.fit(prepare, step, data, args, state, fingerprint, validate, each_epoch, alive,
                              began=began)
        finish.finish(model, 'classifier', args, data, fingerprint, history, method(args), parents,
                       about_f.get('network'), ['evaluate.py', args.dataset, args.output])


def method(args):
    """The name of the row: `proposal` is the paper's own method, adversarial backgrounds alone."""
    return 'proposal' if args.back == ['adv'] else '-'.join(args.back)


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

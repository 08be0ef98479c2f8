"""Phase 3: trains the classifier f against backgrounds, min_f max_fb L(f(m x + (1 - m) b), y).

The backgrounds b come from the adversary f_b, from random textures, noise, black, or real photographs.
"""
import sys

import mybackgrounds
import mydatasets
import mymodels
from common import ascent, cli, pools
from common.binarization import BINARIZE, binarizer
from common.errors import BrokenRun, guard, UserError
from common.geometry import dilate, dilate_between, feather, swell_between
from common.keys import Key, Stream
from common.quiet import tf
from mybackgrounds import Adversary, compose
from mydatagen import some, to_float
from report import snapshots
from training import finish, loop, masks, options, start, steps, validation, weightfiles

BACKS = 'black', 'noise', 'adv', 'real', 'textures', 'pieces', 'pixels'
WITHOUT_UNET = 'heuristic', 'truth', 'flood'
PAPER = {'lr_back': 1e-5, 'clean': 0., 'pool': 0, 'fresh': 1, 'adversary': 'plain', 'halo': 0}


def arguments():
    p = options.parser(__doc__, 'python train3.py mnist saved/mnist-baseline-0 saved/mnist-unet-0 otsu adv '
                       'textures', epochs=40, steps_per_epoch=100)
    p.add_argument('classifier', help='weights of phase 1, from which f starts; or those of phase 2: then f '
                   'is a U-Net that learns to mark the object on any background')
    p.add_argument('unet', help='weights of phase 2, or `heuristic` (x > 0), or `truth` (masks of the data '
                   'set, or x > 0 grown by --dilate), or `flood` (photographs: all but the white that is '
                   'reached from the frame)')
    p.add_argument('binarize', choices=BINARIZE, help="of the U-Net's masks; none: they stay soft")
    p.add_argument('back', nargs='+', choices=BACKS,
                   help='several take turns. pieces: of training images; pixels: the worst that ascent finds')
    g = p.add_argument_group('composition')
    g.add_argument('--area', type=cli.part, default=0.2, help='for `quantile` masks')
    g.add_argument('--dilate', type=cli.whole(0, 64), help='pixels by which masks are grown; None: 2 for '
                   '`truth`, which the tests leave around objects too, else 0')
    g.add_argument('--halo', type=cli.whole(0, 16), default=2,
                   help='each mask is grown by 0 to HALO pixels more, so that no rim of the old background '
                   'gives the object away')
    g.add_argument('--feather', type=cli.whole(0, 16), default=0, metavar='R', help='soft edges of R pixels')
    g.add_argument('--clean', type=cli.share, default=0.2, metavar='SHARE', help='of untouched images')
    g.add_argument('--backgrounds', metavar='DIR', help='photographs for `real`')
    options.add_freeze(p)
    g = options.add_adversary(p)
    g.add_argument('--imsave', action='store_true', help='backgrounds and compositions, a picture an epoch')
    return p


def parse(argv=None):
    args = options.parse(arguments(), argv, lambda args: prefix(args) + '-'.join(args.back), PAPER, 'train3')
    if args.dilate is None:
        args.dilate = mydatasets.HALO if args.unet == 'truth' else 0
    return args


def fingerprint(args, parents, rate=None):
    """rate: of the classifier where it stands on a backbone or was imported. It counts, and so do soft masks
    and the ascent of `pixels`: all were computed otherwise before, or by default."""
    kind = args.unet if args.unet in WITHOUT_UNET else 'unet'
    more = {'lr': args.lr or rate} if rate else {}
    if soft(args):
        more['masks'] = 'soft'
    if 'pixels' in args.back:
        more |= {'ascent_steps': args.ascent_steps, 'ascent_rate': args.ascent_rate}
    return options.fingerprint('train3', args, [*parents, kind], more)


# Masks: image -> (n, h, w, 1), made once for every training image and warped with it

def mask_source(args, data, unet):
    """The masks of the arguments, images in [0, 1] -> masks, not yet grown; None: they come in the batch."""
    if args.unet == 'truth' and data.masks:
        return None
    if args.unet == 'flood':
        if data.monochrome:
            raise UserError('flood masks are what white does not reach, in colour photographs; use heuristic')
        return mydatasets.not_white
    if args.unet in WITHOUT_UNET:
        if not data.monochrome:
            raise UserError(f'{args.unet} masks are x > 0, which says nothing in colour photographs; give '
                            'the weights of phase 2, or masks in the folder')
        return lambda x: mydatasets.true_mask(x, 0)
    binarize = binarizer(args.binarize, args.area)
    return lambda x: binarize(unet(x), x)


def soft(args):
    """Do the masks stay between 0 and 1? Those of x > 0 and of a folder are binary by themselves."""
    return args.binarize == 'none' and args.unet not in WITHOUT_UNET


def grow(m, args, key):
    """Masks for the composition: binary after the warp unless they stay soft, grown by --dilate, by up to
    --halo more, for `pixels` by --ascent-dilate, with --feather soft edges; all ones for untouched images."""
    between = swell_between if soft(args) else dilate_between
    m = between(m if soft(args) else tf.round(m), args.dilate, args.dilate + args.halo, key.fold(0))
    if args.ascent_dilate and 'pixels' in args.back:
        mine = tf.range(tf.shape(m)[0]) % len(args.back) == args.back.index('pixels')
        m = tf.where(mine[:, None, None, None], between(m, *[args.ascent_dilate]*2, key.fold(2)), m)
    m = feather(m, args.feather)
    return tf.where(key.fold(1).uniform(tf.shape(m)[0], (1, 1, 1)) < args.clean, 1., m)


# Backgrounds

def sources(args, data, adversary=None, climber=None):
    """The sources of the arguments, in their order. adversary: the one for `adv`; climber: for `pixels`."""
    found = {'black': mybackgrounds.black, 'noise': mybackgrounds.noise, 'textures': mybackgrounds.textures,
             'adv': adversary, 'pixels': climber}
    if 'pieces' in args.back:
        found['pieces'] = mybackgrounds.pieces(some(data.train, pools.POOL_BYTES))
    if 'real' in args.back:
        if data.backgrounds is not None:
            found['real'] = mybackgrounds.photographs(data.backgrounds)
        elif data.monochrome:
            found['real'] = mybackgrounds.patterns_source(data.shape[0])   # upper bound: the tests' own
        else:
            raise UserError(f'{args.dataset} has no backgrounds/ folder; give photographs with '
                            '--backgrounds DIR')
    return [found[name] for name in args.back]


def make_prepare(augment, back, args):
    """prepare(batch, key): the augmented image, its mask warped with it, and as `b0`, `b1` ... the
    backgrounds of the sources that have no weights."""
    def prepare(batch, key):
        own = key.fold(Stream.AUGMENTATION)
        x, m = augment(to_float(batch['x']), to_float(batch['m']) if 'm' in batch else None, own)
        parts = {f'b{i}': source(x[i::len(back)], key.fold(Stream.BACKGROUND + i))
                 for i, source in enumerate(back) if not isinstance(source, Adversary)}
        prepared = {'x': x, 'y': augment.target(batch['y'], own), **parts}
        if m is not None:
            prepared['y'] = augment.task.target(prepared['y'], lambda: tf.round(m))
            prepared['m'] = grow(m, args, key.fold(Stream.GROWTH))
        return prepared
    return prepare


# The two players

def loss_behind(model, x, y, m):
    """b -> the loss of each image of a batch on the background b."""
    return lambda b: steps.task_loss(model, y, model(compose(x, m, b)))


def make_step(model, optimizer, mask, back, args, optimizer_back=None):
    """The min-max step: one value, one composition, one tape. optimizer_back: of an Adversary that learns."""
    adversary = next((source for source in back if isinstance(source, Adversary)), None)

    def backgrounds(batch, key):
        """(b, the adversary's fresh ones among them)."""
        x, parts, fresh = batch['x'], [], None
        for i, source in enumerate(back):
            if source is adversary:
                part, fresh = adversary.play(x[i::len(back)], len(x), key)
                parts.append(part)
            else:
                parts.append(batch[f'b{i}'])
        return mybackgrounds.interleave(parts, len(x)), fresh

    def ascended(batch, m, key):
        """The batch with the backgrounds of `pixels` where ascent has led them."""
        for i, source in enumerate(back):
            if isinstance(source, ascent.Ascent):
                x, y, own = (part[i::len(back)] for part in (batch['x'], batch['y'], m))
                b = source.play(batch[f'b{i}'], loss_behind(model, x, y, own), key.fold(Stream.ASCENT), own)
                batch = {**batch, f'b{i}': b}
        return batch

    def step(batch, key):
        x = batch['x']
        if 'm' in batch:
            m = batch['m']
        else:
            own = mask(x)
            m = grow(own, args, key.fold(Stream.GROWTH))
            batch = {**batch, 'y': model.task.target(batch['y'], lambda: tf.round(own))}
        batch = ascended(batch, m, key)
        with tf.GradientTape() as tape:
            b, fresh = backgrounds(batch, key)
            outputs = model(compose(x, m, b))   # a backbone's batch statistics stay
            value = steps.mean_loss(model, batch['y'], outputs)
            if optimizer_back and x.shape[-1] == 1:   # a monochrome background may not fill more than half
                value['bright'] = tf.nn.relu(steps.global_mean(fresh) - 0.5)
            loss = steps.share(value.values(), optimizer)
        players = [(optimizer, model.trainable_variables)]
        if optimizer_back:
            players.append((optimizer_back, adversary.net.trainable_variables))
        gradients = steps.descend(tape, loss, *players)
        if optimizer_back:
            value['gradient_back'] = steps.gradient_norm(gradients[1], optimizer)
        return {**value, **steps.measure(model, batch['y'], outputs)}
    return step


def alive(means, step):
    """A generator without gradient has stopped moving: its sigmoids are saturated or f ignores them."""
    if means.get('gradient_back') == 0:
        raise BrokenRun(f'the background generator has stopped moving before step {step}; lower --lr-back, '
                        'or use --adversary threshold')


def train(job, model, unet, recipe):
    """The history. recipe: recipe(mask) -> masks.Recipe of the masks beside the training images."""
    args, data = job.args, job.data
    mask = mask_source(args, data, unet)
    if mask is not None:
        data = data._replace(train=masks.beside(recipe(mask)))
        job = job.on(data)
    optimizer = start.adam(job, model.trainable_variables, args.lr)
    optimizer_back = adversary = climber = None
    state = {'model': model.variables, 'optimizer': optimizer.variables}
    if 'adv' in args.back:
        net = mymodels.generator(data.shape, args.tiles)
        adversary = Adversary(net, args.adversary, args.generator, args.pool, args.fresh)
        state['generator'] = net.variables
        if adversary.learns:
            optimizer_back = start.adam(job, net.trainable_variables, args.lr_back)
            state['optimizer_back'] = optimizer_back.variables
        if adversary.pool is not None:
            state['pool'] = [adversary.pool]
    if 'pixels' in args.back:
        climber = ascent.Ascent.of(args, mybackgrounds.textures, data.shape, job.steps)
        state['ascent'] = climber.variables
    back = sources(args, data, adversary, climber)
    draw = args.imsave and snapshots.of_backgrounds(job, mask, back, lambda m: dilate(m, args.dilate))

    def each_epoch(epoch):
        if draw:
            draw(epoch)
        if adversary and args.renew and epoch % args.renew == 0:
            adversary.renew(Key.of(args.seed, epoch).fold(Stream.GENERATOR))
    return loop.fit(job, loop.Work(
        make_prepare(start.augmentation(job), back, args),
        make_step(model, optimizer, mask, back, args, optimizer_back), state,
        validation.validator(model, data, None if data.monochrome else mask, mask), each_epoch, alive))


def run(args):
    options.refuse_idle(args, PAPER if args.paper else ())
    paths = {'classifier': args.classifier}
    if args.unet not in WITHOUT_UNET:
        paths['unet'] = args.unet
    about = {role: weightfiles.read_sidecar(path) for role, path in paths.items()}
    network = about['classifier'].get('network', {})
    rate, settings = mymodels.learning_rate(network), [a.get('settings') for a in about.values()]
    mine = fingerprint(args, settings, rate if mymodels.is_grown(network) else None)
    job = start.begin(args, mine, about)
    if job is None:
        return
    with job.strategy.scope():
        job = job.settled(lr=args.lr or rate)
        model, _ = weightfiles.load(args.classifier, (job.data.task.kind, *weightfiles.MASKS), job.data)
        job = job.on(job.data._replace(asked=model.task))
        if args.freeze:
            mymodels.freeze(model, network.get('backbone'), args.freeze)
        unet = weightfiles.load(args.unet, 'unet', job.data)[0] if 'unet' in paths else None
        digest = about['unet'].get('sha256') if 'unet' in paths else args.unet
        history = train(job, model, unet, lambda mask: masks.Recipe.of(job, mask, digest))
        finish.write(job, finish.Outcome(model, model.task.kind, method(args), history, network, paths,
                                         ('evaluate.py', args.dataset, args.output)))


def method(args):
    """The name of the row: `proposal` is the paper's own method, adversarial backgrounds alone."""
    alone = 'proposal' if args.generator == 'trained' else args.generator
    return prefix(args) + (alone if args.back == ['adv'] else '-'.join(args.back))


def prefix(args):
    """Of the names of rows and weights: `segment-` where f is a U-Net."""
    return 'segment-' if weightfiles.kind_of(args.classifier) in weightfiles.MASKS else ''


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

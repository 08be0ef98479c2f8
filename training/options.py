"""The arguments that all trainers share, what --paper means, and the fingerprint of settings."""
import argparse
import functools
import hashlib
import json

import mydatasets
from common import ascent, cli, pools
from common.cli import positive, share, whole
from common.errors import UserError
from mymodels import BIG, MAX_DENSE, MAX_WIDTH, POOLED_RATE
from readers import reading
from training import weightfiles

PAPER = {'epochs': 100, 'steps_per_epoch': 0, 'batchsize': 8, 'schedule': 'constant', 'settle': 0.,
         'flip': 'yes', 'fill_outside': 'nearest', 'precision': 'float32'}
PAPERS_BACKBONE = 'VGG19'
# of other backbones: they start from a linear probe and need few, small steps; phase 2 sees 9,600 photographs
BACKBONE = {'train1': {'epochs': 8, 'steps_per_epoch': 0, 'batchsize': 32},
            'train2': {'batchsize': 32},
            'train3': {'epochs': 8, 'steps_per_epoch': 0, 'batchsize': 32},
            'train_att': {'epochs': 8, 'steps_per_epoch': 0, 'batchsize': 32}}
METHOD_VERSION = 2   # raised by hand when settings change their meaning: old rows no longer count as done
# arguments that do not change what is computed, or stand beside the settings in every row
NOT_SETTINGS = ['output', 'data_dir', 'resume', 'overwrite', 'strategy', 'precision', 'deterministic',
                'paper', 'quiet', 'minutes', 'debug', 'imsave', 'changed', 'seed', 'dataset', 'classifier',
                'unet', 'global_classifier', 'backgrounds', 'skip_damaged', 'func']

# options of train3.py that one source of backgrounds or one binarisation reads, and no other
READERS = {'area': ('quantile',), 'backgrounds': ('real',),
           **dict.fromkeys(('pool', 'fresh'), ('adv', 'pixels')),
           **dict.fromkeys(('tiles', 'lr_back', 'adversary', 'generator', 'renew'), ('adv',))}


def parser(description, example, **defaults):
    """The arguments that all trainers take. defaults: epochs, steps_per_epoch, lr."""
    p = argparse.ArgumentParser(description=description, epilog=f'example: {example}',
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}')
    g = p.add_argument_group('training')
    g.add_argument('--epochs', type=whole(1), help='number of epochs')
    g.add_argument('--steps-per-epoch', type=whole(0),
                   help='steps of an epoch; 0: one pass over the training images')
    g.add_argument('--batchsize', type=whole(1), default=128, help='images per step')
    g.add_argument('--lr', type=positive,
                   help="Adam's rate, falling to 0 along a half cosine (--paper: constant); None: that of "
                   'the network')
    g.add_argument('--seed', type=whole(0), default=0,
                   help='of initial weights, order, augmentation, backgrounds')
    g.add_argument('--paper', action='store_true',
                   help="the original code's settings for all options at once; options given beside it win")
    g.add_argument('--fill-outside', choices=('auto', 'constant', 'nearest'), default='auto',
                   help='what augmentation brings in from outside; auto: 0 for monochrome sets, else nearest')
    g.add_argument('--flip', choices=('auto', 'yes', 'no'), default='auto',
                   help='mirror half of the images; auto: not where a mirrored object is another one '
                   '(digits, signs)')
    g.add_argument('--zoom', type=cli.number(1, 4), default=1., metavar='Z',
                   help='show objects at 1/Z to Z times their size')
    g.add_argument('--photometric', type=share, default=0., metavar='S',
                   help='strength, 0 to 1, of what another camera and another light change: white balance, '
                   'brightness, contrast, saturation, blur, JPEG')
    g.add_argument('--erase', type=share, default=0., metavar='SHARE',
                   help='of the images, which lose a random rectangle to noise')
    g.add_argument('--settle', type=share, default=0.6, metavar='SHARE',
                   help='of the training, at its end, on images as they are, at most mirrored')
    g.add_argument('--schedule', choices=('cosine', 'constant'), default='cosine', help='of the rate')
    g.add_argument('--warmup', type=cli.number(0, 1, below=True), default=0., metavar='SHARE',
                   help='of the steps, at the beginning, over which the rate of `cosine` rises from 0')
    g = p.add_argument_group('data')
    reading.add_arguments(g)
    g.add_argument('--limit', type=whole(1), help='use only N training images', metavar='N')
    g = p.add_argument_group('run')
    add_output(g)
    g.add_argument('--minutes', type=positive, default=5., help='between checkpoints inside an epoch')
    g.add_argument('--strategy', choices=('none', 'mirrored', 'multiworker'), default='none',
                   help='one device, all GPUs of this machine, or the machines of TF_CONFIG')
    g.add_argument('--precision', choices=('auto', 'float32', 'bfloat16', 'float16'), default='auto',
                   help='of the networks; auto: the faster one by a table of networks '
                   'and processors')
    g.add_argument('--deterministic', action='store_true', help='bit for bit the same every time (float32)')
    p.set_defaults(**defaults)
    return p


def add_output(p):
    """Where the weights go, and what is printed."""
    p.add_argument('--output', help='NAME of the weights to write; None: saved/DATASET-METHOD-SEED')
    p.add_argument('--resume', action='store_true', help='continue from the newest checkpoint of --output')
    p.add_argument('--overwrite', action='store_true', help='replace what stands at --output')
    p.add_argument('--quiet', action='store_true', help='print only the last line')


def output_of(args, method):
    """NAME of the weights: what was asked for, else by data set, row and seed."""
    return args.output or f'saved/{mydatasets.label(args.dataset)}-{method}-{args.seed}'


def add_adversary(p):
    """The players that make backgrounds: the options of `adv` and `pixels`, for train3.py. The group."""
    g = p.add_argument_group('adversary')
    g.add_argument('--tiles', type=cli.whole(1), default=2, help='the background is TILES x TILES squares')
    g.add_argument('--lr-back', type=cli.positive, default=1e-3, help="Adam's rate of the generator")
    g.add_argument('--adversary', choices=('threshold', 'plain'), default='threshold',
                   help="plain: sigmoid of the generator's logits (the paper); threshold: after taking "
                   "from each image's logits their mean and a random multiple of their deviation")
    g.add_argument('--generator', choices=('trained', 'untrained', 'redrawn'), default='trained',
                   help='controls: `untrained` keeps its first random weights, `redrawn` gets new ones '
                   'at every step; their backgrounds maximise nothing')
    g.add_argument('--renew', type=cli.whole(0), default=0, metavar='EPOCHS',
                   help='after as many another generator begins, from new random weights; 0: one for all')
    g.add_argument('--pool', type=cli.whole(0), default=4096, metavar='N',
                   help='backgrounds of `adv` and of `pixels` remembered, as far as they fit into '
                   f'{pools.POOL_BYTES//10**6} MB; 0: none, all are fresh')
    g.add_argument('--fresh', type=cli.whole(1), default=4, metavar='K',
                   help='every K-th background of `adv` is new and trains the generator, the others are '
                   'remembered ones; every K-th ascent of `pixels` starts anew, the others there')
    ascent.add_arguments(g)
    return g


def refuse_idle(args, preset=()):
    """Errors: UserError where an option of train3.py is given beside nothing that reads it.

    preset: options that were not given one by one (--paper), and may be idle.
    """
    given = [*args.changed, 'backgrounds'] if args.backgrounds else args.changed
    for name in (name for name in given if name not in preset):
        readers = ('pixels',) if name.startswith('ascent_') else READERS.get(name)
        if readers and not {*args.back, args.binarize} & {*readers}:
            raise UserError(f'--{name.replace("_", "-")} does nothing without {" or ".join(readers)}; add '
                            f'{"one of them" if len(readers) > 1 else "that"}, or leave the option out')


def add_network_arguments(p):
    g = p.add_argument_group('network')
    g.add_argument('--backbone', help='a network of keras.applications by name; the default is the small '
                   'classifier below 128 pixels and VGG19 from there on')
    g.add_argument('--backbone-weights', default='imagenet', metavar='imagenet|none|FILE',
                   help='to start from')
    g.add_argument('--width', type=whole(1, MAX_WIDTH), default=32, help='filters of the first block')
    g.add_argument('--dense', type=whole(1, MAX_DENSE),
                   help='units of the dense layers; None: 128, for VGG19 4096 twice, for other backbones no '
                   'such layer')
    add_freeze(g)


def add_freeze(p):
    p.add_argument('--freeze', metavar='BLOCK|all',
                   help='layers of the backbone that stay as they are: up to the last whose name begins with '
                   'BLOCK, or all (then only the last layer is fitted)')


def network_of(args, shape):
    """Keyword arguments of mymodels.classifier: a small network, from BIG pixels on a backbone."""
    backbone = args.backbone or (PAPERS_BACKBONE if shape[0] >= BIG else None)
    if not backbone:
        return {'width': args.width, 'dense': args.dense}
    if backbone == PAPERS_BACKBONE:
        return {'backbone': backbone, 'dense': [args.dense]*2 if args.dense else None}
    return {'backbone': backbone, 'head': 'pooled', 'dense': [args.dense] if args.dense else None}


def on_backbone(args):
    """Is the classifier of these arguments a backbone other than the paper's, or imported, as told or by its
    sidecar?"""
    backbone = getattr(args, 'backbone', None)
    if getattr(args, 'classifier', None):
        try:
            network = weightfiles.read_sidecar(args.classifier).get('network', {})
            backbone = network.get('backbone', network.get('format'))
        except UserError:   # told when the weights are read
            return False
    return backbone not in (None, PAPERS_BACKBONE)


def parse(p, argv, method, paper=None, script='train1'):
    """Parsed arguments and, as `changed`, those that are not at their defaults.

    method: args -> the name of the row, for --output. paper: what --paper means here, beside PAPER. script:
    whose defaults hold on backbones.
    """
    args = cli.parse(p, argv)
    defaults = {k: p.get_default(k) for k in vars(args)}
    if on_backbone(args):
        p.set_defaults(**BACKBONE[script])
        args = cli.parse(p, argv)
    if args.paper:
        p.set_defaults(**PAPER, **(paper or {}))
        args = cli.parse(p, argv)
    args.changed = {k: v for k, v in vars(args).items() if k not in NOT_SETTINGS and v != defaults[k]}
    args.output = output_of(args, method(args))
    return args


_digest = functools.lru_cache(weightfiles.digest)   # asked for by every row of a table


def fingerprint(script, args, parents=(), more=None):
    """Short name of the settings of a whole chain of phases: rows of different settings never share a cell.

    Settings at their defaults do not count, so that a new option leaves recorded rows as they are; a new
    default is a new METHOD_VERSION, or stands in `more`. parents: fingerprints. more: {name: value} of
    defaults that are others for some networks or masks, or were others once, and count for those alone.
    """
    changed = {**args.changed, **(more or {})}
    if 'backbone_weights' in changed:   # a file is what it holds, not where it lies
        changed['backbone_weights'] = _digest(changed['backbone_weights'])
    text = json.dumps([METHOD_VERSION, script, changed, list(parents)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def phase1_fingerprint(args):
    """Of phase 1, by whichever script. A backbone's own rate counts, as in phase 3."""
    more = {'lr': args.lr or POOLED_RATE} if on_backbone(args) else {}
    return fingerprint('train1', args, more=more)

"""A background remover before a classifier: it sees only what a U-Net marks, on a plain ground.

Nothing is trained. The ground is that of GROUNDS on which the loss of validation images, as they are, is
least.
"""
import argparse
import math
import sys
import time

import mydatasets
import mymodels
from common import cli
from common.errors import guard, UserError
from common.quiet import tf
from mydatagen import in_order, to_float
from readers import reading
from training import checkpoints, finish, identity, options, start, weightfiles
from training.steps import task_loss

GROUNDS = 0., 0.5, 1.    # black, grey, white


def parse(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog='example: python cutout.py folder:PATH saved/PATH-baseline-0 saved/PATH-segment-textures-0')
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}')
    p.add_argument('classifier', help='weights of phase 1 or 3')
    p.add_argument('unet', help='weights of a U-Net that finds objects: of phase 3, or of phase 2')
    p.add_argument('--ground', type=cli.share, metavar='GREY',
                   help='behind the objects, 0 to 1; None: chosen by validation images')
    p.add_argument('--seed', type=cli.whole(0), help='of the row that it is; None: that of the classifier')
    reading.add_arguments(p)
    p.add_argument('--limit', type=cli.whole(1), metavar='N', help='as for the trainers')
    p.add_argument('--output', help='NAME of the weights to write; None: saved/DATASET-METHOD-SEED')
    p.add_argument('--resume', action='store_true', help='do nothing where it is done already')
    p.add_argument('--overwrite', action='store_true', help='replace what stands at --output')
    p.add_argument('--quiet', action='store_true', help='print only the last line')
    p.set_defaults(precision='float32')   # of what is measured; nothing is trained
    args = cli.parse(p, argv)
    args.changed = {} if args.ground is None else {'ground': args.ground}
    return args


def fingerprint(args, parents=(), rate=None):
    return options.fingerprint('cutout', args, parents)


def method(about):
    """The name of the row: that of the classifier, with `cutout`."""
    return f'{about.get("method", "classifier")}-cutout'


def loss_of(model, images):
    """Mean loss of the images as they are, float."""
    @tf.function(reduce_retracing=True)
    def total(x, y):
        return tf.reduce_sum(task_loss(model, y, model(to_float(x), training=False)))
    return math.fsum(float(total(batch['x'], batch['y'])) for batch in in_order(images))/len(images)


def demand_possible(about, path):
    """Errors: UserError for a classifier that no remover can stand before."""
    if {'architecture', 'remover'} & set(about.get('network', {})):
        what = 'was imported' if 'architecture' in about['network'] else 'has a background remover'
        raise UserError(f'{path} {what}; give weights of train1.py or train3.py')


def run(args):
    began, paths = time.monotonic(), {'classifier': args.classifier, 'unet': args.unet}
    about = {role: weightfiles.read_sidecar(path) for role, path in paths.items()}
    demand_possible(about['classifier'], args.classifier)
    args.seed = about['classifier'].get('seed', 0) if args.seed is None else args.seed
    args.output = args.output or (f'saved/{mydatasets.label(args.dataset)}-{method(about["classifier"])}-'
                                  f'{args.seed}')
    checkpoints.demand_output(args)
    mine, who = fingerprint(args, [a.get('settings') for a in about.values()]), identity.of(args, about)
    if args.resume and checkpoints.is_complete(args.output, mine, who):
        print(f'{args.output}.weights.h5 is complete; nothing to do')
        return
    data = mydatasets.load(args.dataset, reading.Reading.of(args), args.limit)
    f, _ = weightfiles.load(args.classifier, data.task.kind, data)
    f_m, _ = weightfiles.load(args.unet, weightfiles.MASKS, data)
    found = {}
    for ground in GROUNDS if args.ground is None else [args.ground]:
        found[ground] = loss_of(mymodels.cut_out(f, f_m, ground), data.validation)
        if not args.quiet:
            print(f'ground {ground:g}: validation loss {found[ground]:.3f}', flush=True)
    ground = min(found, key=found.get)
    network = {**about['classifier'].get('network', {}),
               'remover': {'ground': ground, **about['unet'].get('network', {})}}
    history = [{'ground': ground, 'val_loss': found[ground], 'seconds': round(time.monotonic() - began, 2)}]
    job = start.Job(args, data, tf.distribute.get_strategy(), mine, who, began)
    finish.write(job, finish.Outcome(
        mymodels.cut_out(f, f_m, ground), f.task.kind, method(about['classifier']), history, network, paths,
        ('evaluate.py', args.dataset, args.classifier, args.output)))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

"""A background remover before a classifier: it sees only what a U-Net marks, on a plain ground.

Nothing is trained. The ground is that of GROUNDS on which the loss of validation images, as they are, is
least.
"""
import argparse
import sys
import time

import mydatasets
import mymodels
from common import cli
from common.errors import guard, UserError
from common.quiet import tf
from mybackgrounds import compose
from mydatagen import in_order, to_float
from readers import reading
from training import finish, options, start, weightfiles
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
    options.add_output(p)
    p.set_defaults(precision='float32')   # of what is measured; nothing is trained
    args = cli.parse(p, argv)
    args.changed = {} if args.ground is None else {'ground': args.ground}
    return args


def fingerprint(args, parents=(), rate=None):
    return options.fingerprint('cutout', args, parents)


def method(about):
    """The name of the row: that of the classifier, with `cutout`."""
    return f'{about.get("method", "classifier")}-cutout'


def losses_on(grounds, f, f_m, images):
    """{ground: mean loss of f on what f_m marks of the images, as they are, before it}."""
    @tf.function(reduce_retracing=True)
    def total(x, y):
        x = to_float(x)
        m = f_m(x)
        return tf.stack([tf.reduce_sum(task_loss(f, y, f(compose(x, m, ground)))) for ground in grounds])
    sums = sum(total(batch['x'], batch['y']).numpy().astype(float) for batch in in_order(images))
    return dict(zip(grounds, (sums/len(images)).tolist()))


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
    args.output = options.output_of(args, method(about['classifier']))
    mine = fingerprint(args, [a.get('settings') for a in about.values()])
    who = start.claimed(args, mine, about)
    if who is None:
        return
    data = mydatasets.load(args.dataset, reading.Reading.of(args), args.limit)
    f, _ = weightfiles.load(args.classifier, data.task.kind, data)
    f_m, _ = weightfiles.load(args.unet, weightfiles.MASKS, data)
    found = losses_on(GROUNDS if args.ground is None else [args.ground], f, f_m, data.validation)
    if not args.quiet:
        print('validation loss', ', '.join(f'on {g:g}: {loss:.3f}' for g, loss in found.items()), flush=True)
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

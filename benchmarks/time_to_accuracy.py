"""Accuracy on validation images before held-out shapes, over wall time from nothing: a line a method.

Reads the histories that a reproduction leaves beside its weights, so it costs nothing; a method's clock
starts with phase 1 and goes on through phase 2, as its user's would.
"""
import argparse
import json
import os
import sys

from common.errors import guard, UserError
from common.files import whole_file

METRIC = 'val_shapes'


def curve(folder, dataset, method, seed):
    """[(seconds, share)] of one method, the phases before it counted in."""
    def history(name):
        try:
            with open(os.path.join(folder, f'{dataset}-{name}-{seed}.history.json')) as f:
                return json.load(f)
        except FileNotFoundError as e:
            raise UserError(f'no {e.filename}; run reproduce.py {dataset} --methods {method} first') from e
    before = 0.
    if method != 'baseline':
        before += history('baseline')[-1]['seconds']
    if method not in ('baseline', 'attention'):
        before += history('unet')[-1]['seconds']
    return [(before + line['seconds'], line[METRIC]) for line in history(method) if METRIC in line]


def run(args):
    from matplotlib.figure import Figure
    figure = Figure((7, 4), layout='constrained')
    axes = figure.subplots()
    for method in args.methods:
        points = curve(args.saved, args.dataset, method, args.seed)
        axes.plot(*zip(*((s, 100*a) for s, a in points)), marker='o', markersize=3, label=method)
        for wanted in args.levels:
            reached = next((s for s, a in points if 100*a >= wanted), None)
            print(f'{method}: {wanted:g} % '
                  + ('not reached' if reached is None else f'after {reached:.0f} s'))
    axes.set(xlabel='wall time from nothing (s)', ylabel='accuracy before held-out shapes (%)',
             title=args.dataset)
    axes.legend()
    with whole_file(args.figure) as temporary:
        figure.savefig(temporary, format='png', dpi=150)
    print(f'figure: {args.figure}')


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('dataset')
    p.add_argument('--saved', default='results/saved', help='folder of the weights of a reproduction')
    p.add_argument('--methods', nargs='+', default=['baseline', 'attention', 'proposal', 'textures'])
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--levels', type=float, nargs='+', default=[85.5, 95, 97], help='%% whose time is printed')
    p.add_argument('--figure', default='benchmarks/time_to_accuracy.png')
    return guard(run, p.parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())

"""Phase 2: trains the mask generator f_m without mask annotation, from the loss of the frozen classifier.

The formula, the step and the options are in training/phase2.py, because audit.py finds masks by them too.
"""
import functools
import sys

import mymodels
from common.errors import guard
from report import snapshots
from training import finish, phase2, restarts, start, weightfiles

parse, fingerprint = phase2.parse, phase2.fingerprint


def run(args):
    about = weightfiles.read_sidecar(args.classifier)
    job = start.begin(args, fingerprint(args, [about.get('settings')]), {'classifier': about})
    if job is None:
        return
    with job.strategy.scope():
        classifier, _ = weightfiles.load(args.classifier, 'classifier', job.data)
        classifier.trainable = False
        draw = functools.partial(snapshots.of_masks, job) if args.debug else None
        unet, history, found = restarts.twice(
            job, lambda attempt: phase2.train(job, classifier, attempt, draw))
        back = ('otsu', 'adv') if job.data.monochrome else ('snap', 'textures', '--settle', '0.3')
        if job.data.shape[0] >= mymodels.BIG:
            back = 'cut', 'textures'
        finish.write(job, finish.Outcome(
            unet, 'unet', 'unet', history, phase2.network_of(args, job.data.shape),
            {'classifier': args.classifier},
            ('train3.py', args.dataset, args.classifier, args.output, *back), {'area': found}))


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

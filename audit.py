"""How much of a classifier's accuracy is the background? Of this project's networks and of anybody's Keras.

Prints tables and writes them, with pictures and a verdict, as one page.
"""
from common import opening

if __name__ == '__main__':
    opening.loading()   # before what follows, which loads TensorFlow

import argparse
import json
import os
import shlex
import sys
from typing import NamedTuple

import mydatasets
import mymodels
import train2
from common import cli
from common.errors import BrokenRun, guard, UserError
from common.files import printable
from readers import foreign, kerasfiles, reading
from readers.reading import Reading
from readers.splits import limited
from report import audits as pages
from report import formats
from scoring import audits, challenge, convention, evaluation, overlap, rows
from training import finish, imports, restarts, start, weightfiles

MAX_LIST = 1_000_000   # bytes of --classes
KINDS = evaluation.KINDS_OF['classifier']


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, epilog='example: python audit.py model.keras folder:PATH --masks learn',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('model', help='weights of this project, a .keras or .h5 file of Keras, or a SavedModel')
    p.add_argument('dataset', help='folder:PATH with train/<class>/, test*/<class>/ and, if there are any, '
                   'masks/')
    p.add_argument('--masks', default='given', metavar='given|learn|WEIGHTS',
                   help='those of the folder; learn: by phase 2, from the loss of this very network; or '
                   'those of WEIGHTS of phase 2, for another network that is to stand beside this one')
    p.add_argument('--epochs', type=cli.whole(1), default=10, help='of --masks learn')
    p.add_argument('--worst', type=cli.whole(1), metavar='N',
                   help='also the worst background of N photographs that ascent on its pixels finds: '
                   'minutes')
    p.add_argument('--limit', type=cli.whole(1), metavar='N', help='look at N photographs of each test only')
    p.add_argument('--input', choices=foreign.INPUTS, help='what the network wants of pixels; None: the one '
                   'that it is right most often with on training photographs')
    p.add_argument('--classes', metavar='FILE', help='its classes in the order of its outputs, one in a '
                   'line; None: by alphabet')
    p.add_argument('--import', dest='name', metavar='NAME', help='also write a .keras or .h5 as weights of '
                   'this project, for train2.py, train3.py and export.py')
    p.add_argument('--out', default='audits', metavar='DIR', help='for the page, the learnt masks, and what '
                   'was measured: networks with one DIR stand in one table')
    reading.add_arguments(p)
    p.add_argument('--quiet', action='store_true', help='print the page and errors alone')
    return p


def parse(argv=None):
    return cli.parse(arguments(), argv)


class Subject(NamedTuple):
    """The network that is audited."""
    path: str
    foreign: object       # foreign.Foreign, or None for weights of this project
    about: dict           # what stands in their sidecar, or the like of it
    reading: Reading

    @property
    def name(self):
        """In tables."""
        return mydatasets.label(os.path.basename(os.path.normpath(weightfiles.stem(self.path))))


def subject(args):
    """The Subject of the arguments, read before the photographs. Errors: UserError."""
    own = Reading.of(args)
    if os.path.splitext(args.model)[1] not in kerasfiles.FORMATS or args.model.endswith('.weights.h5'):
        stem = weightfiles.stem(args.model)
        if os.path.isfile(stem + '.weights.h5') or not os.path.isdir(args.model):
            about = weightfiles.read_sidecar(stem)
            if about['kind'] not in KINDS or about['shape'][-1] != 3:
                raise UserError(f'{printable(stem)} holds a {about["kind"]} of images of '
                                f'{about["shape"][-1]} channels, needed is a classifier of photographs in '
                                'colour; give another')
            if args.input or args.classes:
                raise UserError('--input and --classes are for other networks, these weights say it '
                                'themselves; leave them out')
            own = own._replace(size=own.size or about['shape'][0], fit=weightfiles.fit_of(about))
            return Subject(stem, None, about, own)
    net = foreign.read(args.model)
    if net.side and own.size not in (None, net.side):
        raise UserError(f'{printable(args.model)} takes images of {net.side} pixels; leave out --size')
    about = {'sha256': imports.digest(net.path), 'kind': 'classifier'}
    return Subject(args.model, net, about, own._replace(size=net.side or own.size))


def listed(path):
    """The classes of a file, one in a line or as a JSON list; None without one. Errors: UserError."""
    if path is None:
        return None
    try:
        with open(path, encoding='utf-8') as f:
            text = f.read(MAX_LIST)
        found = json.loads(text) if text.lstrip().startswith('[') else text.splitlines()
    except (OSError, ValueError, RecursionError) as e:
        raise UserError(f'--classes {printable(path)} cannot be read ({e.__class__.__name__}); give a text '
                        'file with a class in each line') from e
    return [str(c).strip() for c in found if str(c).strip()]


def photographs(args, read):
    """The data set, of each test the photographs that are looked at. Errors: UserError."""
    data = mydatasets.load(args.dataset, read)
    if data.monochrome:
        raise UserError(f'{args.dataset} is monochrome; an audit wants photographs in colour, folder:PATH')
    evaluation.tests_of(data)

    def some(test):
        images = test.images()
        kept = images.take(limited(images.y, min(args.limit, len(images)))) if args.limit else images
        return mydatasets.Test(lambda: kept)
    return data._replace(tests={name: some(test) for name, test in data.tests.items()})


def known(args, subject, data):
    """The Convention of the network. Errors: UserError for one that does not know these photographs."""
    if subject.foreign is not None:
        return convention.convention(subject.foreign, data, listed(args.classes), args.input)
    model, _ = weightfiles.load(subject.path, KINDS, data)
    return convention.of_ours(model, data, subject.path)


# Masks

def mask_job(args, subject):
    """(name of the masks, the run of phase 2 that finds them; None where they are there already)."""
    output = os.path.join(args.out, os.path.splitext(subject.name)[0] + '-masks')
    words = [args.dataset, subject.path, '--epochs', str(args.epochs), '--output', output, '--resume',
             '--precision', 'float32', *subject.reading.words(), *(['--quiet'] if args.quiet else [])]
    own = train2.parse(words)
    settings = train2.fingerprint(own, [subject.about.get('settings', imports.METHOD)])
    try:
        return output, start.begin(own, settings, {'classifier': subject.about})
    except UserError as e:   # of another network, perhaps
        raise UserError(f'{e} (or give audit.py another --out)') from e


def learn(subject, job, model):
    """Phase 2 on this network. Errors: BrokenRun."""
    model.trainable = False
    job = job.settled(batchsize=min(32 if job.data.shape[0] >= mymodels.BIG else 64, len(job.data.train)))
    try:
        unet, history, area = restarts.twice(job, lambda attempt: train2.train(job, model, attempt))
    except BrokenRun as e:
        raise BrokenRun(f'no masks are found from {printable(subject.path)} ({str(e).partition(";")[0]}): '
                        'one that follows the background needs no object; put masks into the folder, or give '
                        "the WEIGHTS of another network's phase 2 with --masks") from e
    network = train2.network_of(job.args, job.data.shape)
    finish.write(job, finish.Outcome(unet, 'unet', 'unet', history, network, {'classifier': subject.path},
                                     more={'area': area}))


def found_by(unet, data):
    """(the Images of the first test with masks of a U-Net's weights, what these are called)."""
    net, about = weightfiles.load(unet, 'unet', data)
    mask = overlap.masks(net, 'cut' if data.shape[0] >= mymodels.BIG else 'snap')
    first = next(iter(data.tests.values())).images()
    return audits.masked(first, mask), 'learnt ' + about.get('sha256', 'by hand')[:8]


# The audit

def run(args):
    one = subject(args)
    if args.name:
        imports.demand_possible(args.name, one.foreign)
    unet, job = mask_job(args, one) if args.masks == 'learn' else (args.masks, None)
    data = photographs(args, one.reading)
    if args.masks == 'given':
        test = demand_masks(data)
    else:
        test = next(iter(data.tests.values()))
        if job is None:
            weightfiles.read_sidecar(unet)
    challenge.demand_lenders(test.images().y)   # what is missing is told before the work
    with evaluation.precision():
        found = known(args, one, data)
        if not args.quiet:
            print(found.line(), flush=True)
        if args.name:
            print('weights: ' + imports.write(args.name, one.foreign, found, data, args), flush=True)
        if job is not None:
            learn(one, job, found.model)
        images, masks = (None, 'given') if args.masks == 'given' else found_by(unet, data)
        data = audits.with_masks(data, images)
        say = (lambda text: None) if args.quiet else (lambda text: print(f'measuring: {text}', flush=True))
        findings = audits.examine(found.model, data, args.worst, say)
    entry = pages.entry(one.name, findings, {
        'settings': imports.settings(one.about.get('sha256', ''), found.how), 'masks': masks,
        'dataset': rows.row_dataset(args.dataset), 'input': found.how.input})
    said = [*pages.verdict(one.name, findings), next_step(args, one, unet)]
    tables = pages.tables(pages.keep(args.out, entry), findings)
    if not args.quiet:
        for table in tables:
            formats.show(table)
        print('\n'.join(said))
    print('report: ' + pages.write(args.out, one.name, data.classes, (findings, tables, said, found.line())))


def demand_masks(data):
    """The first test with masks. Errors: UserError for a folder without any."""
    try:
        return mydatasets.with_truth(data)[1]
    except UserError as e:
        raise UserError(f'{e} (or find them with --masks learn)') from e


def next_step(args, subject, unet):
    """What to type to mend it, and what shows it afterwards beside this audit."""
    words, network = subject.reading.words(), args.name or subject.path
    if subject.foreign is not None and args.name is None:
        if subject.foreign.format == 'savedmodel':
            return 'next: ask for it as a .keras file, which audit.py --import NAME makes trainable'
        return 'next: ' + shlex.join(['python', 'audit.py', subject.path, args.dataset, *words, '--masks',
                                      args.masks, '--import', f'saved/{os.path.splitext(subject.name)[0]}'])
    if args.masks == 'given':
        return 'next: ' + shlex.join(['python', 'train2.py', args.dataset, network, *words])
    binarize = 'cut' if subject.reading.size and subject.reading.size >= mymodels.BIG else 'snap'
    return 'next: ' + shlex.join(['python', 'train3.py', args.dataset, network, unet, binarize, 'textures',
                                  *words])


def main(argv=None):
    return guard(run, parse(argv))


if __name__ == '__main__':
    sys.exit(main())

"""Whose run it is: its data, seed, precision, and the weights that it started from, by their digests.

The fingerprint says how something was trained and is the same for all data sets and seeds; this says on what.
It stands in sidecars and checkpoints and is compared wherever something is taken up again. No path is in it.
"""
import mydatasets
from common.errors import UserError
from readers import folders

WORDS = {'dataset': 'the data set', 'listing': 'the photographs',
         'backgrounds': 'the photographs of --backgrounds', 'seed': '--seed', 'precision': '--precision',
         'parents': 'the weights that it starts from'}


def of(args, parents):
    """{what: value} of a run. parents: {role: sidecar}. Its precision is known when it was asked for."""
    found = {'dataset': mydatasets.label(args.dataset), 'seed': args.seed,
             'parents': {role: about.get('sha256') for role, about in parents.items()}}
    folder = mydatasets.folder_of(args.dataset, args.data_dir)
    if folder is not None:   # a moved or renamed folder is still itself
        found |= {'dataset': 'folder', 'listing': folders.listing_digest(folder, ('train',))}
    if getattr(args, 'backgrounds', None):
        found['backgrounds'] = folders.digest_of(folders.pictures_in(args.backgrounds), args.backgrounds)
    if args.precision != 'auto':
        found['precision'] = args.precision
    return found


def kept_in(about):
    """What a sidecar or checkpoint says; sidecars from before it stood there tell what their fields tell."""
    kept = about.get('identity')
    if isinstance(kept, dict):
        return kept
    own = about.get('arguments') if isinstance(about.get('arguments'), dict) else {}
    found = {'seed': about.get('seed'), 'precision': own.get('precision')}
    if isinstance(about.get('dataset'), str) and not about['dataset'].startswith('folder:'):
        found['dataset'] = mydatasets.label(about['dataset'])
    return {k: v for k, v in found.items() if v is not None}


def differences(kept, mine):
    """Words for what both tell and tell differently."""
    return [word for k, word in WORDS.items() if k in kept and k in mine and kept[k] != mine[k]]


def demand_same(about, mine, name):
    """Errors: UserError, one line, when `name` belongs to another run than this one."""
    kept = kept_in(about)
    other = differences(kept, mine)
    if other:
        shown = [f' ({kept[k]}, not {mine[k]})' if k in ('dataset', 'seed', 'precision') else ''
                 for k in WORDS if WORDS[k] in other]
        what = ', '.join(word + more for word, more in zip(other, shown))
        raise UserError(f'{name} is of another run: {what} differ; repeat what it was made with, replace it '
                        'with --overwrite, or choose another --output')

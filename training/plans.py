"""What is trained for the tables of one data set and seed: by which commands, where it lies, whose it is."""
import argparse
import os
from typing import NamedTuple

import mydatasets
from common import cli
from common.errors import UserError
from common.tasks import ANY_CLASSES, MASK
from readers import folders, reading
from readers.reading import Reading
from training import identity, options, runlog, weightfiles
from training.recipes import BACKBONES, MAIN, MONOCHROME, PHOTOGRAPHS, RECIPES, UNET

MASKS = {'unet-otsu': 'otsu', 'unet-snap': 'snap'}   # rows of masks, and how they are binarised


def add_arguments(p):
    """The options that every phase of a Plan follows."""
    p.add_argument('--out', default='runs', metavar='DIR',
                   help='rows, tables and figures; rows there count as done')
    p.add_argument('--saved', metavar='DIR', help='weights of the phases; None: OUT/saved')
    p.add_argument('--name', type=label,
                   help='label of the data set in rows, files and tables; None: its own, which is the last '
                   "part of a folder's path")
    p.add_argument('--limit', type=cli.whole(1), help='as for the trainers')
    p.add_argument('--batchsize', type=cli.whole(1), help="as for the trainers; None: the recipe's")
    p.add_argument('--backbone', help='as for train1.py; the rows are then those of ImageNet networks')
    p.add_argument('--backbone-weights', metavar='imagenet|none|FILE', help='as for train1.py')
    p.add_argument('--precision', choices=('auto', 'float32', 'bfloat16', 'float16'),
                   help='as for the trainers')
    reading.add_arguments(p)
    p.add_argument('--deterministic', action='store_true', help='as for the trainers')
    p.add_argument('--quiet', action='store_true', help='no progress of the phases')


def label(text):
    """argparse type: what can stand in rows and file names."""
    if text != mydatasets.label(text) or not 1 <= len(text) <= 100:
        raise argparse.ArgumentTypeError(f'{text!r} is no name; use letters, digits and hyphens')
    return text


def shard(text):
    """argparse type: I/N, counted from 1 -> (I - 1, N)."""
    i, _, n = text.partition('/')
    if not (i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise argparse.ArgumentTypeError(f'{text!r} is no I/N with I from 1 to N')
    return int(i) - 1, int(n)


class Plan(NamedTuple):
    """The phases of one data set and seed. args: of reproduce.py."""
    args: argparse.Namespace
    dataset: str
    seed: int
    monochrome: bool
    rate: float | None = None   # of its classifier where that stands on a backbone
    images: int = 0       # for training; 0: not known
    task: object = ANY_CLASSES

    def __str__(self):
        return f'{self.label}, seed {self.seed}'

    @property
    def label(self):
        """The data set's name in rows, tables and file names."""
        return self.args.name or mydatasets.label(self.dataset)

    @property
    def binarize(self):
        """What phase 3 makes of the masks."""
        return self.phases['best'].argv[2]

    @property
    def masks(self):
        """{name of a row of masks: how they are binarised}."""
        return MASKS | ({'unet-cut': 'cut'} if self.args.backbone else {})

    def load(self, suffix=None):
        """The data set as the phases see it. suffix: of its tests; None: the six patterns, where they can be
        pasted."""
        suffix = suffix or ('_backgrounds' if self.monochrome else '')
        return mydatasets.load(self.dataset + suffix, Reading.of(self.args), self.args.limit)

    @property
    def phases(self):
        """{name: Phase} of all rows that this data set can have, and of those before them."""
        found = BACKBONES if self.args.backbone else MONOCHROME if self.monochrome else PHOTOGRAPHS
        return {k: v for k, v in found.items() if k != 'attention' or self.task.kind == 'classifier'}

    @property
    def methods(self):
        """The rows that are asked for, or else the paper's, as far as the task has them."""
        return self.args.methods or [m for m in MAIN if m in self.phases]

    def task_of(self, name):
        """What the network of a phase is asked for: masks where it is, or began as, that of phase 2."""
        return MASK if name == 'unet' or self.phases[name].argv[:1] == (UNET,) else self.task

    def demand_possible(self, data):
        """Errors: UserError for rows and tests that this data set cannot have."""
        methods, tests = self.methods, self.args.tests
        for test in ('noises', 'attack'):
            if test in tests and not data.monochrome:
                raise UserError(f'--tests {test} is for monochrome sets, {self.dataset} is in colour; leave '
                                'it out')
        if 'distractors' in tests and all(self.task_of(m) != MASK for m in methods if m in self.phases):
            raise UserError('--tests distractors is for masks; add the row segment to --methods, or leave it '
                            'out')
        if {'real', 'segment-real'} & set(methods) and not data.monochrome and data.backgrounds is None:
            raise UserError(f'{self.dataset} has no photographs for the row `real`; put some into its folder '
                            'backgrounds/, or leave the row out')
        if 'attention' in methods and 'attention' not in self.phases:
            raise UserError(f'attention is a baseline of classifiers, {self.dataset} asks for {data.task}; '
                            'leave it out')
        unknown = [m for m in methods if m not in self.phases]
        if unknown:
            kind = 'photographs' if not data.monochrome else 'monochrome sets'
            on = f' on {self.args.backbone}' if self.args.backbone else ''
            raise UserError(f'{unknown[0]} is no row of {kind} such as {self.dataset}{on}; leave it out')

    def path(self, name):
        """Where the weights of a phase lie."""
        folder = self.args.saved or os.path.join(self.args.out, 'saved')
        return os.path.join(folder, f'{self.label}-{name}-{self.seed}')

    def parents(self, name):
        """The phases whose weights a phase starts from."""
        return [a.strip('{}') for a in self.phases[name].argv if a.startswith('{')]

    @property
    def digest(self):
        """What tells the data behind the label: the listing of a folder, the name of any other set."""
        folder = mydatasets.folder_of(self.dataset, self.args.data_dir)
        return self.dataset if folder is None else folders.listing_digest(folder)

    def about(self, name):
        """What stands beside the weights of a phase, or None."""
        try:
            return weightfiles.read_sidecar(self.path(name))
        except UserError:
            return None

    def holds(self, name, fingerprint, args):
        """Do the weights of a phase stand there, with these settings, of these data, seed and parents?

        args: of its trainer.
        """
        about = self.about(name)
        if about is None or about.get('settings') != fingerprint:
            return False
        kept = identity.kept_in(about)
        parents = [p['sha256'] for p in map(self.about, self.parents(name)) if p]
        if 'parents' in kept and not set(parents) <= set(kept['parents'].values()):
            return False
        mine = {k: v for k, v in identity.of(args, {}).items() if k != 'parents'}
        return not identity.differences(kept, mine)

    def demand_ours(self, name):
        """Errors: UserError when weights stand in a phase's place that the log of OUT does not list."""
        about, out = self.about(name), self.args.out
        if about and not runlog.lists(out, runlog.phase_entry(self, name, about)):
            raise UserError(f'{self.path(name)} holds other weights, which were not made with --out {out}, '
                            'so they stay; give another --saved, or move them away')

    def on_backbone(self, script):
        """The options of a phase on --backbone. Its defaults there stand among them: before its classifier
        exists, nothing else tells that it will be a backbone."""
        found = options.BACKBONE.get(script, {})
        words = [w for k, v in found.items() for w in (f'--{k.replace("_", "-")}', str(v))]
        if script == 'train1':
            words += ['--backbone', self.args.backbone]
            if self.args.backbone_weights:
                words += ['--backbone-weights', self.args.backbone_weights]
        return words

    def argv(self, name):
        """The command line of a phase."""
        phase = self.phases[name]
        script, words = phase
        recipe = RECIPES.get(self.dataset.partition(':')[0], {})
        if self.args.backbone:   # before the row's own options, which win
            recipe = {}
            first = next((i for i, w in enumerate(words) if w.startswith('--')), len(words))
            words = [*words[:first], *self.on_backbone(script), *words[first:]]
        argv = [self.path(w.strip('{}')) if w.startswith('{') else w for w in words]
        argv = [self.dataset, *argv, *recipe.get(name, recipe.get(script, ())), '--seed', str(self.seed),
                '--output', self.path(name), *Reading.of(self.args).words()]
        for option in ('limit', *('batchsize', 'precision')*phase.trains):
            if getattr(self.args, option) is not None:
                argv += ['--' + option, str(getattr(self.args, option))]
        argv += [f'--{o}' for o in (*('deterministic',)*phase.trains, 'quiet') if getattr(self.args, o)]
        if name == 'proposal' and self.seed == 0:
            argv.append('--imsave')   # for a figure over the epochs
        return argv

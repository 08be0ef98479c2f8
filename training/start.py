"""Before the first step: what a run is, where it stands, its machine, data, optimizer and augmentation."""
import argparse
import dataclasses
import time

import mydatasets
from common.errors import UserError
from common.hardware import processor
from common.quiet import keras, tf
from mydatagen import Augmenter, to_float
from readers.reading import Reading
from training import checkpoints, identity, options
from training.devices import chief, strategy_of
from training.precision import precision_of


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of a phase. Its arguments are a copy of the user's, every `auto` settled."""
    args: argparse.Namespace
    data: mydatasets.Dataset
    strategy: tf.distribute.Strategy
    fingerprint: str     # of the settings of its whole chain of phases
    identity: dict       # whose run it is: data, seed, precision, parents
    began: float         # time.monotonic() when it was started

    @property
    def steps(self):
        """Of the whole training."""
        return self.args.epochs*self.args.steps_per_epoch

    def settled(self, **values):
        """The same run with these arguments settled."""
        return dataclasses.replace(self, args=argparse.Namespace(**{**vars(self.args), **values}))

    def on(self, data):
        """The same run on this data set."""
        return dataclasses.replace(self, data=data)


def claimed(args, fingerprint, parents):
    """Whose run it is, --output being free for it; None when --resume finds it complete. As in `begin`."""
    checkpoints.demand_output(args)
    checkpoints.sweep(args.output)
    if args.overwrite:
        checkpoints.forget(args.output)
    who = identity.of(args, parents)
    if args.resume and checkpoints.is_complete(args.output, fingerprint, who):
        print(f'{args.output}.weights.h5 is complete; nothing to do')
        return None
    return who


def begin(args, fingerprint, parents=None):
    """The Job, its machine set up and its data read; None when --resume finds it complete.

    parents: {role: sidecar} of the weights that it starts from. Errors: UserError for what stands at
    --output and may not be replaced, or is another run's.
    """
    began, who = time.monotonic(), claimed(args, fingerprint, parents or {})
    if who is None:
        return None
    if args.deterministic and args.precision not in ('auto', 'float32'):
        raise UserError(f'--deterministic means float32; leave out --precision {args.precision}')
    strategy = machine(args)
    data = mydatasets.load(args.dataset, Reading.of(args), args.limit,
                           backgrounds=getattr(args, 'backgrounds', None))
    if args.flip == 'yes' and not data.task.mirrors:
        raise UserError(f'{args.dataset} asks for numbers, which may be others in a mirror; give --flip no')
    precision = settled_precision(args, classifier_of(args, parents or {}, data.shape))
    keras.config.set_dtype_policy(('' if precision == 'float32' else 'mixed_') + precision)
    job = Job(args, data, strategy, fingerprint, {**who, 'precision': precision}, began)
    return job.settled(
        precision=precision, quiet=args.quiet or not chief(strategy),
        flip={'auto': 'yes' if data.flip else 'no'}.get(args.flip, args.flip),
        fill_outside={'auto': 'constant' if data.monochrome else 'nearest'}.get(args.fill_outside,
                                                                               args.fill_outside),
        steps_per_epoch=args.steps_per_epoch or max(1, len(data.train)//args.batchsize))


# Machine

def classifier_of(args, parents, shape):
    """Keyword arguments of the classifier that a phase is about: of its parent, or its own."""
    about = parents.get('classifier') or parents.get('global')
    return about.get('network', {}) if about else options.network_of(args, shape)


def settled_precision(args, network):
    """Of the networks: what was asked for, else what a resumed run began with, else what the table says of
    the classifier, the same in all phases."""
    if args.precision != 'auto':
        return args.precision
    kept = checkpoints.kept_precision(args.output) if args.resume else None
    if kept:
        return kept
    return 'float32' if args.deterministic else precision_of(network, processor())


def machine(args):
    """Sets determinism and the seed of initial weights; returns the distribution strategy."""
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    if args.strategy == 'multiworker' and not args.quiet:
        print('waiting for the other workers of TF_CONFIG', flush=True)
    strategy = strategy_of(args.strategy)
    keras.utils.clear_session(free_memory=False)   # before the policy is set, which it forgets
    keras.utils.set_random_seed(args.seed)   # initial weights; everything else random goes through a Key
    return strategy


# Optimizer and augmentation

def adam(job, variables, rate):
    """Adam on the variables, its rate falling to 0 along a half cosine unless --schedule constant, after it
    has risen from 0 for --warmup of the steps."""
    if job.args.schedule == 'cosine':
        rising = round(job.args.warmup*job.steps)
        first = {'initial_learning_rate': 0., 'warmup_target': rate, 'warmup_steps': rising} if rising else {
            'initial_learning_rate': rate}
        rate = keras.optimizers.schedules.CosineDecay(decay_steps=job.steps - rising, **first)
    optimizer = keras.optimizers.Adam(rate)
    if job.args.precision == 'float16':
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def augmentation(job):
    """The `Augmenter` of the run: the end of training shows the images as they are."""
    until = round((1 - job.args.settle)*job.steps)
    return Augmenter(job.args.flip == 'yes', job.args.fill_outside, until, job.args.zoom,
                     job.args.photometric, job.data.task, job.args.erase)


def augmented(augment):
    """prepare(batch, key) of the phases that need the augmented image alone."""
    def prepare(batch, key):
        return {'x': augment(to_float(batch['x']), None, key)[0], 'y': augment.target(batch['y'], key)}
    return prepare

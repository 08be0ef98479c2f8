"""What all trainers share: arguments, seeding, the loop, checkpoints and resume, history, distribution."""
from mycommon import BrokenRun, Key, UserError, whole_file  # first: it quietens TensorFlow

import argparse
import hashlib
import json
import math
import os
import re
import shutil
import sys
import time
import zipfile

import keras
import numpy as np
import tensorflow as tf

import mybackgrounds
import mydatasets
import mymodels
import myweights
from mydatagen import batches, in_order, to_float

METHOD_VERSION = 1   # raised by hand when the meaning of the settings changes: old rows no longer count as done
CHUNK_SECONDS = 0.5  # of steps between two looks at the losses
VALIDATIONS = 10     # times in a run
CHECKPOINTS = 2      # the newest ones that are kept
# arguments that do not change what is computed, or stand beside the settings in every row
NOT_SETTINGS = ('output data_dir resume overwrite strategy precision deterministic paper quiet minutes debug imsave '
                'seed dataset classifier unet global_classifier backgrounds skip_damaged func').split()


# Arguments

def parser(description, example, **defaults):
    """The arguments that all trainers take. defaults: epochs, steps_per_epoch, lr."""
    p = argparse.ArgumentParser(description=description, epilog=f'example: {example}',
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('dataset', help=f'one of {", ".join(mydatasets.names())}')
    g = p.add_argument_group('training')
    g.add_argument('--epochs', type=whole(1), help='number of epochs')
    g.add_argument('--steps-per-epoch', type=whole(0), help='steps of an epoch; 0: one pass over the training images')
    g.add_argument('--batchsize', type=whole(1), default=128, help='images per step')
    g.add_argument('--lr', type=positive, help="Adam's rate, falling to 0 along a half cosine (--paper: constant)")
    g.add_argument('--seed', type=whole(0), default=0, help='of initial weights, order, augmentation, backgrounds')
    g.add_argument('--paper', action='store_true', help="the original code's settings for all options at once; "
                   'options given beside it win')
    g.add_argument('--fill-outside', choices=('auto', 'constant', 'nearest'), default='auto',
                   help='what augmentation brings in from outside; auto: 0 for monochrome sets, else nearest')
    g.add_argument('--flip', choices=('auto', 'yes', 'no'), default='auto',
                   help='mirror half of the images; auto: not where a mirrored object is another one (digits, signs)')
    g.add_argument('--schedule', choices=('cosine', 'constant'), default='cosine', help='of the rate')
    g = p.add_argument_group('data')
    g.add_argument('--data-dir', help='of tensorflow-datasets (or set TFDS_DATA_DIR)')
    g.add_argument('--size', type=whole(8), help='side in pixels; None: that of the set (folders 64)')
    g.add_argument('--limit', type=whole(1), help='use only N training images', metavar='N')
    g.add_argument('--skip-damaged', action='store_true', help='leave out damaged photographs of a folder')
    g = p.add_argument_group('run')
    g.add_argument('--output', help='NAME of the weights to write; None: saved/DATASET-METHOD-SEED')
    g.add_argument('--resume', action='store_true', help='continue from the newest checkpoint of --output')
    g.add_argument('--overwrite', action='store_true', help='replace what stands at --output')
    g.add_argument('--minutes', type=positive, default=5., help='between checkpoints inside an epoch')
    g.add_argument('--strategy', choices=('none', 'mirrored', 'multiworker'), default='none',
                   help='one device, all GPUs of this machine, or the machines of TF_CONFIG')
    g.add_argument('--precision', choices=('auto', 'float32', 'bfloat16', 'float16'), default='auto',
                   help='of the networks; auto: bfloat16 where the processor has it, else float32')
    g.add_argument('--deterministic', action='store_true', help='bit for bit the same every time (float32)')
    g.add_argument('--quiet', action='store_true', help='print only the last line')
    p.set_defaults(**defaults)
    return p


def add_network_arguments(p):
    g = p.add_argument_group('network')
    g.add_argument('--backbone', help='a network of keras.applications by name; the default is the small classifier '
                   'below 128 pixels and VGG19 from there on')
    g.add_argument('--backbone-weights', default='imagenet', metavar='imagenet|none|FILE', help='to start from')
    g.add_argument('--width', type=whole(1), default=32, help='filters of the first block')
    g.add_argument('--dense', type=whole(1), help='units of the dense layers; None: 128, or 4096 for backbones')


def network_options(args, shape):
    """Keyword arguments of mymodels.classifier; the rate follows the network where none was given."""
    backbone = args.backbone or ('VGG19' if shape[0] >= mymodels.BIG else None)
    args.lr = args.lr or (mymodels.BACKBONE_RATE if backbone else mymodels.SMALL_RATE)
    if backbone:
        return {'backbone': backbone, 'dense': [args.dense]*2 if args.dense else None}
    return {'width': args.width, 'dense': args.dense}


def whole(low):
    """argparse type: a whole number of at least `low`."""
    def integer(text):
        if not re.fullmatch(r'[+-]?\d{1,9}', text.strip()) or int(text) < low:
            raise argparse.ArgumentTypeError(f'{text!r} is no whole number of at least {low}')
        return int(text)
    return integer


def number(low, high, above=False):
    """argparse type: a number in [low, high], or in (low, high] with `above`."""
    def real(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low < value if above else low <= value) or not value <= high:
            raise argparse.ArgumentTypeError(f'{text!r} is no number {"above" if above else "from"} {low} '
                                             + (f'up to {high}' if high < math.inf else ''))
        return value
    return real


positive = number(0, 1e6, above=True)
share = number(0, 1)

PAPER = {'epochs': 100, 'steps_per_epoch': 0, 'batchsize': 8, 'schedule': 'constant', 'flip': 'yes',
         'fill_outside': 'nearest', 'precision': 'float32'}


def parse(p, argv, paper=None):
    """Parsed arguments; mistakes leave with exit code 2 and one line. paper: what --paper means for this script."""
    def error(message):
        print(f'error: {message}; see --help', file=sys.stderr)
        raise SystemExit(2)
    p.error = error
    args = p.parse_args(argv)
    if getattr(args, 'paper', False):
        p.set_defaults(**PAPER, **(paper or {}))
        args = p.parse_args(argv)
    return args


def fingerprint(script, args, parents=()):
    """Short name of the settings of a whole chain of phases: rows of different settings never share a cell."""
    settings = {k: v for k, v in sorted(vars(args).items()) if k not in NOT_SETTINGS}
    text = json.dumps([METHOD_VERSION, script, settings, list(parents)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def label(dataset):
    """A data set's name as part of a file name."""
    return re.sub(r'[^\w.-]+', '-', dataset.removeprefix('folder:').rstrip('/').split('/')[-1]
                  if dataset.startswith('folder:') else dataset)


# Machine

def has_bfloat16():
    """Does the processor multiply bfloat16 natively (AVX-512 BF16 or AMX)? Measured to pay in benchmarks/."""
    try:
        with open('/proc/cpuinfo') as f:
            flags = next((line for line in f if line.startswith('flags')), '').split()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags


def start(args):
    """Sets precision and determinism for this run; returns the distribution strategy. Idempotent."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(args.seed)   # initial weights; everything else random goes through a Key
    if args.deterministic and args.precision not in ('auto', 'float32'):
        raise UserError(f'--deterministic means float32; leave out --precision {args.precision}')
    if args.precision == 'auto':
        gpu = bool(tf.config.list_physical_devices('GPU'))
        fast = has_bfloat16() and not gpu and not args.deterministic
        args.precision = 'bfloat16' if fast else 'float32'
    keras.config.set_dtype_policy(args.precision if args.precision == 'float32' else f'mixed_{args.precision}')
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    if args.strategy == 'mirrored':
        return tf.distribute.MirroredStrategy(tf.config.list_logical_devices('GPU')
                                              or tf.config.list_logical_devices('CPU'))
    if args.strategy == 'multiworker':
        if 'TF_CONFIG' not in os.environ:
            raise UserError('--strategy multiworker needs TF_CONFIG; start it with `python launch.py --workers 2 ...`')
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def load_data(args):
    """The data set of the arguments; `auto` of flip and fill settled."""
    folder = {k: getattr(args, k) for k in ('skip_damaged', 'backgrounds') if getattr(args, k, None)} \
        if args.dataset.startswith('folder:') else {}
    data = mydatasets.load(args.dataset, args.data_dir, args.size, args.limit, **folder)
    args.flip = {'auto': 'yes' if data.flip else 'no'}.get(args.flip, args.flip)
    args.fill_outside = {'auto': 'constant' if data.monochrome else 'nearest'}.get(args.fill_outside,
                                                                                   args.fill_outside)
    if args.steps_per_epoch == 0:
        args.steps_per_epoch = max(1, len(data.train)//args.batchsize)
    return data


def adam(args, variables, rate=None):
    """Adam on the variables, its rate falling to 0 along a half cosine unless --schedule constant."""
    rate = rate or args.lr
    if args.schedule == 'cosine':
        rate = keras.optimizers.schedules.CosineDecay(rate, args.epochs*args.steps_per_epoch)
    optimizer = keras.optimizers.Adam(rate)
    if args.precision == 'float16':
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


# Losses and updates. This is the one place that knows the task: another task brings another `task_loss`.

def task_loss(y, outputs):
    """Cross-entropy of each image (n,) from labels (n,) and logits (n, classes)."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, tf.cast(outputs, tf.float32))


def accuracy(y, logits):
    return tf.reduce_mean(tf.cast(tf.argmax(logits, 1, output_type=tf.int32) == y, tf.float32))


def global_mean(values):
    """Mean over the global batch (all replicas)."""
    mean = tf.reduce_mean(values)
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, mean) if context.num_replicas_in_sync > 1 else mean


def descend(tape, losses, *players):
    """One update of every player (optimizer, variables) on the sum of `losses`, means over this replica's images.

    Optimizers add up the gradients of the replicas, so each gives its share. One loss scale serves all players.
    Returns the gradients, a list for each player.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    first = players[0][0]
    with tape:
        scaled = first.scale_loss(sum(losses))/replicas
    gradients = tape.gradient(scaled, [v for _, v in players])
    for (optimizer, variables), g in zip(players, gradients):
        if optimizer is not first and hasattr(optimizer, 'dynamic_scale'):
            g = [x*(optimizer.dynamic_scale/first.dynamic_scale) for x in g]
        optimizer.apply(g, variables)
    return gradients


def supervised_step(model, optimizer, augment):
    """Plain training: min_f L(f(x), y). Used by phase 1 and by the attention baseline."""
    def step(batch, key):
        x, _ = augment(to_float(batch['x']), None, key)
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = tf.reduce_mean(task_loss(batch['y'], logits))
        descend(tape, [loss], (optimizer, model.trainable_variables))
        return {'ce': loss, 'accuracy': accuracy(batch['y'], logits)}
    return step


# Validation: images held out of the training set, plain and before shapes that are neither trained on nor tested

def validator(model, data, mask=None, seed=0):
    """() -> {'val_accuracy', 'val_shapes'}. mask: image -> object mask; without it x > 0 grown by the halo serves
    monochrome sets, and colour sets are judged on plain images alone."""
    if mask is None and data.monochrome:
        def mask(x):
            return mybackgrounds.dilate(tf.cast(x > 0, tf.float32), mydatasets.HALO)
    images = data.validation

    @tf.function(reduce_retracing=True)
    def correct(batch, number):
        x = to_float(batch['x'])
        right = {'val_accuracy': tf.equal(tf.argmax(model(x), 1, output_type=tf.int32), batch['y'])}
        if mask is not None:
            b = mybackgrounds.validation_shapes(x, Key.of(seed, number).fold(77))
            z = mybackgrounds.compose(x, mask(x), b)
            right['val_shapes'] = tf.equal(tf.argmax(model(z), 1, output_type=tf.int32), batch['y'])
        return {k: tf.reduce_sum(tf.cast(v, tf.int32)) for k, v in right.items()}

    def validate():
        total = {}
        for number, batch in enumerate(in_order(images)):
            for k, v in correct(batch, tf.constant(number, tf.int64)).items():
                total[k] = total.get(k, 0) + int(v)
        return {k: v/len(images) for k, v in total.items()}
    return validate


# Checkpoints: NAME.checkpoint/STEP.npz, whole or absent

def folder_of(output):
    return output + '.checkpoint'


def write_checkpoint(output, step, state, about):
    """Variables by name and JSON about them in one .npz; the newest CHECKPOINTS files stay."""
    arrays = {f'{k}/{i}': np.asarray(v.numpy()) for k, vs in state.items() for i, v in enumerate(vs)}
    with whole_file(os.path.join(folder_of(output), f'{step:09d}.npz')) as temporary, open(temporary, 'wb') as f:
        np.savez(f, about=np.array(json.dumps({**about, 'step': step})), **arrays)
    for old in checkpoints(output)[CHECKPOINTS:]:
        os.remove(old)


def checkpoints(output):
    """Checkpoint files, the newest first."""
    try:
        names = sorted((n for n in os.listdir(folder_of(output)) if re.fullmatch(r'\d{9}\.npz', n)), reverse=True)
    except OSError:
        return []
    return [os.path.join(folder_of(output), n) for n in names]


def read_checkpoint(output, state, settings):
    """Restores the newest readable checkpoint and returns what it says, or None. Damaged ones are passed over."""
    for path in checkpoints(output):
        try:
            with np.load(path, allow_pickle=False) as f:   # the zip's checksums show damage
                about = json.loads(str(f['about']))
                arrays = {k: [f[f'{k}/{i}'] for i in range(len(vs))] for k, vs in state.items()}
            if any(a.shape != tuple(v.shape) for k, vs in state.items() for a, v in zip(arrays[k], vs)):
                raise ValueError('arrays of another network')
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as e:
            print(f'{path} is damaged ({str(e)[:80]}); trying the one before', file=sys.stderr)
            continue
        if about['settings'] != settings:
            raise UserError(f'{path} was made with other settings; repeat them, or start anew with --overwrite')
        for k, vs in state.items():
            for v, a in zip(vs, arrays[k]):
                v.assign(a)
        return about
    return None


def attempts_used(args):
    """Restarts that the newest checkpoint of a resumed run has behind it."""
    for path in checkpoints(args.output) if args.resume else []:
        try:
            with np.load(path, allow_pickle=False) as f:
                return int(json.loads(str(f['about']))['attempt'])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error):
            continue
    return 0


def renamed(args, output):
    """The same arguments for another output: a run inside a run, which is continued when it was interrupted."""
    return argparse.Namespace(**{**vars(args), 'output': output, 'resume': True, 'overwrite': False})


def forget(args):
    """Removes the checkpoints of an attempt that is given up."""
    shutil.rmtree(folder_of(args.output), ignore_errors=True)


def finished(args):
    """True when --resume meets complete weights. Errors: UserError when they exist and may not be replaced."""
    complete = os.path.exists(args.output + '.weights.h5') and os.path.exists(args.output + '.json')
    begun = checkpoints(args.output)
    if args.overwrite:
        shutil.rmtree(folder_of(args.output), ignore_errors=True)
    elif args.resume:
        if complete:
            print(f'{args.output}.weights.h5 is complete; nothing to do')
        return complete
    elif complete or begun:
        raise UserError(f'{args.output} exists; continue it with --resume, replace it with --overwrite, or choose '
                        'another --output')
    return False


# The loop

def fit(step, data, args, state, settings, validate=None, each_epoch=None, check=None, attempt=0):
    """Runs step(batch, key) -> {name: scalar} over epochs*steps_per_epoch batches; returns the history.

    state: {name: variables} that a resumed run needs. each_epoch(epoch): pictures. check(means): raises BrokenRun.
    The last line of the history holds the validation figures of the final weights.
    """
    strategy = tf.distribute.get_strategy()
    parts = strategy.num_replicas_in_sync
    history, first, seconds, seen = [], 0, 0., {}
    found = read_checkpoint(args.output, state, settings) if args.resume else None
    if found:
        history, first, seconds, seen = (found[k] for k in ('history', 'step', 'seconds', 'seen'))
    run = _runner(step, strategy, args.seed + 1_000_003*attempt)
    feed = iter(_distributed(strategy, data, args, first, parts))
    per_epoch, total = args.steps_per_epoch, args.epochs*args.steps_per_epoch
    every = max(1, args.epochs//VALIDATIONS)
    about = lambda: {'settings': settings, 'history': history, 'seconds': seconds, 'seen': seen,  # noqa: E731
                     'attempt': attempt}
    chunk, saved = 1, time.monotonic()
    with _progress(args, total, first) as show:
        now = first
        try:
            while now < total:
                began = time.monotonic()
                n = min(chunk, per_epoch - now % per_epoch)
                losses = {k: v.numpy() for k, v in run(feed, tf.constant(now, tf.int64), tf.constant(n)).items()}
                _abort_unless_finite(losses, now, args.output)
                seen = {k: seen.get(k, 0.) + float(v.astype(np.float64).sum()) for k, v in losses.items()}
                now += n
                took = time.monotonic() - began
                seconds += took
                if first < now - n:   # the first call traced the graph
                    chunk = max(1, min(100, round(n*CHUNK_SECONDS/took)))
                elif chunk == 1:
                    chunk = 2
                show(now, {k: float(v[-1]) for k, v in losses.items()}, n*args.batchsize/took)
                if now % per_epoch == 0:
                    epoch = now//per_epoch
                    means = {k: v/per_epoch for k, v in seen.items()}
                    if validate and (epoch % every == 0 or epoch == args.epochs):
                        means |= validate()
                    history.append({'epoch': epoch, **means, 'seconds': round(seconds, 2)})
                    seen = {}
                    show(now, history[-1], None)
                    if each_epoch:
                        each_epoch(epoch)
                    if check:
                        check(means, now)
                if now % per_epoch == 0 or time.monotonic() - saved > 60*args.minutes:
                    if chief(strategy):
                        write_checkpoint(args.output, now, state, about())
                    saved = time.monotonic()
        except KeyboardInterrupt:
            if chief(strategy):
                write_checkpoint(args.output, now, state, about())
            raise
    return history


def _runner(step, strategy, seed):
    """run(feed, first, n): n steps in one call of the graph -> {name: (n,) losses}."""
    parts = strategy.num_replicas_in_sync

    def replica(batch, number):
        part = tf.distribute.get_replica_context().replica_id_in_sync_group
        return step(batch, Key.of(seed, number, part, parts))

    def one(feed, number):
        losses = strategy.run(replica, args=(next(feed), number))
        return losses if parts == 1 else {
            k: strategy.reduce(tf.distribute.ReduceOp.MEAN, v, None) for k, v in losses.items()}

    @tf.function
    def run(feed, first, n):
        losses = one(feed, first)
        arrays = {k: tf.TensorArray(tf.float32, n).write(0, v) for k, v in losses.items()}
        for i in tf.range(1, n):
            losses = one(feed, first + tf.cast(i, tf.int64))
            arrays = {k: a.write(i, losses[k]) for k, a in arrays.items()}
        return {k: a.stack() for k, a in arrays.items()}
    return run


def _distributed(strategy, data, args, first, parts):
    if parts == 1:
        return batches(data.train, args.batchsize, args.seed, first)

    def pipeline(context):
        k = parts//context.num_input_pipelines
        mine = slice(context.input_pipeline_id*k, (context.input_pipeline_id + 1)*k)
        return batches(data.train, args.batchsize, args.seed, first, parts, mine)
    return strategy.distribute_datasets_from_function(pipeline)


def _abort_unless_finite(losses, first, output):
    for name, values in losses.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise BrokenRun(f'{name} is {values[bad[0]]} at step {first + bad[0] + 1}; the last good state is in '
                            f'{folder_of(output)}: lower --lr, or use --precision float32')


def chief(strategy):
    """Only one process of a multi-machine run writes."""
    resolver = getattr(strategy, 'cluster_resolver', None)
    return resolver is None or resolver.task_type in (None, 'chief') or \
        resolver.task_type == 'worker' and resolver.task_id == 0


class _progress:
    """Losses, images/s and time left: a bar on a terminal, a line an epoch elsewhere, nothing with --quiet."""

    def __init__(self, args, total, first):
        self.args, self.total, self.first = args, total, first
        self.epochs = args.epochs
        self.bar = None
        if not args.quiet and sys.stderr.isatty():
            from rich import progress
            self.bar = progress.Progress(
                progress.TextColumn('{task.description}'), progress.BarColumn(), progress.TaskProgressColumn(),
                progress.TextColumn('{task.fields[losses]}'), progress.TimeRemainingColumn())
            self.task = self.bar.add_task(label(args.dataset), total=total, completed=first, losses='')

    def __enter__(self):
        self.began = time.monotonic()
        if self.bar:
            self.bar.start()
        return self.show

    def __exit__(self, *_):
        if self.bar:
            self.bar.stop()

    def show(self, now, losses, rate):
        text = ' '.join(f'{k} {v:.4g}' for k, v in losses.items() if k not in ('epoch', 'seconds'))
        if self.bar:
            speed = f' {rate:,.0f} images/s' if rate else ''
            self.bar.update(self.task, completed=now, losses=text + speed)
        elif rate is None and not self.args.quiet:
            took = time.monotonic() - self.began
            speed, done = (now - self.first)*self.args.batchsize/took, (now - self.first)/(self.total - self.first)
            print(f'epoch {losses["epoch"]}/{self.epochs}: {text} | {speed:,.0f} images/s, '
                  f'{took/done - took:,.0f} s left', flush=True)


def finish(model, kind, args, data, settings, history, method, parents=None, network=None, say='',
           **more):
    """Writes weights, sidecar and history, removes the checkpoints, and says what to run next."""
    if not chief(tf.distribute.get_strategy()):
        return
    with whole_file(args.output + '.history.json') as temporary, open(temporary, 'w') as f:
        json.dump(history, f)
    arguments = {k: v for k, v in vars(args).items() if not callable(v)}
    path = myweights.save(
        model, args.output, kind=kind, dataset=args.dataset, method=method, shape=list(data.shape),
        classes=list(data.classes), network={k: v for k, v in (network or {}).items() if v is not None},
        arguments=arguments, seed=args.seed, settings=settings, trained_from=parents or {},
        validation={k: v for k, v in history[-1].items() if k.startswith('val_')},
        seconds=history[-1]['seconds'], **more)
    shutil.rmtree(folder_of(args.output), ignore_errors=True)
    print(f'weights: {path}' + (f'\nnext: {say}' if say else ''))

"""What all trainers share: arguments, seeding, the loop, checkpoints and resume, history, distribution."""
from mycommon import BrokenRun, Key, UserError, interruptible, whole_file  # first: it quietens TensorFlow

import json
import shlex
import shutil
import time

import keras
import numpy as np
import tensorflow as tf

import myargs
import mybackgrounds
import mydatasets
import mymodels
import myweights
from mycheckpoints import checkpoints, folder_of, kept_precision, read_checkpoint, write_checkpoint
from mydatagen import augmenter, batches, in_order, to_float
from mydevices import agreement, chief, meet, strategy_of
from myprogress import Progress

CHUNK_SECONDS = 0.5  # of steps between two looks at the losses
VALIDATIONS = 10     # times in a run
RESTART = 1_000_003  # added to the seed when a phase starts once more


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
    if args.deterministic and args.precision not in ('auto', 'float32'):
        raise UserError(f'--deterministic means float32; leave out --precision {args.precision}')
    if args.precision == 'auto':
        args.precision = kept_precision(args)
    if args.precision == 'auto':
        gpu = bool(tf.config.list_physical_devices('GPU'))
        fast = has_bfloat16() and not gpu and not args.deterministic
        args.precision = 'bfloat16' if fast else 'float32'
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    if args.strategy == 'multiworker' and not args.quiet:
        print('waiting for the other workers of TF_CONFIG', flush=True)
    strategy = strategy_of(args.strategy)
    args.quiet |= not chief(strategy)
    keras.utils.clear_session(free_memory=False)   # first: it forgets the policy too
    keras.config.set_dtype_policy(('' if args.precision == 'float32' else 'mixed_') + args.precision)
    keras.utils.set_random_seed(args.seed)   # initial weights; everything else random goes through a Key
    return strategy


def load_data(args):
    """The data set of the arguments; `auto` of flip and fill settled."""
    backgrounds = getattr(args, 'backgrounds', None)   # of phase 3
    data = mydatasets.load(args.dataset, args.data_dir, args.size, args.limit, fit=args.fit,
                           skip_damaged=args.skip_damaged, backgrounds=backgrounds)
    args.flip = {'auto': 'yes' if data.flip else 'no'}.get(args.flip, args.flip)
    args.fill_outside = {'auto': 'constant' if data.monochrome else 'nearest'}.get(args.fill_outside,
                                                                                   args.fill_outside)
    if args.steps_per_epoch == 0:
        args.steps_per_epoch = max(1, len(data.train)//args.batchsize)
    return data


def network_options(args, shape):
    """Keyword arguments of mymodels.classifier; the rate follows the network where none was given."""
    backbone = args.backbone or ('VGG19' if shape[0] >= mymodels.BIG else None)
    args.lr = args.lr or (mymodels.BACKBONE_RATE if backbone else mymodels.SMALL_RATE)
    if backbone:
        return {'backbone': backbone, 'dense': [args.dense]*2 if args.dense else None}
    return {'width': args.width, 'dense': args.dense}


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
    """One update of every player (optimizer, variables) on sum(losses), means over this replica's images.

    Optimizers add up the gradients of the replicas, so each gives its share. One loss scale serves all
    players. Returns the gradients, a list for each player.
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


def augmentation(args):
    """The `augmenter` of the arguments: the end of training shows the images as they are."""
    until = round((1 - args.settle)*args.epochs*args.steps_per_epoch)
    return augmenter(args.flip == 'yes', args.fill_outside, until)


def augmented(augment):
    """prepare(batch, key) of the phases that need the augmented image alone."""
    def prepare(batch, key):
        return {'x': augment(to_float(batch['x']), None, key)[0], 'y': batch['y']}
    return prepare


def gradient_norm(gradients, optimizer):
    """Their norm over all replicas, without the loss scale; 1 where float16 overflowed (surely not 0)."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    norm = tf.linalg.global_norm(gradients)
    if not hasattr(optimizer, 'dynamic_scale'):
        return norm
    return tf.where(tf.math.is_finite(norm), norm/optimizer.dynamic_scale, 1.)


def supervised_step(model, optimizer):
    """Plain training: min_f L(f(x), y). Used by phase 1 and by the attention baseline."""
    def step(batch, key):
        with tf.GradientTape() as tape:
            logits = model(batch['x'], training=True)
            loss = tf.reduce_mean(task_loss(batch['y'], logits))
        descend(tape, [loss], (optimizer, model.trainable_variables))
        return {'ce': loss, 'accuracy': accuracy(batch['y'], logits)}
    return step


# Validation: images held out of the training set, plain and before shapes neither trained on nor tested

def validator(model, data, mask=None, seed=0):
    """() -> {'val_accuracy', 'val_shapes'}. mask: image -> object mask; without it x > 0 grown by the halo
    serves monochrome sets, and colour sets are judged on plain images alone."""
    if mask is None and data.monochrome:
        mask = mydatasets.true_mask
    images, kept = data.validation, not isinstance(data.validation.x, list)
    drawn = []   # batches before shapes, the same at every validation, as long as there is memory for them

    @tf.function(reduce_retracing=True)
    def before_shapes(x, number):
        x = to_float(x)
        b = mybackgrounds.validation_shapes(x, Key.of(seed, number).fold(77))
        return tf.cast(tf.round(255*mybackgrounds.compose(x, mask(x), b)), tf.uint8)

    @tf.function(reduce_retracing=True)
    def correct(x, y):
        return tf.reduce_sum(tf.cast(tf.argmax(model(to_float(x)), 1, output_type=tf.int32) == y, tf.int32))

    def validate():
        total = dict.fromkeys(['val_accuracy'] + ['val_shapes']*(mask is not None), 0)
        for number, batch in enumerate(in_order(images)):
            total['val_accuracy'] += int(correct(batch['x'], batch['y']))
            if mask is not None:
                z = drawn[number] if number < len(drawn) else before_shapes(batch['x'], tf.constant(number))
                total['val_shapes'] += int(correct(z, batch['y']))
                drawn.extend([z]*(kept and number == len(drawn)))
        return {k: v/len(images) for k, v in total.items()}
    return validate


# The loop

def fit(prepare, step, data, args, state, settings, validate=None, each_epoch=None, check=None, attempt=0,
        began=None):
    """Runs step(prepare(batch, key), key) -> {name: scalar} epochs*steps_per_epoch times -> the history.

    state: {name: variables} that a resumed run needs. each_epoch(epoch): pictures. check(means, step): raises
    BrokenRun. The last line of the history holds the validation figures of the final weights, and `seconds`
    of wall time since `began` (time.monotonic) in all runs together.
    """
    strategy = tf.distribute.get_strategy()
    past = (read_checkpoint(args.output, state, settings) if args.resume else None) or {
        'history': [], 'step': 0, 'seconds': 0., 'seen': {}}
    history, now, seen, first = past['history'], past['step'], past['seen'], past['step']
    began = (began or time.monotonic()) - past['seconds']
    seed = args.seed + RESTART*attempt
    run, agree = _runner(step, strategy, seed), agreement(strategy)
    feed = iter(_distributed(strategy, data, prepare, args.batchsize, seed, first))
    per_epoch, total = args.steps_per_epoch, args.epochs*args.steps_per_epoch
    every = -(-args.epochs//VALIDATIONS)

    def save():
        if chief(strategy):
            write_checkpoint(args.output, now, state, {
                'settings': settings, 'precision': args.precision, 'history': history, 'seen': seen,
                'attempt': attempt, 'seconds': time.monotonic() - began})
    chunk, saved = 1, time.monotonic()
    with Progress(args, total, first) as show, interruptible(chief(strategy)) as interrupted:
        while now < total:
            tick, n = time.monotonic(), min(chunk, per_epoch - now % per_epoch)
            losses = {k: v.numpy() for k, v in run(feed, tf.constant(n)).items()}
            _abort_unless_finite(losses, now, args.output)
            # one by one from left to right: the sum must not depend on how long the chunks were
            seen = {k: float(np.cumsum([seen.get(k, 0.), *v], dtype=np.float64)[-1])
                    for k, v in losses.items()}
            now += n
            took = agree(time.monotonic() - tick)   # workers with chunks of their own wait for ever
            # the first call traces the graph and tells nothing about the time of a step
            chunk = 2 if now - n == first else max(1, min(100, round(n*CHUNK_SECONDS/took)))
            show(now, {k: float(v[-1]) for k, v in losses.items()}, n*args.batchsize/took)
            if now % per_epoch == 0:
                epoch, means = now//per_epoch, {k: v/per_epoch for k, v in seen.items()}
                if validate and (epoch % every == 0 or epoch == args.epochs):
                    means |= validate()
                history.append({'epoch': epoch, **means, 'seconds': round(time.monotonic() - began, 2)})
                seen = {}
                show(now, history[-1], None)
                if each_epoch:
                    each_epoch(epoch)
                if check:
                    check(means, now)
            if now % per_epoch == 0 or time.monotonic() - saved > 60*args.minutes or interrupted():
                save()
                saved = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt
    return history


def _runner(step, strategy, seed):
    """run(feed, n): n steps in one call of the graph -> {name: (n,) losses}."""
    parts = strategy.num_replicas_in_sync

    def replica(batch):
        return step(batch, Key.of(seed, batch['step'], batch['part'], parts))

    def one(feed):
        losses = strategy.run(replica, args=(next(feed),))
        return losses if parts == 1 else {
            k: strategy.reduce(tf.distribute.ReduceOp.MEAN, v, None) for k, v in losses.items()}

    one = tf.function(one)

    @tf.function
    def run(feed, n):
        names = one.get_concrete_function(feed).structured_outputs   # one copy of the step, traced once
        arrays = {k: tf.TensorArray(tf.float32, n) for k in names}
        for i in tf.range(n):
            losses = one(feed)
            arrays = {k: a.write(i, losses[k]) for k, a in arrays.items()}
        return {k: a.stack() for k, a in arrays.items()}
    return run


def _distributed(strategy, data, prepare, batchsize, seed, first):
    parts = strategy.num_replicas_in_sync
    if parts == 1:
        return batches(data.train, prepare, batchsize, seed, first)

    def pipeline(context):
        k = parts//context.num_input_pipelines
        mine = slice(context.input_pipeline_id*k, (context.input_pipeline_id + 1)*k)
        return batches(data.train, prepare, batchsize, seed, first, parts, mine)
    # our batches never end, so that the size of each is known to the graph (what a GPU wants, and the steps)
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy.distribute_datasets_from_function(pipeline)


def _abort_unless_finite(losses, first, output):
    for name, values in losses.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            kept = f'; the last good state is in {folder_of(output)}' if checkpoints(output) else ''
            raise BrokenRun(f'{name} is {values[bad[0]]} at step {first + bad[0] + 1}{kept}: lower --lr '
                            'and start anew with --overwrite, or go on with --resume --precision float32')


def finish(model, kind, args, data, *about, **more):
    """What `write` does, by the chief alone; the other workers wait until its files are there."""
    if chief(tf.distribute.get_strategy()):
        write(model, kind, args, data, *about, **more)
    meet(tf.distribute.get_strategy())


def write(model, kind, args, data, settings, history, method, parents=None, network=None, say=(), **more):
    """Writes weights, sidecar and history, removes the checkpoints, and says what to run next."""
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
    print(f'weights: {path}')
    if say:
        print('next: python ' + shlex.join([*say, *myargs.same_images(args)]))

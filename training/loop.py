"""The loop that all trainers share: steps, history, checkpoints, resume, early abort."""
import time

import numpy as np

from common.errors import BrokenRun
from common.interrupts import interruptible
from common.keys import Key
from common.quiet import tf
from mydatagen import batches
from training.checkpoints import checkpoints, folder_of, read_checkpoint, write_checkpoint
from training.devices import agreement, chief
from training.progress import Progress

CHUNK_SECONDS = 0.5  # of steps between two looks at the losses
VALIDATIONS = 10     # times in a run
RESTART = 1_000_003  # added to the seed when a phase starts once more


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
        return batches(data.train, prepare, batchsize, seed, first, (parts, mine))
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

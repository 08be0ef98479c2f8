"""The loop that all trainers share: steps, history, checkpoints, resume, early abort."""
import time
from typing import NamedTuple

import numpy as np

from common.errors import BrokenRun
from common.interrupts import interruptible
from common.keys import Key
from common.quiet import tf
from mydatagen import batches
from training import checkpoints
from training.devices import agreement, chief
from training.progress import Progress

CHUNK_SECONDS = 0.5  # of steps between two looks at the losses
VALIDATIONS = 10     # times in a run
RESTART = 1_000_003  # added to the seed when a phase starts once more


class Work(NamedTuple):
    """What a phase gives to the loop."""
    prepare: object             # (batch, key) -> batch: what a step does that needs no weights
    step: object                # (batch, key) -> {name: scalar loss}
    state: dict                 # {name: variables} that a resumed run needs
    validate: object = None     # () -> {name: share}, on validation images
    each_epoch: object = None   # (epoch): pictures
    check: object = None        # (means, step): raises when the training has died
    attempt: int = 0            # restarts behind it

    def seed(self, job):
        return job.args.seed + RESTART*self.attempt


class Course:
    """Where a run stands, from its newest checkpoint on: step, means of the epoch, history, seconds."""

    def __init__(self, job, work):
        self.job, self.work = job, work
        past = checkpoints.read_checkpoint(job, work.state) if job.args.resume else None
        past = past or {'history': [], 'step': 0, 'seconds': 0., 'seen': {}}
        self.history, self.step, self.seen = past['history'], past['step'], past['seen']
        self.began, self.saved = job.began - past['seconds'], time.monotonic()
        self.validate_every = -(-job.args.epochs//VALIDATIONS)

    @property
    def at_epoch(self):
        """Has an epoch just ended?"""
        return self.step % self.job.args.steps_per_epoch == 0

    def advance(self, losses, steps):
        """losses: {name: (steps,)}."""
        # one by one from left to right: the sum must not depend on how long the chunks were
        self.seen = {k: float(np.cumsum([self.seen.get(k, 0.), *v], dtype=np.float64)[-1])
                     for k, v in losses.items()}
        self.step += steps

    def end_epoch(self):
        """A line of the history, with validation figures ten times in a run."""
        args, work, steps = self.job.args, self.work, self.job.args.steps_per_epoch
        epoch, means = self.step//steps, {k: v/steps for k, v in self.seen.items()}
        if work.validate and (epoch % self.validate_every == 0 or epoch == args.epochs):
            means |= work.validate()
        self.history.append({'epoch': epoch, **means, 'seconds': round(time.monotonic() - self.began, 2)})
        self.seen = {}
        if work.each_epoch:
            work.each_epoch(epoch)
        if work.check:
            work.check(means, self.step)

    def due(self):
        """Is it time for a checkpoint inside the epoch?"""
        return time.monotonic() - self.saved > 60*self.job.args.minutes

    def save(self):
        if chief(self.job.strategy):
            checkpoints.write_checkpoint(self.job, self.step, self.work.state, {
                'history': self.history, 'seen': self.seen, 'attempt': self.work.attempt,
                'seconds': time.monotonic() - self.began})
        self.saved = time.monotonic()


def fit(job, work):
    """Runs step(prepare(batch, key), key) epochs*steps_per_epoch times -> the history, a line an epoch.

    Its last line holds the validation figures of the final weights, and `seconds` of wall time in all runs
    together. Errors: BrokenRun for a loss that is not finite; KeyboardInterrupt, the state saved, on Ctrl-C.
    """
    args, course = job.args, Course(job, work)
    steps, agree = _runner(work.step, job.strategy, work.seed(job)), agreement(job.strategy)
    first = course.step
    feed = iter(_distributed(job, work, first))
    chunk = 1
    with Progress(args, job.steps, first) as show, interruptible(chief(job.strategy)) as interrupted:
        while course.step < job.steps:
            tick, n = time.monotonic(), min(chunk, args.steps_per_epoch - course.step % args.steps_per_epoch)
            losses = {k: v.numpy() for k, v in steps(feed, tf.constant(n)).items()}
            _abort_unless_finite(losses, course.step, args.output)
            course.advance(losses, n)
            took = agree(time.monotonic() - tick)   # workers with chunks of their own wait for ever
            # the first call traces the graph and tells nothing about the time of a step
            chunk = 2 if course.step - n == first else max(1, min(100, round(n*CHUNK_SECONDS/took)))
            show(course.step, {k: float(v[-1]) for k, v in losses.items()}, n*args.batchsize/took)
            if course.at_epoch:
                course.end_epoch()
                show(course.step, course.history[-1], None)
            stop = interrupted()   # asked once: between two asks a signal would stop what is not saved
            if course.at_epoch or course.due() or stop:
                course.save()
            if stop:
                raise KeyboardInterrupt
    return course.history


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


def _distributed(job, work, first):
    """The prepared training batches from step `first` on, to each replica its slice."""
    strategy, train, batchsize, seed = job.strategy, job.data.train, job.args.batchsize, work.seed(job)
    parts = strategy.num_replicas_in_sync
    if parts == 1:
        return batches(train, work.prepare, batchsize, seed, first)

    def pipeline(context):
        k = parts//context.num_input_pipelines
        mine = slice(context.input_pipeline_id*k, (context.input_pipeline_id + 1)*k)
        return batches(train, work.prepare, batchsize, seed, first, (parts, mine))
    # our batches never end, so that the size of each is known to the graph (what a GPU wants, and the steps)
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy.distribute_datasets_from_function(pipeline)


def _abort_unless_finite(losses, first, output):
    for name, values in losses.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            kept = ''
            if checkpoints.checkpoints(output):
                kept = f'; the last good state is in {checkpoints.folder_of(output)}'
            raise BrokenRun(f'{name} is {values[bad[0]]} at step {first + bad[0] + 1}{kept}: lower --lr '
                            'and start anew with --overwrite, or go on with --resume --precision float32')

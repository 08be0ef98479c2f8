"""Losses and updates. What f is asked for, its own task knows (common.tasks)."""
from common.quiet import tf


def task_loss(model, y, outputs):
    """The loss of each image (n,). y: labels or targets (n,); outputs: of the model."""
    return model.task.loss(y, outputs)


def mean_loss(model, y, outputs):
    """{name of the task's loss: its mean over the images}."""
    return {model.task.loss_name: tf.reduce_mean(task_loss(model, y, outputs))}


def measure(model, y, outputs):
    """{accuracy: share of right answers}, or what else the task counts while training."""
    task = model.task
    return {task.measure_name: tf.reduce_mean(task.measure(y, task.answers(outputs)))}


def global_mean(values):
    """Mean over the global batch (all replicas)."""
    mean = tf.reduce_mean(values)
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, mean) if context.num_replicas_in_sync > 1 else mean


def share(losses, optimizer):
    """What this replica descends on, inside the tape: the sum of its mean losses, with the loss scale.

    Optimizers add up the gradients of the replicas, so each gives its share.
    """
    return optimizer.scale_loss(sum(losses))/tf.distribute.get_strategy().num_replicas_in_sync


def descend(tape, loss, *players):
    """One update of every player (optimizer, variables) on a `share` scaled by the first player's optimizer.

    Returns the gradients, a list for each player.
    """
    first = players[0][0]
    gradients = tape.gradient(loss, [v for _, v in players])
    for (optimizer, variables), g in zip(players, gradients):
        if optimizer is not first and hasattr(optimizer, 'dynamic_scale'):
            g = [x*(optimizer.dynamic_scale/first.dynamic_scale) for x in g]
        optimizer.apply(g, variables)
    return gradients


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
            outputs = model(batch['x'])   # a backbone's batch statistics stay
            losses = mean_loss(model, batch['y'], outputs)
            loss = share(losses.values(), optimizer)
        descend(tape, loss, (optimizer, model.trainable_variables))
        return {**losses, **measure(model, batch['y'], outputs)}
    return step

"""A linear probe: the last layer of a pretrained network fitted on features that are computed once.

Fine-tuning from a random last layer destroys the features that it starts from (Kumar et al. 2022, LP-FT).
"""
import time
import warnings

import numpy as np

import mymodels
from common.quiet import keras, tf
from mydatagen import in_order, to_float
from training import checkpoints

COSTS = 1e-4, 1e-3, 0.01, 0.1, 1.   # of errors against large weights (scikit-learn's C); validation chooses
ROUNDS = 300             # of the solver
TINY = 1e-12             # of a feature's deviation: it is constant
NEVER = -1e3             # logit of a class without images
MOST = 20_000            # training images that a last layer is fitted on


def classifier(job, network):
    """The classifier of phase 1 before its first step, on a backbone with its last layer fitted.

    network: keyword arguments of mymodels.classifier.
    """
    model = mymodels.classifier(job.data.shape, job.data.task,
                                backbone_weights=job.args.backbone_weights, **network)
    if network.get('head') == 'pooled':
        begin(job, model)
    return model


def begin(job, model):
    """Fits the last layer before anything else is trained, unless a checkpoint is further."""
    if job.args.resume and checkpoints.checkpoints(job.args.output):
        return
    found = fit(model, job.data)
    if not job.args.quiet:
        print(f'linear probe: {model.task.measure_name} {found:.4g} on validation images', flush=True)


def alone(job, validate):
    """The history of a network that is not trained beyond its probe."""
    return [{'epoch': 0, **validate(), 'seconds': round(time.monotonic() - job.began, 2)}]


def fit(model, data):
    """Fits the layer `logits` on plain training images -> the measure of its task on validation images."""
    features = keras.Model(model.inputs, model.get_layer('logits').input)
    rows = np.linspace(0, len(data.train) - 1, min(len(data.train), MOST)).astype(int)
    x, y = _features(features, data.train.take(np.unique(rows)))
    held, truth = _features(features, data.validation)
    best, task = None, model.task
    for cost in COSTS:
        kernel, bias = SOLVERS[task.kind](x, y, cost, task)
        found = float(np.mean(task.measure(truth, task.answers(held@kernel + bias))))
        better = best and (found > best[0] if task.scores[0].better == 'more' else found < best[0])
        if best is None or better:
            best = found, kernel, bias
    model.get_layer('logits').set_weights(best[1:])
    return best[0]


def _features(network, images):
    """(float32 (n, d), labels (n,)) of Images."""
    forward = tf.function(lambda x: tf.cast(network(to_float(x), training=False), tf.float32),
                          reduce_retracing=True)
    return np.concatenate([forward(b['x']).numpy() for b in in_order(images, 128)]), np.asarray(images.y)


def _ridge(x, y, cost, task):
    """(kernel (d, 1), bias (1,)) of scikit-learn's ridge regression; features are seen as in `_logistic`."""
    from sklearn.linear_model import Ridge
    mean, deviation = _scale(x)
    found = Ridge(1/cost).fit((x - mean)/deviation, task.standardised(y))
    kernel = (found.coef_/deviation)[:, None]
    return kernel.astype(np.float32), (found.intercept_ - mean@kernel).astype(np.float32)


def _scale(x):
    """(mean, deviation) of features (n, d); constant ones have 1."""
    deviation = x.std(0)
    return x.mean(0), np.where(deviation < TINY, 1, deviation)


def _logistic(x, y, cost, task):
    """(kernel (d, classes), bias (classes,)) of scikit-learn's multinomial logistic regression.

    It sees features of mean 0 and deviation 1; the layer that it becomes takes them as they are. Classes
    without images are never the answer.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression   # late: it takes a second to load
    mean, deviation = _scale(x)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ConvergenceWarning)   # an unfinished fit is judged like the others
        found = LogisticRegression(C=cost, max_iter=ROUNDS).fit((x - mean)/deviation, y)
    coefficients, intercepts = found.coef_, found.intercept_
    if len(found.classes_) == 2:   # one function for two classes
        halves = np.array([-0.5, 0.5])
        coefficients, intercepts = np.outer(halves, coefficients[0]), halves*intercepts[0]
    kernel, bias = np.zeros((x.shape[1], task.outputs)), np.full(task.outputs, NEVER)
    kernel[:, found.classes_] = coefficients.T/deviation[:, None]
    bias[found.classes_] = intercepts - mean@kernel[:, found.classes_]
    return kernel.astype(np.float32), bias.astype(np.float32)


SOLVERS = {'classifier': _logistic, 'regressor': _ridge}   # by the kind of the task's network

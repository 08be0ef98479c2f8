"""How a network that somebody else made wants its images: told, or the one it is right most often with."""
from typing import NamedTuple

import numpy as np

import mydatasets
from common.errors import UserError
from common.files import printable
from common.quiet import tf
from mydatagen import in_order, to_float
from readers import foreign
from scoring import evaluation

PHOTOGRAPHS = 300   # of training, evenly spaced, that are looked at
SURE = 0.02         # lead over the next input; below it the best one is called unsure
CHANCE = 1.5        # times 1/classes: an accuracy below is one of guessing


class Convention(NamedTuple):
    """What was found out about a network of these classes, where there were several orders to try."""
    model: object        # [0, 1] -> logits, as scores take it
    how: foreign.How
    found: dict          # {input: accuracy on some training photographs}; of those that were tried
    n: int               # photographs
    classes: tuple = ()

    @property
    def lead(self):
        """Of the input over the next best one, or None where no other was tried."""
        first, *others = sorted(self.found.values(), reverse=True)
        return first - others[0] if others else None

    def line(self):
        """It in words."""
        tried = ', '.join(f'{name} {100*share:.1f}' for name, share in self.found.items())
        doubt = '' if self.lead is None or self.lead >= SURE else (
            f' (unsure: it leads by {100*self.lead:.1f} points; tell it with --input)')
        order = f'; classes in the order {", ".join(map(printable, self.classes))}' if self.classes else ''
        return f'input: {self.how.input}{doubt}; right on {self.n} training photographs in %: {tried}{order}'


def convention(network, data, listed=None, told=None):
    """The Convention of a foreign.Foreign on the photographs of a data set.

    listed: its classes in the order of its outputs; None: by alphabet, capitals first or not, whichever is
    right more often. told: its input, else guessed. Errors: UserError for a network of another number of
    classes, and for one that is at chance.
    """
    name, classes = printable(network.path), len(data.classes)
    if max(2, network.outputs) != classes:
        raise UserError(f'{name} answers with {network.outputs:,} numbers, {data.name} has {classes} '
                        'classes; give a network of these classes, and one folder for each of its classes')
    images, side = _some(data), data.shape[0]
    test = mydatasets.Test(lambda: images)
    orders = {order_of(data.classes, one): tuple(one)
              for one in ([listed] if listed else [sorted(data.classes), data.classes])}
    found, best, most = {}, None, -1
    for word in [told] if told else foreign.INPUTS:
        output = _output(network, images, side, word)
        for order, names in orders.items():
            model = foreign.network(network, side, foreign.How(word, output, order))
            model.task = data.task
            right, n = evaluation.accuracy(model, test)
            found[word] = max(found.get(word, 0.), right/n)
            if right > most:
                how = foreign.How(word, output, order)
                best, most = Convention(model, how, found, n, names if len(orders) > 1 else ()), right
    demand_better_than_chance(name, found[best.how.input], classes)
    return best


def demand_better_than_chance(name, accuracy, classes):
    """Errors: UserError with what to look at."""
    if accuracy < min(CHANCE/classes, (1 + 1/classes)/2):
        raise UserError(f'{name} is right on {100*accuracy:.1f} % of plain training photographs, which is '
                        'chance; check the order of its classes (--classes FILE), --input, --size and --fit')


def _output(network, images, side, word):
    """Are the outputs logits, or probabilities of which the logarithm is to be taken?"""
    if network.logits:
        return foreign.OUTPUTS[0]
    x = foreign.INPUTS[word]()(to_float(next(iter(in_order(images, 64)))['x']))
    try:
        values = network.net(x) if network.format == 'savedmodel' else network.net(x, training=False)
    except (tf.errors.OpError, ValueError) as e:
        raise UserError(f'{printable(network.path)} does not take images of {side} pixels; use another '
                        '--size') from e
    return foreign.OUTPUTS[foreign.look_like_probabilities(tf.cast(values, tf.float32))]


def order_of(classes, listed):
    """Number of the output of each class, None where they come in this order. listed: the network's classes
    in the order of its outputs. Errors: UserError."""
    if sorted(listed) != sorted(classes):
        odd = sorted(set(listed) ^ set(classes)) or sorted({c for c in listed if listed.count(c) > 1})
        raise UserError(f'--classes: {printable(str(odd[0]))!r} stands not once both there and in train/; '
                        'list the folders of train/ in the order of the outputs, one in a line')
    order = tuple(listed.index(c) for c in classes)
    return None if order == tuple(range(len(classes))) else order


def of_ours(model, data, name):
    """The Convention of a classifier of this project. Errors: UserError for one that is at chance."""
    images = _some(data)
    right, n = evaluation.accuracy(model, mydatasets.Test(lambda: images))
    demand_better_than_chance(printable(name), right/n, len(data.classes))
    return Convention(model, foreign.How('0..1'), {'0..1': right/n}, n)


def _some(data):
    """Images of training, evenly spaced."""
    rows = np.linspace(0, len(data.train) - 1, min(len(data.train), PHOTOGRAPHS)).astype(int)
    return data.train.take(rows)

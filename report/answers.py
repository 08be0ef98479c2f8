"""Figures of what networks answer: test images, the truth, and the answers or masks of some rows."""
import numpy as np

from common.errors import UserError
from mybackgrounds import compose
from report import figures, naming
from scoring import evaluation, objects
from training import weightfiles

SHOWN = 'baseline', 'best', 'proposal'   # rows, the first two that there are
COUNT = 7                # pictures


def pictures(data):
    """(titles, images (k, h, w, c) in [0, 1], y (k,)): images of the tests in turn, each another one."""
    tests = list(data.tests.items())
    found = []
    for i, (name, test) in enumerate((tests*COUNT)[:COUNT]):
        found.append((naming.plain_test(name), *test.one(len(test.images())*i//COUNT)))
    titles, images, y = zip(*found)
    return titles, np.stack(images), np.array(y)


def draw(path, plan):
    """What the networks of a plan that are here answer to images of its tests. Errors: UserError for none."""
    data, found = plan.load(), {}
    titles, images, y = pictures(data)
    with evaluation.precision():
        for method in SHOWN:
            try:
                model, _ = weightfiles.load(plan.path(method), evaluation.KINDS_OF[data.task.kind], data)
            except UserError:
                continue
            answers = model.task.answers(model(images)).numpy()
            found[naming.name_of(method, not plan.monochrome)] = list(
                zip(data.task.words(answers), data.task.right(y, answers)))
    if not found:
        raise UserError(f'no weights of {plan.label} are here')
    lines = {'truth': [(word, None) for word in data.task.words(y)], **dict(list(found.items())[:2])}
    figures.answers(path, titles, images, lines)


MASKS = {'U-Net of phase 2': 'unet', 'U-Net on compositions': 'segment'}
GROUND = 0.75            # grey behind cut-outs


def draw_masks(path, plan):
    """Images of all tests, whether their masks are known or not, the masks of the U-Nets of phases 2 and 3,
    and what the second cuts out. Errors: UserError when one of them is not here."""
    data = plan.load()
    images = pictures(data)[1]
    data, rows = objects.asking_masks(data), {'image': images}
    with evaluation.precision():
        for name, method in MASKS.items():
            model, _ = weightfiles.load(plan.path(method), evaluation.KINDS_OF['segmenter'], data)
            rows[name] = model(images).numpy()
    m = rows[name]
    rows['cut out'] = compose(images, m, GROUND)
    figures.pictures(path, rows)

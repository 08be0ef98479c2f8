"""The attack: it fools, keeps to its brightness, tells its winner, and is a function of its seed."""
import numpy as np
import pytest

import mydatasets
import toys
from common.errors import UserError
from common.keys import Key, Stream
from common.quiet import tf
from mydatagen import Images, to_float
from scoring import adversary
from scoring.adversary import Effort


@pytest.fixture(scope='module')
def data():
    return mydatasets.load('toy')


@pytest.fixture(scope='module')
def model(data):
    """A classifier that knows plain images well and has never seen a background."""
    net = toys.classifier()
    assert (net(to_float(data.train.x)).numpy().argmax(1) == data.train.y).mean() > 0.9
    return net


def test_the_attack_fools_an_undefended_model_within_its_brightness(data, model):
    before = [w.copy() for w in model.get_weights()]
    found = adversary.attackers(model, data, 0, Effort(steps=60, restarts=2, rates=(3e-3,), batchsize=32))
    assert [a.accuracy for a in found] == sorted(a.accuracy for a in found)
    assert {(a.rate, a.objective, a.restart) for a in found} == {(3e-3, 'margin', 0),
                                                                 (3e-3, 'cross-entropy', 1)}
    images = data.tests['original'].images()
    right, brightness = adversary.measure(model, images, found[0].draw, Key.of(3))
    assert right/len(images) < 0.5
    assert 0.15 < brightness < 0.55 and 0.15 < found[0].brightness < 0.55
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


@pytest.mark.slow
def test_the_attack_is_a_function_of_its_seed_and_tells_how_its_winner_did(data, model):
    effort, key = Effort(steps=3, restarts=1, rates=(1e-3,), batchsize=32), Key.of(0)
    first, other = (adversary.attackers(model, data, seed, effort)[0] for seed in (0, 1))
    assert not np.allclose(first.draw(4, key), other.draw(4, key), atol=1e-4)
    found = adversary.attack(model, data, 0, effort)   # trains the first once more
    images, of_test = data.tests['original'].images(), Key.of(0).fold(Stream.ATTACK).fold(adversary.TEST)
    right, brightness = adversary.measure(model, images, first.draw, of_test)
    assert (found.correct, found.n) == (right, 96) and found.brightness == pytest.approx(brightness, abs=1e-5)
    assert (found.rate, found.objective, found.restart) == (1e-3, 'margin', 0)
    line = found.line()
    assert f'{100*right/96:.2f} %' in line and f'{brightness:.3f}' in line and '\n' not in line


def test_the_weaker_attackers_are_passed_over_and_those_outside_the_brightness_come_last(data, monkeypatch):
    shades, counts = iter((0.3, 0.9, 0.4, 0.3)), iter((40, 0, 10, 20, 5))
    monkeypatch.setattr(adversary, 'scale_of', lambda model, images: 1.)
    monkeypatch.setattr(adversary, 'train', lambda *a: None)
    monkeypatch.setattr(adversary, 'measure', lambda *a: (next(counts), next(shades, 0.45)))
    found = adversary.attack(None, data, 0)   # four of the selection, the winner's on the test images
    assert found == adversary.Attack(5, 96, 0.45, 1e-3, 'margin', 0)


def test_colour_sets_are_refused_in_one_line(data):
    with pytest.raises(UserError, match='colour images of photos'):
        adversary.attack(None, data._replace(shape=(16, 16, 3), name='photos'), 0)


def test_the_strongest_is_found_on_images_that_no_generator_saw(data):
    train, selection = adversary.split(data.train, Key.of(5))
    assert len(selection) == len(data.train)//4 and len(train) + len(selection) == len(data.train)
    assert not {i.tobytes() for i in train.x} & {i.tobytes() for i in selection.x}


def test_margin_is_positive_where_the_model_errs_and_has_a_gradient_where_it_is_sure():
    logits, y = tf.constant([[100., 0., 1.], [0., 3., 5.]]), tf.constant([0, 1])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        margin = adversary.margin(logits, y)
    assert margin.numpy().tolist() == [-99, 2]
    assert tape.gradient(margin, logits).numpy().tolist() == [[-1, 0, 1], [0, -1, 1]]


def test_penalty_is_what_lies_outside_the_brightness():
    for mean, expected in ((0.1, 0.1), (0.2, 0), (0.4, 0), (0.5, 0), (0.75, 0.25)):
        assert float(adversary.penalty(tf.fill((2, 4, 4, 1), mean))) == pytest.approx(expected, abs=1e-6)


def test_measure_counts_every_image_once(model, data):
    images = Images(data.train.x[:70], data.train.y[:70])
    draw = lambda n, key: tf.zeros((n, 16, 16, 1))  # noqa: E731
    right, brightness = adversary.measure(model, images, draw, Key.of(0), 32)
    logits = model(to_float(images.x)).numpy()
    assert right == (logits.argmax(1) == images.y).sum() and brightness == 0

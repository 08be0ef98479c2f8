"""The worst background of each image, and right on every one of a fixed set."""
import numpy as np
import pytest

import evaluate
import mybackgrounds
import mydatasets
import toys
from common.errors import UserError
from common.keys import Key
from common.quiet import keras, tf
from mydatagen import Images
from scoring import evaluation, objects, pixels, rowfile, unseen, worst
from scoring.climbing import spans
from toys import load

SIDE = 16
QUICK = pixels.Effort(8, ('noise', 'black'))


def by_brightness(threshold=0.5):
    """A classifier that answers 1 for images brighter than the threshold, else 0."""
    x = keras.Input((SIDE, SIDE, 1))
    y = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = keras.Model(x, y)
    k = SIDE*SIDE
    model.layers[-1].set_weights([np.repeat([[-20/k, 20/k]], k, 0), 20*np.array([threshold, -threshold])])
    return model


def squares(n=6, bright=0.9, inside=1.):
    """Objects: squares of a quarter of the image, all of them right by brightness. inside: of their masks."""
    x, m = np.full((n, SIDE, SIDE, 1), bright, np.float32), np.zeros((n, SIDE, SIDE, 1), np.float32)
    m[:, :8, :8] = inside
    return objects.Objects(tf.constant(x), tf.ones(n, tf.int32), tf.constant(m))


def test_with_nothing_protected_every_image_is_turned_and_with_everything_none_is():
    model, key = by_brightness(), Key.of(0)
    nothing = pixels.search(model, squares(inside=0.), key, QUICK)
    assert nothing.plain.all() and not nothing.right.any()
    everything = squares()._replace(m=tf.ones((6, SIDE, SIDE, 1)))
    assert pixels.search(model, everything, key, QUICK).right.all()


def test_only_pixels_outside_the_object_count_and_each_search_leaves_at_most_what_the_last_one_did():
    model, some = by_brightness(0.2), squares()   # the object alone, 0.9 of a quarter, is brighter than 0.2
    found = pixels.search(model, some, Key.of(0), QUICK)
    assert found.right.all() and len(found.left) == len(QUICK.searches) == 4
    half = pixels.search(by_brightness(0.24), some, Key.of(0), QUICK)
    left = list(half.left.values())
    assert left == sorted(left, reverse=True) and half.right.sum() == left[-1] == 0
    assert half.b.min() >= 0 and half.b.max() <= 1
    again = pixels.search(by_brightness(0.24), some, Key.of(0), QUICK)
    assert np.array_equal(half.b, again.b) and half.left == again.left


def test_an_image_that_is_wrong_as_it_is_is_never_right():
    some = squares()._replace(y=tf.constant([1, 0, 1, 0, 1, 0]))
    found = pixels.search(by_brightness(0.2), some, Key.of(0), QUICK)
    assert found.plain.tolist() == found.right.tolist() == [True, False]*3


@pytest.mark.parametrize('steps', (1, 8, 100, 400))
def test_the_looks_of_a_search_are_its_steps_and_one_where_the_last_step_led(steps):
    assert sum(spans(steps)) == steps + 1 and min(spans(steps)) > 0


def test_only_the_first_images_are_searched():
    data = load('toy')
    few = pixels.subjects(data, 5)
    images = next(iter(data.tests.values())).images()
    assert np.allclose(few.x, images.x[:5]/255) and len(few.y) == 5
    assert len(pixels.subjects(data).y) == min(len(images), pixels.IMAGES)


def test_right_on_every_background_is_at_most_right_on_each_and_its_draws_are_not_those_of_unseen():
    data = load('toy')
    x = next(iter(data.tests.values())).images().x
    model, y = by_brightness(np.quantile(x.mean((1, 2, 3))/255, 0.7)), np.ones(len(x), np.int32)
    only = Images(x, y)   # bright enough by themselves, or turned by a dark background
    data = data._replace(tests={'original': mydatasets.Test(lambda: only)})
    found, again = worst.worst(model, data, 0), worst.worst(model, data, 0)
    assert found == again and found.backgrounds == 8*worst.DRAWS + 1 and 0 < found.correct < found.n
    every = objects.Objects.of(only, 0)
    right = np.ones(len(y), bool)
    for family, seed in worst.SET:
        b = unseen.drawn(family, SIDE, 1, 0, seed)[:len(y)]/np.float32(255)
        right &= np.argmax(model(mybackgrounds.compose(every.x, every.m, b)), 1) == y
    assert found.correct == right.sum()
    assert unseen.SEED not in worst.SEEDS
    ours, theirs = (unseen.drawn('gratings', SIDE, 1, 0, s) for s in (worst.SEEDS[0], unseen.SEED))
    assert not np.array_equal(ours, theirs)


def test_rows_are_written_and_photographs_without_masks_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pixels, 'search', lambda model, some, key: pixels.Found(
        *(np.ones(len(some.y), bool) for _ in 'ab'), None, {'noise by margin': len(some.y)}))
    toys.parents(tmp_path)
    words = ['toy', str(tmp_path/'classifier'), '--csv', str(tmp_path/'rows.csv')]
    assert evaluate.main([*words, '--tests', 'pixels', 'worst']) == 0
    rows = {r['test']: r for r in rowfile.read(str(tmp_path/'rows.csv'))}
    assert rows['pixels']['accuracy'] == 1 and {'worst', 'worst-nohalo'} < set(rows)
    assert 'ascent leaves 100.00 %' in capsys.readouterr().out
    photos = toys.photographs(tmp_path/'photos')
    data = mydatasets.load(f'folder:{photos}', mydatasets.PLAIN._replace(size=16))
    for test in ('pixels', 'worst'):
        with pytest.raises(UserError, match='masks'):
            evaluation.tests_of(data, [test])

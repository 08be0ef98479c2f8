"""Ascent on the pixels: it finds, keeps to what it may change, and counts the first images alone."""
import numpy as np
import pytest

import mydatasets
import mymodels
import toys
from common.errors import UserError
from common.keys import Key
from common.quiet import tf
from mybackgrounds import compose
from mydatagen import Images
from scoring import climbing, pixels
from scoring.objects import batches, side_by_side, SIDE_BY_SIDE
from scoring.pixels import Effort

SHORT = Effort(steps=20, starts=('noise',))


@pytest.fixture(scope='module')
def data():
    return mydatasets.load('toy')


@pytest.fixture(scope='module')
def model():
    return toys.classifier()


class Reader:
    """A 'network' that answers what `read` says of the pixels. read: (n, h, w, c) -> logits (n, classes)."""
    def __init__(self, shape, read):
        self.input_shape, self.read = (None, *shape), read

    def __call__(self, z, training=False):
        return self.read(z)


@pytest.fixture(scope='module')
def found(data, model):
    return pixels.search(model, pixels.subjects(data), Key.of(0), SHORT)


def test_a_search_turns_images_and_keeps_the_background_that_did(data, model, found):
    objects = pixels.subjects(data)
    assert found.plain.mean() > 0.9 and not (found.right & ~found.plain).any()
    assert found.right.mean() < 0.5 and found.b.min() >= 0 and found.b.max() <= 1
    answers = model(compose(objects.x, objects.m, found.b)).numpy().argmax(1)
    assert np.array_equal(answers == objects.y, found.right)


def test_a_search_is_a_function_of_its_key_and_of_the_images(data, model, found):
    again = pixels.search(model, pixels.subjects(data), Key.of(0), SHORT)
    assert np.array_equal(again.b, found.b) and np.array_equal(again.right, found.right)
    assert again.left == found.left
    other = pixels.search(model, pixels.subjects(data), Key.of(1), SHORT)
    assert not np.array_equal(other.b, found.b)


def test_images_found_wrong_stay_wrong_and_more_steps_leave_no_more(data, model, found):
    objects = pixels.subjects(data)
    climb = climbing.climber(model, climbing.log_odds)
    state, looked = climbing.Climb.begin(np.full(objects.x.shape, 0.5, np.float32)), 0
    for looks in climbing.spans(30):
        right, top = state.right.copy(), state.top.copy()
        pixels.move_on(climb, objects, state, np.arange(len(right)), looks)   # those found wrong too
        assert not (state.right & ~right).any() and (state.top >= top).all()
        looked += looks
    assert looked == 31 and climb.experimental_get_tracing_count() == 1
    few = pixels.search(model, objects, Key.of(0), SHORT._replace(steps=1))
    assert found.right.sum() < few.right.sum()
    counts = [found.plain.sum(), *found.left.values()]
    assert counts == sorted(counts, reverse=True) and counts[-1] == found.right.sum()


def test_a_rough_search_multiplies_in_bfloat16_and_judges_in_float32(data, monkeypatch):
    monkeypatch.setattr(climbing, 'processor', lambda: 'avx512_bf16')
    model, objects = toys.classifier(), pixels.subjects(data)
    kept = [layer.dtype_policy.name for layer in model.layers]
    state, kinds = climbing.Climb.begin(np.full(objects.x.shape, 0.5, np.float32)), {}
    for rough in (True, False):
        climb = climbing.climber(model, climbing.log_odds, rough)
        found = climb(objects, state, np.int32(10))
        # what is judged lies in the graph itself, what climbs in the body of its loop
        outside, inside = ({node.attr['T'].type for node in nodes if node.op == 'Conv2D'}
                           for nodes in nodes_of(climb))
        assert outside == {tf.float32.as_datatype_enum}
        kinds[rough] = inside
        answers = model(compose(objects.x, objects.m, found.best)).numpy().argmax(1)
        assert np.array_equal(answers == objects.y, found.right) and not found.right.numpy().all()
    assert kinds == {True: {tf.bfloat16.as_datatype_enum}, False: {tf.float32.as_datatype_enum}}
    assert [layer.dtype_policy.name for layer in model.layers] == kept
    monkeypatch.setattr(climbing, 'processor', lambda: None)
    with climbing.quick(model):
        assert [layer.dtype_policy.name for layer in model.layers] == kept


def nodes_of(climb):
    graph = climb.get_concrete_function().graph.as_graph_def()
    return graph.node, [node for f in graph.library.function for node in f.node_def]


@pytest.mark.parametrize('steps', (1, 2, 7, 100))
def test_every_step_is_looked_at_and_so_is_where_the_last_one_led(steps):
    assert climbing.spans(steps).sum() == steps + 1 and climbing.spans(steps).min() > 0


def test_with_nothing_protected_every_image_falls(data, model):
    objects = pixels.subjects(data)
    assert not pixels.search(model, objects._replace(m=0*objects.m), Key.of(0), SHORT).right.any()


def test_what_reads_protected_pixels_alone_keeps_its_answers_and_what_reads_the_others_loses_them(data):
    x = np.random.RandomState(0).uniform(0.1, 0.4, (7, 8, 8, 1)).astype(np.float32)
    m = np.zeros_like(x)
    m[:, :, :4] = 1
    objects = pixels.Objects(tf.constant(x), tf.zeros(7, tf.int32), tf.constant(m))

    def dark(side):   # bright ones are another class
        return Reader((8, 8, 1), lambda z: tf.stack([0.5 - tf.reduce_mean(z[:, :, side], (1, 2, 3)),
                                                     tf.zeros(len(z)), -tf.ones(len(z))], 1))
    inside, outside = (pixels.search(dark(side), objects, Key.of(0), SHORT)
                       for side in (slice(0, 4), slice(4, 8)))
    assert inside.plain.all() and inside.right.all()
    assert outside.plain.all() and not outside.right.any()


def test_others_starts_from_what_harms_an_image_most_of_what_turned_others():
    y = tf.constant([0, 1, 0, 1])
    objects = pixels.Objects(tf.zeros((4, 8, 8, 1)), y, tf.zeros((4, 8, 8, 1)))
    bright = Reader((8, 8, 1), lambda z: tf.stack([0.5 - tf.reduce_mean(z, (1, 2, 3)),
                                                   tf.reduce_mean(z, (1, 2, 3)) - 0.5], 1))
    turned = np.stack([np.full((8, 8, 1), v, np.float32) for v in (0.4, 0.9, 0.2, 0.6)])
    b = pixels.borrowed(climbing.lender(bright), objects, turned, Key.of(0))
    assert b[:, 0, 0, 0] == pytest.approx([0.9, 0.2, 0.9, 0.2])
    none = pixels.borrowed(climbing.lender(bright), objects, turned[:0], Key.of(0))
    assert none.std() > 0.2 and not np.array_equal(none[0], none[1])   # noise


def test_where_no_gradient_leads_others_help():
    x = np.zeros((40, 8, 8, 1), np.float32)
    objects = pixels.Objects(tf.constant(x), tf.zeros(40, tf.int32), tf.zeros((40, 8, 8, 1)))
    steep = Reader((8, 8, 1), lambda z: tf.stack([0.5 + 0*tf.reduce_mean(z, (1, 2, 3)), tf.cast(
        tf.reduce_mean(z, (1, 2, 3)) > 0.5, tf.float32)], 1))
    found = pixels.search(steep, objects, Key.of(0), SHORT._replace(starts=('noise', 'others')))
    first, second = found.left.values()
    assert 5 < first < 35 and second == max(0, first - 20)   # of half the images, not of all that are left


def test_every_later_search_has_twice_the_steps_for_half_the_images(monkeypatch):
    assert Effort(draws=2).searches[::2] == Effort().searches == [
        ('cross-entropy', 'noise', 1), ('margin', 'black', 1), ('cross-entropy', 'textures', 1),
        ('margin', 'others', 2), ('cross-entropy', 'others', 4), ('margin', 'others', 8),
        ('cross-entropy', 'others', 16), ('margin', 'others', 32)]
    looked, move_on = [], pixels.move_on

    def counted(climb, objects, state, rows, looks):
        looked.append((len(rows), int(looks)))
        move_on(climb, objects, state, rows, looks)
    monkeypatch.setattr(pixels, 'move_on', counted)
    objects = pixels.Objects(tf.zeros((32, 8, 8, 1)), tf.zeros(32, tf.int32), tf.zeros((32, 8, 8, 1)))
    firm = Reader((8, 8, 1), lambda z: tf.stack([
        2 + tf.zeros(len(z)), tf.reduce_mean(z, (1, 2, 3)), tf.zeros(len(z))], 1))
    found = pixels.search(firm, objects, Key.of(0), Effort(steps=10))
    assert found.right.all() and looked[0] == (32, 1)
    steps = {n: sum(looks for some, looks in looked if some == n) for n in (32, 16, 8, 4, 2, 1)}
    assert steps == {32: 1 + 3*11, 16: 21, 8: 41, 4: 81, 2: 161, 1: 321}


def test_later_searches_go_on_with_the_images_that_came_nearest_to_being_turned(monkeypatch):
    inside = np.random.RandomState(0).permutation(10)/10
    x = np.ones((10, 8, 8, 1), np.float32)*inside[:, None, None, None].astype(np.float32)
    m = np.zeros_like(x)
    m[:, :, :4] = 1    # half of each: the brighter it is, the less the other half can do
    objects = pixels.Objects(tf.constant(x), tf.zeros(10, tf.int32), tf.constant(m))
    seen, move_on = [], pixels.move_on

    def watched(climb, objects, state, rows, looks):
        seen.append(objects.x[:, 0, 0, 0].numpy())
        move_on(climb, objects, state, rows, looks)
    monkeypatch.setattr(pixels, 'move_on', watched)
    halves = Reader((8, 8, 1), lambda z: tf.stack([
        1.5 + tf.reduce_mean(z[:, :, :4], (1, 2, 3)), tf.reduce_mean(z[:, :, 4:], (1, 2, 3)),
        tf.zeros(len(z))], 1))
    found = pixels.search(halves, objects, Key.of(0), SHORT._replace(starts=('noise', 'others')))
    assert sorted(seen[-1]) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    margins = pixels.margins_of(climbing.judger(halves), objects, found.b)
    assert found.right.all() and margins == pytest.approx(-0.5 - inside, abs=0.02)   # all white


def test_no_scale_of_the_logits_hides_their_gradient(data, model, found):
    scaled = Reader(toys.SHAPE, lambda z: 1000*model(z, training=False))
    assert pixels.search(scaled, pixels.subjects(data), Key.of(0), SHORT).left == found.left
    sure, y = tf.constant([[200., 0., 1.], [3., 2., 2.]]), tf.constant([0, 0])
    with tf.GradientTape() as tape:
        tape.watch(sure)
        odds = climbing.log_odds(sure, y)
    p = tf.nn.softmax(sure)[1, 0]
    assert odds[1].numpy() == pytest.approx(np.log((1 - p)/p), abs=1e-5)
    assert tape.gradient(odds, sure)[0].numpy() == pytest.approx([-1, 0.269, 0.731], abs=1e-3)
    for scale in (1, 9):
        assert climbing.margin_ratio(scale*sure, y).numpy() == pytest.approx([-199/200, -1])
    assert climbing.margin_ratio(sure[:, :2], y).numpy().tolist() == [-200, -1]   # two classes


def test_the_highest_background_on_the_way_is_a_wrong_one_if_any_was():
    logits, y = tf.constant([[1., 1.1, -9.], [1., 0.99, 0.99]]), tf.constant([0, 0])
    assert tf.nn.softmax(logits)[0, 0] > tf.nn.softmax(logits)[1, 0]   # and yet the first is the wrong one
    for loss in climbing.LOSSES.values():
        wrong, right = loss(logits, y).numpy()
        assert wrong > right


def test_only_the_first_images_count(data, model, monkeypatch):
    monkeypatch.setattr(pixels, 'IMAGES', 10)
    monkeypatch.setattr(pixels.search, '__defaults__', (SHORT,))
    images = data.tests['original'].images()
    x, y = images.x.copy(), images.y.copy()
    x[10:], y[10:] = 255 - x[10:], (y[10:] + 1) % 3
    changed = data._replace(tests={'original': mydatasets.Test(lambda: Images(x, y))})
    first, second = (pixels.pixels(model, d, 3) for d in (data, changed))
    assert first == second and first.n == 10 and '10 images' in first.line()


def test_photographs_need_masks_and_are_taken_from_all_over(monkeypatch):
    net = mymodels.classifier((16, 16, 3), 2, width=4, dense=8)
    monkeypatch.setattr(pixels, 'PHOTOGRAPHS', 5)
    monkeypatch.setattr(pixels.search, '__defaults__', (SHORT,))
    objects = pixels.subjects(toys.in_colour())
    assert objects.y.numpy().tolist() == [0, 0, 0, 0, 0]   # every second one
    assert objects.m[0, ..., 0].numpy().sum() == 90 - 12   # 5 x 6 grown by a disk of 2 pixels
    assert pixels.pixels(net, toys.in_colour(), 0).n == 5
    with pytest.raises(UserError, match='true masks of photos'):
        pixels.pixels(net, toys.in_colour(masks=False), 0)


@pytest.mark.parametrize('n', (0, 1, 3, 20, 47, 1000))
def test_batches_are_of_one_size_keep_all_busy_and_every_row_counts_once(n):
    rows = np.arange(n) + 5
    found = list(batches(rows, 40))
    assert [r for some, k in found for r in some[:k]] == rows.tolist()
    assert len({len(some) for some, _ in found}) == (n > 0)
    assert all(len(some) <= 40 for some, _ in found)
    assert len(found) >= min(n, SIDE_BY_SIDE)
    assert sum(len(some) for some, _ in found) - n <= len(found)*4   # a few stand twice, no more


def test_side_by_side_calls_each_once_and_passes_errors_on():
    done = np.zeros(9, int)

    def count(i, by):
        if by > 1:
            raise ValueError(f'by {by}')
        done[i] += by
    side_by_side(count, ((i, 1) for i in range(9)))
    assert done.tolist() == [1]*9
    with pytest.raises(ValueError, match='by 2'):
        side_by_side(count, [(0, 2)])

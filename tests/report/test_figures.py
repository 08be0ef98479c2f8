"""Figures: each function writes one whole PNG of what it was given; occlusion finds where a model looks."""
import io
import os
import sys

import numpy as np
import pytest
from PIL import Image

import mydatagen
import mydatasets
from common.errors import UserError
from common.quiet import tf
from report import figures
from scoring import occlusion

HISTORY = [{'epoch': e, 'ce': 1/e, 'tv': 0.1, 'accuracy': 1 - 0.5/e, 'seconds': e,
            **({'val_accuracy': 0.9, 'val_shapes': 0.5} if e % 2 == 0 else {})} for e in range(1, 7)]

ERRORS = [{'epoch': e, 'huber': 1/e, 'error': 20/e, 'val_error': 3., 'area': 0.3} for e in (1, 2)]
SAID = [('12', True), ('-31.5', False), ('a', True)]


@pytest.fixture
def random():
    return np.random.default_rng(0)


def opened(path):
    """The picture as an array (h, w, channels)."""
    with open(path, 'rb') as f:
        return np.asarray(Image.open(io.BytesIO(f.read())).convert('RGB'))


def drawn(path):
    """A figure that is no blank page and whose margins are white: nothing was cut off."""
    picture = opened(path)
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]   # no temporary file stays
    assert picture.shape[0] > 100 and picture.shape[1] > 200 and len(np.unique(picture)) > 10
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == 255).all()
    return picture


def test_save_grid_keeps_every_pixel(tmp_path, random):
    grey, colour = random.random((3, 32, 32, 1)), random.random((2, 32, 32, 3))
    path = str(tmp_path/'new'/'grid.png')
    figures.save_grid(path, [grey, tf.constant(colour)])
    picture = opened(path)
    assert picture.shape == (2*(64 + 2), 3*(64 + 2), 3)   # small pictures are enlarged
    first = picture[2:66:2, 2:66:2]
    assert np.array_equal(first[..., 0], np.round(grey[0, ..., 0].astype(np.float32)*255))
    assert np.array_equal(picture[68::2, 68:132:2], np.round(colour[1].astype(np.float32)*255))
    assert (picture[66:, 134:] == 255).all()   # the shorter row is filled with white


def test_save_grid_takes_large_pictures_and_clips(tmp_path):
    path = str(tmp_path/'grid.png')
    figures.save_grid(path, [np.full((1, 100, 100, 1), 1.5), np.full((1, 100, 100, 1), -1.)])
    picture = opened(path)
    assert picture.shape == (2*102, 102, 3) and set(np.unique(picture)) == {0, 255}


def test_save_grid_does_not_wait_for_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib', None)   # to import it is an error now
    figures.save_grid(str(tmp_path/'grid.png'), [np.zeros((1, 8, 8, 1))])


@pytest.mark.parametrize('name, draw', {
    'method': lambda p, r: figures.method_diagram(p),
    'masks': lambda p, r: figures.masks(p, [r.random((4, 16, 16, c)) for c in (3, 1, 1, 3)]),
    'predictions': lambda p, r: figures.masks(p, r.random((4, 3, 16, 16, 3)), {'Best': SAID}),
    'answers': lambda p, r: figures.answers(p, 'abc', r.random((3, 16, 16, 1)), {'Best': SAID}),
    'errors': lambda p, r: figures.curves(p, {'Baseline': ERRORS}),
    'worst': lambda p, r: figures.worst_cases(
        p, {'image': (r.random((3, 16, 16, 3)), 'aba'), 'Best': (r.random((3, 16, 16, 3)), 'abb')}),
    'price': lambda p, r: figures.price(p, 'mnist', {'Best': (.995, 0.), 'Ascent': (.99, .7)}),
    'backgrounds': lambda p, r: figures.backgrounds(p, dict.fromkeys((1, 10), r.random((5, 16, 16, 1)))),
    'curves': lambda p, r: figures.curves(p, {'Baseline': HISTORY, 'unet': HISTORY[:1]}),
    'sensitivity': lambda p, r: figures.sensitivity(
        p, r.random((3, 16, 16, 1)), {'Baseline': r.random((3, 16, 16)), 'Best': r.random((3, 16, 16))}),
}.items(), ids=lambda v: v if isinstance(v, str) else '')
def test_every_figure_is_drawn_whole(tmp_path, random, name, draw):
    path = str(tmp_path/f'{name}.png')
    draw(path, random)
    drawn(path)


def test_teaser_shows_each_test_with_its_accuracies(tmp_path, monkeypatch):
    monkeypatch.setattr(mydatagen, 'MOST_PIXELS', 2*16*16)   # as at 224: not in the first batch
    data, sizes = mydatasets.load('toy_backgrounds'), []
    found = {'Baseline': dict.fromkeys(data.tests, 0.31), 'Proposal': {'original': 0.95}}
    for accuracies in ({'Baseline': found['Baseline']}, found):
        path = str(tmp_path/str(len(sizes))/'teaser.png')
        figures.teaser(path, data.tests, accuracies, row=5)
        sizes.append(drawn(path).shape)
    assert sizes[1][0] > sizes[0][0]   # another method is another line


def test_noise_curves_come_from_rows_alone(tmp_path):
    rows = [{'dataset': 'mnist', 'method': m, 'seed': s, 'test': f'noise-{r:g}', 'n': 100, 'correct': 50,
             'accuracy': 0.9 - 0.4*r - 0.01*s, 'settings': 'a'}
            for m in ('baseline', 'best') for s in range(3) for r in (0, 0.01, 0.1, 1)]
    path = str(tmp_path/'noise.png')
    figures.noise_curves(path, rows, 'mnist')
    drawn(path)
    with pytest.raises(UserError, match='digits_noises'):
        figures.noise_curves(path, rows, 'digits')


def test_occlusion_finds_the_pixels_that_a_model_reads():
    def model(x, training=False):   # looks at one corner only
        seen = tf.reduce_sum(x[:, :4, :4, 0], (1, 2))
        return tf.stack([seen, -seen, 0*seen], 1)
    x = np.ones((2, 16, 16, 1), np.float32)
    heat = occlusion.occlusion(model, x)
    assert heat.shape == (2, 16, 16) and heat.min() >= 0 and heat.max() == 1
    assert heat[:, :4, :4].min() > 0.2 and heat[:, 6:].max() == heat[:, :, 6:].max() == 0
    blind = occlusion.occlusion(lambda x, training: tf.zeros((tf.shape(x)[0], 3)), x)
    assert (blind == 0).all()

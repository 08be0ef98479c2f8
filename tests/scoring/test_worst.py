"""Right on every one of a fixed set: by hand from its backgrounds, which no other test shows."""
import numpy as np
import pytest

import mydatasets
import mymodels
import toys
from common.errors import UserError
from common.quiet import tf
from mybackgrounds import compose
from mydatagen import to_float
from scoring import unseen, worst


def test_the_set_has_six_draws_of_each_family_white_once_and_none_of_the_other_tests():
    assert len(worst.SET) == len(set(worst.SET)) == 8*6 + 1
    for family in unseen.FAMILIES:
        draws = [unseen.drawn(family, 16, 1, 0, seed) for f, seed in worst.SET if f == family]
        assert len(draws) == (1 if family == 'white' else 6)
        if family != 'white':
            draws.append(unseen.bank(family, 16, unseen.CHUNK))   # of the tests unseen-*
            same = [np.mean((a == b).all((1, 2, 3))) for i, a in enumerate(draws) for b in draws[:i]]
            assert max(same) < 0.05   # grey has but 128 values, patterns some hundred places


@pytest.mark.parametrize('halo', (mydatasets.HALO, pytest.param(0, marks=pytest.mark.slow)))
def test_worst_is_what_is_right_on_each_background_of_the_set(halo):
    data, model = mydatasets.load('toy'), toys.classifier()
    images = data.tests['original'].images().take(np.arange(unseen.CHUNK + 20) % 96)   # of two chunks
    data = data._replace(tests={'original': mydatasets.Test(lambda: images)})
    x = to_float(images.x)
    m, rows, right = mydatasets.true_mask(x, halo), np.arange(len(images)), []
    for family, seed in worst.SET:
        z = compose(x, m, unseen.backgrounds(family, 16, rows, 1, seed))
        right.append(tf.argmax(model(z), 1).numpy() == images.y)
    found = worst.worst(model, data, halo)
    assert (found.correct, found.n) == (np.all(right, 0).sum(), 520)
    assert 0 < found.correct <= min(r.sum() for r in right) and '49 backgrounds' in found.line()


def test_photographs_with_masks_have_it_and_others_are_refused_in_one_line():
    net = mymodels.classifier((16, 16, 3), 2, width=4, dense=8)
    assert worst.worst(net, toys.in_colour(), 0).n == 9
    with pytest.raises(UserError, match='true masks of photos'):
        worst.worst(net, toys.in_colour(masks=False), 0)

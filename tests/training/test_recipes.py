"""Rows: in how many steps they are trained, and those of ImageNet networks."""
import pytest

import reproduce
import train3
from common.errors import UserError
from training import options


@pytest.mark.parametrize('method, found', [('best', (2500, 12000)), ('ascent', (2500, 12000, 6000)),
                                           ('unet', (2500, 300)), ('segment', (2500, 300, 1000))])
def test_the_steps_of_a_row_are_those_of_the_network_that_it_began_as(method, found):
    plan = reproduce.Plan(reproduce.parse(['mnist']), 'mnist', 0, True, images=54_000)
    assert reproduce.steps(plan, method) == found


@pytest.mark.parametrize('name', ['mnist', 'mnist_angle', 'digits', 'toy', 'folder:x'])
def test_no_row_gives_an_option_that_does_nothing(name):
    plan = reproduce.Plan(reproduce.parse([name]), name, 0, not name.startswith('folder:'))
    argv = [reproduce.parsed(plan, m) for m, phase in plan.phases.items() if phase.script == 'train3']
    assert len(argv) > 10
    for args in argv:
        options.refuse_idle(args)


def test_what_paper_sets_may_be_idle_but_what_is_given_beside_it_may_not():
    words = ['toy', 'f', 'u', 'otsu', 'textures', '--paper']
    options.refuse_idle(train3.parse(words), train3.PAPER)
    with pytest.raises(UserError, match='--ascent-rim does nothing without pixels; add that'):
        options.refuse_idle(train3.parse([*words, '--ascent-rim', '1']), train3.PAPER)


# Rows of ImageNet networks

def backbone_plan(weights, name='photos'):
    words = ['folder:x', '--backbone', 'MobileNetV2', '--backbone-weights', str(weights), '--size', '128',
             '--name', name]
    return reproduce.Plan(reproduce.parse(words), 'folder:x', 0, False, 1e-4)


def test_rows_on_a_backbone_do_not_depend_on_where_its_weights_lie(tmp_path):
    for name, content in (('a', b'1'), ('b', b'1'), ('c', b'2')):
        (tmp_path/name).write_bytes(content)
    a, b, c = ({m: reproduce.fingerprint(backbone_plan(tmp_path/name), m)
                for m in ('probe', 'baseline', 'augment', 'unet', 'best', 'best-flood')} for name in 'abc')
    assert a == b and all(a[m] != c[m] for m in a) and len(set(a.values())) == len(a)


def test_the_options_of_a_row_win_over_the_defaults_of_backbones():
    argv = {m: reproduce.parsed(backbone_plan('none'), m) for m in ('baseline', 'best', 'unet')}
    assert argv['baseline'].epochs == options.BACKBONE['train1']['epochs'] < argv['best'].epochs
    assert argv['best'].zoom > 1 and argv['best'].batchsize == argv['unet'].batchsize == 32


def test_the_steps_of_a_backbone_are_not_known_without_its_images():
    plan = backbone_plan('none')
    assert reproduce.steps_by_fingerprint([plan]) == {}
    steps = reproduce.steps_by_fingerprint([plan._replace(images=320)])
    assert (80, 160) in steps.values() and (0,) in steps.values()   # Best; the probe takes none

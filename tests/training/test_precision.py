"""--precision auto: one recorded table, the same answer in every phase."""
import pytest

import mymodels
import toys
import train1
import train2
import train3
import train_att
from common import hardware
from common.errors import UserError
from training import precision, start, weightfiles
from training.precision import precision_of


@pytest.mark.parametrize('backbone, wanted', [
    (None, 'bfloat16'), ('VGG19', 'float32'), ('ResNet50', 'bfloat16'), ('MobileNetV2', 'bfloat16'),
    ('MobileNetV3Large', 'bfloat16'), ('MobileNetV3Small', 'float32'), ('ANetworkOfTomorrow', 'float32')])
def test_the_table_knows_networks_and_what_it_does_not_know_is_float32(backbone, wanted):
    network = {'backbone': backbone} if backbone else {'width': 32}
    assert [precision_of(network, p) for p in hardware.NATIVE] == [wanted]*2
    assert precision_of(network, None) == precision_of(network, 'gpu') == 'float32'


def test_every_name_of_the_table_is_a_network():
    names = mymodels.backbone_names()
    assert all(any(n.startswith(k) for n in names) for k in (*precision.BFLOAT16, *precision.FLOAT32))


class Settled(Exception):
    """Carries the precision that a phase settled on."""


def settled(main, words, monkeypatch):
    """The precision that a trainer settles on, before its first step."""
    def stop(self, **values):
        raise Settled(values['precision'])
    with monkeypatch.context() as m:
        m.setattr(start.Job, 'settled', stop)
        with pytest.raises(Settled) as e:
            main([*words, '--quiet'])
    return e.value.args[0]


@pytest.mark.parametrize('backbone', ('MobileNetV2', 'MobileNetV3Small', None))
def test_all_phases_of_one_classifier_have_the_same_precision(backbone, tmp_path, monkeypatch):
    monkeypatch.setattr(start, 'processor', lambda: 'avx512_bf16')
    network = {'backbone': backbone, 'head': 'pooled'} if backbone else {'width': 4, 'dense': 8}
    data = f'folder:{toys.photographs(tmp_path/"p", side=32)}'
    sidecar = {'kind': 'classifier', 'shape': [32, 32, 3], 'classes': ['cat', 'dog'], 'network': network}
    monkeypatch.setattr(weightfiles, 'read_sidecar', lambda path: sidecar)
    own = ['--backbone', backbone, '--backbone-weights', 'none'] if backbone else []
    size, f = ['--size', '32', '--output', str(tmp_path/'x')], str(tmp_path/'f')
    found = {settled(train1.main, [data, *own, *size], monkeypatch),
             settled(train2.main, [data, f, *size], monkeypatch),
             settled(train3.main, [data, f, 'u', 'snap', 'textures', *size], monkeypatch),
             settled(train_att.main, [data, '--global-classifier', f, *size], monkeypatch)}
    assert found == {precision_of(network, 'avx512_bf16')}


def test_large_images_without_a_backbone_mean_the_papers(monkeypatch):
    args = train1.parse(['toy'])
    assert start.classifier_of(args, {}, (128, 128, 3))['backbone'] == 'VGG19'
    assert not start.classifier_of(args, {}, (64, 64, 3)).get('backbone')


def test_deterministic_is_float32_whatever_the_table_says(tmp_path, monkeypatch):
    monkeypatch.setattr(start, 'processor', lambda: 'avx512_bf16')
    args = train1.parse(['toy', '--deterministic', '--output', str(tmp_path/'x')])
    assert start.settled_precision(args, {}) == 'float32'
    args.precision = 'bfloat16'
    with pytest.raises(UserError, match='--deterministic'):
        start.begin(args, 's')

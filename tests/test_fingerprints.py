"""Recorded rows stay valid: each kind of row keeps the settings fingerprint that it was recorded with."""
import os

import pytest

import mymodels
import reproduce
import toys
from scoring import rowfile

RESULTS = os.path.join(toys.ROOT, 'results')
SIGNS = 'folder:../shared/signs'
# (data set, phase): settings. Typed in once, from the recorded rows; phase 2 has rows of masks
PINNED = {
    ('mnist', 'baseline'): '4de26318', ('mnist', 'unet'): '0848eb2a', ('mnist', 'attention'): 'f7db69ef',
    ('mnist', 'proposal'): '05eeed50', ('mnist', 'plain'): 'e31cb8ef', ('mnist', 'textures'): '2cd51e21',
    ('mnist', 'best'): 'af3b4a6e', ('mnist', 'black'): 'eae0a2dc', ('mnist', 'noise'): '62f9ed2a',
    ('mnist', 'real'): '4ca2e22d', ('mnist', 'best-short'): 'ada57a74', ('mnist', 'best-pool'): '6e67c809',
    ('mnist', 'best-clean'): '83288f3d', ('mnist', 'best-unet'): '111da7cf',
    ('mnist', 'best-rate'): 'd72f153f', ('mnist', 'best-settle'): '1c6b0eeb',
    ('mnist', 'ascent'): 'f790c8b2', ('mnist', 'ascent-20'): 'f0abc250',
    ('mnist', 'ascent-grown'): 'a1a0b276', ('mnist', 'ascent-fine'): '23883b7e',
    ('mnist', 'ascent-finer'): '21d33213', ('mnist', 'ascent-wide'): 'e7b4b216',
    ('mnist', 'ascent-wide-fine'): '4dd973dc', ('fashionmnist', 'ascent-textures-fine'): 'c5e72198',
    ('mnist', 'ascent-wide-falling'): 'd409e967', ('mnist', 'best-renewed'): '5034736a',
    ('mnist', 'ascent-edge'): '2c293b4c', ('fashionmnist', 'ascent-quarter'): '673e2e6e',
    ('mnist', 'ascent-edge-long'): '8424513f', ('mnist', 'ascent-edge-short'): 'aaaf789e',
    ('fashionmnist', 'ascent-quarter-short'): '6bf4a136',
    ('mnist', 'ascent-far'): '8112cb29', ('fashionmnist', 'ascent-textures'): '09443f3e',
    ('fashionmnist', 'baseline'): '4de26318', ('fashionmnist', 'best'): 'af3b4a6e',
    ('signs', 'baseline'): 'bfc04179', ('signs', 'attention'): 'e68f5ac8', ('signs', 'best'): '4dae9bea',
    ('signs', 'best-short'): 'f19612a1', ('signs', 'proposal'): 'f7288404', ('signs', 'real'): 'c090dfad',
    ('signs', 'textures'): 'f1fe7f3b', ('signs', 'black'): 'eccc084c', ('signs', 'noise'): '75970eba',
}


IMAGENET = os.path.join(toys.ROOT, '..', 'shared', 'weights',
                        'mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5')


def settings(dataset, method):
    name = SIGNS if dataset == 'signs' else dataset
    return reproduce.fingerprint(reproduce.Plan(reproduce.parse([name]), name, 0, dataset != 'signs'), method)


@pytest.mark.parametrize('dataset, method', PINNED)
def test_a_phase_keeps_the_fingerprint_that_its_rows_were_recorded_with(dataset, method):
    assert settings(dataset, method) == PINNED[dataset, method]


@pytest.mark.parametrize('name, least', [('accuracy.csv', 3000), ('scores.csv', 300)])
def test_every_recorded_row_counts_as_done(name, least):
    rows = rowfile.read(os.path.join(RESULTS, name))
    networks = [r for r in rows if r['settings']]   # not answers of no network
    recorded = {(r['dataset'], r['method']): r['settings'] for r in networks}
    assert len(rows) > least
    assert {k: settings(*k) for k in recorded} == recorded
    assert {r['settings'] for r in networks} == set(recorded.values())


@pytest.mark.skipif(not os.path.exists(IMAGENET), reason='../shared/weights is not there')
@pytest.mark.parametrize('name, folder, size', [('office31-128', 'office31', '128'),
                                                ('office31-224', 'office31', '224'),
                                                ('signs-128', 'signs', '128')])
def test_every_recorded_row_of_pretrained_networks_counts_as_done(name, folder, size):
    words = [f'folder:../shared/{folder}', '--name', name, '--size', size, '--backbone', 'MobileNetV2',
             '--backbone-weights', IMAGENET]
    plan = reproduce.Plan(reproduce.parse(words), words[0], 0, False, mymodels.POOLED_RATE)
    rows = rowfile.read(os.path.join(RESULTS, name, 'accuracy.csv'))
    recorded = {(r['method'], r['settings']) for r in rows}
    assert recorded and {(m, reproduce.fingerprint(plan, m)) for m, _ in recorded} == recorded

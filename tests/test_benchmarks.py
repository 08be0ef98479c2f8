"""The benchmarks run on the present code; what they measure here, on tiny images, means nothing."""
import json

import pytest

from benchmarks import backbones, measure, peers, steps, streaming, time_to_accuracy

ONCE = ['--batchsize', '4', '--repeats', '1']


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(measure, 'SECONDS', 0)
    monkeypatch.setattr(measure, 'matrix_rate', lambda: 1e9)


def figures(out):
    """{first cell: cells} of a printed table."""
    lines = [line.strip('│ ').split('│') for line in out.splitlines() if '│' in line]
    rows = [[cell.strip() for cell in line] for line in lines]
    return {row[0]: row for row in rows}


@pytest.mark.slow
def test_the_step_of_phase_3_is_measured_with_its_parts(capsys):
    names = ['phase 3, adversary', 'composition']
    assert steps.main(['--side', '16', *ONCE, '--precision', 'float32', '--only', *names]) == 0
    found = figures(capsys.readouterr().out)
    assert list(found) == names and float(found[names[0]][3]) > 0


def test_parts_are_measured_and_steps_of_every_phase_can_be_built(capsys):
    assert steps.main(['--side', '16', *ONCE, '--precision', 'float32', '--only', 'composition']) == 0
    assert figures(capsys.readouterr().out)['composition'][1]
    wanted = ['phase 1', 'phase 2', *steps.FORMS]
    assert list(steps.steps(16, 4, 'float32', wanted)) == wanted


@pytest.mark.slow
def test_every_step_is_measured(capsys, monkeypatch):
    monkeypatch.setattr(steps, 'start_up', lambda: 1.)
    assert steps.main(['--side', '16', *ONCE, '--precision', 'float32', 'bfloat16']) == 0
    assert {'phase 1', 'phase 2', *steps.FORMS, 'attention', 'evaluation', *steps.PARTS} <= set(
        figures(capsys.readouterr().out))


@pytest.mark.slow
def test_phases_are_measured_beside_the_usual_way(capsys):
    assert peers.main(['--side', '16', *ONCE]) == 0
    out = capsys.readouterr().out
    assert out.count('ours') == 4 and 'Keras fit' in out


@pytest.mark.slow
def test_a_backbone_is_measured_in_both_precisions(capsys):
    words = ['--backbone', 'MobileNetV2', '--side', '32', *ONCE]
    assert backbones.main([*words, '--precision', 'float32', 'bfloat16', '--alone']) == 0
    assert set(figures(capsys.readouterr().out)) == {'training', 'prediction'}


@pytest.mark.slow
def test_streaming_goes_through_both_phases(capsys):
    words = ['--images', '1000', '--files', '200', '--side', '32', '--steps', '1', '--batchsize', '8']
    assert streaming.main([*words, '--phase3']) == 0
    assert 'phase 3, 1 steps' in capsys.readouterr().out


def test_time_to_accuracy_counts_the_phases_before(tmp_path, capsys):
    for name, seconds in (('baseline', 10.), ('unet', 20.), ('proposal', 30.)):
        line = {'seconds': seconds, 'val_shapes': 0.99}
        (tmp_path/f'toy-{name}-0.history.json').write_text(json.dumps([line]))
    words = ['toy', '--saved', str(tmp_path), '--methods', 'baseline', 'proposal', '--levels', '97',
             '--figure', str(tmp_path/'x.png')]
    assert time_to_accuracy.main(words) == 0
    assert 'proposal: 97 % after 60 s' in capsys.readouterr().out and (tmp_path/'x.png').is_file()

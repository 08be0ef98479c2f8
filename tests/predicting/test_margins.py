"""predict.py on images of other sizes and grounds than training read."""
import numpy as np
import pytest
from PIL import Image

import mymodels
import predict
import toys
from training import weightfiles
from toys import error_of


@pytest.fixture(scope='module')
def padded(tmp_path_factory):
    """Weights of a new classifier whose training images were 28x28 padded to 32x32."""
    folder = tmp_path_factory.mktemp('padded')
    network = {'width': 2, 'dense': 4}
    weightfiles.save(mymodels.classifier((32, 32, 1), 3, **network), folder/'f', kind='classifier',
                     dataset='mnist', network=network, shape=[32, 32, 1], classes=toys.CLASSES)
    return folder/'f'


def pixels_read(monkeypatch, capsys, *words):
    """([image as the network sees it], notes) of a run."""
    seen, collect = [], predict.collect

    def watched(args, found, frame):
        return collect(args, (seen.append(pictures[0]) or (row, pictures) for row, pictures in found), frame)
    monkeypatch.setattr(predict, 'collect', watched)
    assert predict.main([*map(str, words), '--quiet']) == 0
    monkeypatch.setattr(predict, 'collect', collect)
    return seen, capsys.readouterr().err


def test_images_of_any_size_get_the_margin_that_training_had_and_a_note(padded, tmp_path, monkeypatch,
                                                                          capsys):
    for side in (28, 32, 70):
        Image.new('L', (side, side), 200).save(tmp_path/f'{side}.png')   # objects drawn to the edge
    seen, notes = pixels_read(monkeypatch, capsys, padded, tmp_path)
    small, own, large = seen
    rim = np.pad(np.full((28, 28, 1), 200, np.uint8), ((2, 2), (2, 2), (0, 0)))
    assert np.array_equal(small, rim) and np.array_equal(large, rim) and (own == 200).all()
    assert '1 of 3 images are not 28x28' in notes and 'margin of 2' in notes and '--margin' in notes
    assert not pixels_read(monkeypatch, capsys, padded, tmp_path/'28.png', '--invert')[1]


def test_the_margin_is_what_the_user_says(padded, tmp_path, monkeypatch, capsys):
    Image.new('L', (70, 50), 200).save(tmp_path/'70.png')
    Image.new('L', (32, 32), 200).save(tmp_path/'32.png')
    for margin in (0, 6, 15):
        seen, notes = pixels_read(monkeypatch, capsys, padded, tmp_path, '--margin', margin)
        inside = np.full((32 - 2*margin,)*2, 200, np.uint8)
        assert all(np.array_equal(x[..., 0], np.pad(inside, margin)) for x in seen) and len(seen) == 2
        assert '28x28' not in notes
    assert 'at most 15' in error_of(predict.main, padded, tmp_path, '--margin', 16)


def test_a_bright_border_is_noted_inside_the_margin_too(padded, tmp_path, monkeypatch, capsys):
    for side in (28, 70):
        Image.new('L', (side, side), 230).save(tmp_path/f'{side}.png')
    assert '--invert' in pixels_read(monkeypatch, capsys, padded, tmp_path)[1]
    assert '--invert' not in pixels_read(monkeypatch, capsys, padded, tmp_path, '--invert')[1]


def test_dark_objects_on_paper_are_noted_and_inverted_on_request(world, tmp_path, capsys):
    folder, images = world
    for i, x in enumerate(images.x):
        Image.fromarray(255 - x[..., 0]).save(tmp_path/f'{i}.png')
    assert predict.main([str(folder/'classifier'), str(tmp_path)]) == 0
    assert '--invert' in capsys.readouterr().err
    assert predict.main([str(folder/'classifier'), str(tmp_path), '--invert']) == 0
    out, err = capsys.readouterr()
    assert predict.main([str(folder/'classifier'), str(folder/'photos')]) == 0
    plain = capsys.readouterr().out
    assert not err and [s.split('\t')[1:] for s in out.splitlines()] == [
        s.split('\t')[1:] for s in plain.splitlines()]

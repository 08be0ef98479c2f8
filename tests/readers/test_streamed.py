"""More photographs than fit into memory."""
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import mydatagen
import mydatasets
import toys
from pictures import noise, pixels_of, save
from readers import photographs
from readers.photographs import read_image
from toys import ROOT


def test_photographs_that_do_not_fit_are_streamed_and_are_the_same_pixels(photos, forgetful, monkeypatch):
    whole = toys.load(f'folder:{photos}', size=16)
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 14*16*16*3 - 1)   # one byte less than all splits take
    streamed = toys.load(f'folder:{photos}', size=16)
    pairs = [(whole.train, streamed.train), (whole.validation, streamed.validation)]
    pairs += [(whole.tests[k].images(), streamed.tests[k].images()) for k in whole.tests]
    for a, b in pairs:
        assert isinstance(b.x, list) and b.shape == (16, 16, 3)
        assert np.array_equal(a.x, pixels_of(b)) and np.array_equal(a.y, b.y)
    assert np.array_equal(*(np.concatenate([b['x'] for b in d.tests['test-field'].batches()])
                            for d in (whole, streamed)))


def test_streamed_file_names_may_be_any_bytes(photos, forgetful, monkeypatch):
    names = [os.fsdecode(b'caf\xe9 \xff\xfe.png'), 'ü ☃.png']   # Latin-1 and worse
    for name, old in zip(names, ('0.png', '1.png')):
        for split in 'train', 'test-field':
            os.rename(photos/split/'cat'/old, photos/split/'cat'/name)
    whole = toys.load(f'folder:{photos}', size=16)
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 0)
    streamed = toys.load(f'folder:{photos}', size=16)
    found = whole.tests['test-field'].images(), streamed.tests['test-field'].images()
    for a, b in (whole.train, streamed.train), (whole.validation, streamed.validation), found:
        assert isinstance(b.x, list) and np.array_equal(a.x, pixels_of(b))
    assert names[0] in map(os.path.basename, found[1].x)


def test_a_large_test_is_streamed_even_where_training_images_would_fit(photos, forgetful, monkeypatch):
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 6*16*16*3)   # the training images alone
    data = toys.load(f'folder:{photos}', size=16)
    assert isinstance(data.tests['test-field'].images().x, list)


def test_masks_of_streamed_photographs_are_held_or_left_out_with_a_word(photos, forgetful, monkeypatch,
                                                                        capsys):
    for name in 'cat', 'dog':
        for i in range(3):
            save(photos/'masks'/'train'/name/f'{i}.png', Image.new('L', (40, 40), 255))
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 1)
    data = toys.load(f'folder:{photos}', size=16)
    assert data.masks and data.train.m.shape[1:] == (16, 16, 1) and len(data.train.m) == len(data.train)
    assert not capsys.readouterr().err
    monkeypatch.setattr(mydatasets, 'MASK_BYTES', 6*16*16 - 1)
    data = toys.load(f'folder:{photos}', size=16)
    assert not data.masks and data.train.m is None and '6 masks of train' in capsys.readouterr().err


def test_of_too_many_backgrounds_some_from_all_over_are_used(photos, forgetful, monkeypatch, capsys):
    for i in range(2, 10):
        save(photos/'backgrounds'/f'{i}.jpg', noise(90 + i))
    monkeypatch.setattr(photographs, 'BACKGROUND_BYTES', 4*32*32*3)
    data = toys.load(f'folder:{photos}', size=16)
    assert data.backgrounds.shape == (4, 32, 32, 3) and '4 of the 10' in capsys.readouterr().err


@pytest.mark.parametrize('held', [True, False])
def test_photographs_are_made_square_as_asked(photos, forgetful, monkeypatch, held):
    wide = save(photos/'train'/'cat'/'0.png', noise(7, 60, 30))
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 10**9*held)
    for fit in photographs.FITS:
        data = toys.load(f'folder:{photos}', size=16, fit=fit)
        found = np.concatenate([pixels_of(data.train), pixels_of(data.validation)])
        assert (found == read_image(wide, 16, fit=fit)).all((1, 2, 3)).any() and data.fit == fit


def test_streamed_photographs_can_be_pictured_too(photos, monkeypatch, forgetful):
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 0)
    images = toys.load(f'folder:{photos}', size=16).train
    batch = mydatagen.spread(images, 2)
    assert isinstance(images.x, list) and batch['x'].shape == (2, 16, 16, 3)
    assert list(batch['y'].numpy()) == [0, 1]


@pytest.mark.slow
def test_training_from_links_keeps_within_4_gb():
    words = ['-m', 'benchmarks.streaming', '--images', '10000', '--files', '100', '--steps', '2']
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-2].replace(',', '')) < 4000

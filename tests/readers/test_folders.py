"""Folders of photographs: what lies in them, every kind of damage told with its path, data sets of them."""
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from PIL import Image

import mydatagen
import mydatasets
import toys
from common.errors import UserError
from mydatagen import in_order
from pictures import converted, cut, huge_png, needs_signs, noise, save, SIGNS
from readers import folders, photographs
from readers.folders import check, scan
from readers.photographs import read_all, read_image, read_mask
from toys import ROOT


@pytest.fixture
def photos(tmp_path):
    """Two classes, three training images and two of each of two tests, two backgrounds; all sound."""
    seed = iter(range(1000))
    for split, n in {'train': 3, 'test-field': 2, 'test-studio': 2}.items():
        for name in 'cat', 'dog':
            for i in range(n):
                save(tmp_path/split/name/f'{i}.png', noise(next(seed)))
    for i in range(2):
        save(tmp_path/'backgrounds'/f'{i}.jpg', noise(next(seed), 60, 50))
    return tmp_path


def report(folder, **options):
    """The lines of the report that check refuses the folder with."""
    with pytest.raises(UserError) as e:
        check(scan(folder), **options)
    return str(e.value).splitlines()


def line_of(lines, path):
    """The one line that names the path."""
    found = [s for s in lines if f'{path}: ' in s]
    assert len(found) == 1, lines
    return found[0]


# scan

def test_scan_finds_classes_splits_and_backgrounds_in_natural_order(tmp_path):
    for i in 10, 2, 1:
        for split in 'train', 'test10', 'test2', 'test':
            save(tmp_path/split/f'c{i}'/'x.png', noise(0))
        save(tmp_path/'train'/'c1'/f'img{i}.png', noise(0))
        save(tmp_path/'backgrounds'/f'b{i}.png', noise(0))
    folder = scan(tmp_path)
    assert folder.classes == ['c1', 'c2', 'c10']
    assert list(folder.splits) == ['train', 'test', 'test2', 'test10']
    assert [os.path.basename(p) for p in folder.splits['train'].paths] == [
        'img1.png', 'img2.png', 'img10.png', 'x.png', 'x.png', 'x.png']
    assert folder.splits['train'].labels.tolist() == [0, 0, 0, 0, 1, 2]
    assert folder.splits['train'].labels.dtype == np.int32
    assert [os.path.basename(p) for p in folder.backgrounds] == ['b1.png', 'b2.png', 'b10.png']
    assert folder.splits['train'].masks is None


def test_scan_does_not_depend_on_the_order_of_the_directory(photos, monkeypatch):
    scandir, first = os.scandir, scan(photos)

    class Backwards(list):
        __enter__, __exit__ = (lambda self: self), (lambda self, *a: None)
    monkeypatch.setattr(os, 'scandir', lambda p: Backwards(list(scandir(p))[::-1]))
    assert str(scan(photos)) == str(first)
    names = ['a2', 'A1', 'a10', 'a01', 'a1', '1', 'b', '']
    backwards = list(reversed(names))
    assert sorted(names, key=folders.natural) == sorted(backwards, key=folders.natural)


def test_scan_ignores_what_is_no_image_and_takes_endings_in_any_case(photos):
    cat = photos/'train'/'cat'
    for name in '.hidden.png', '._0.png', 'Thumbs.db', 'notes.txt', 'png':
        (cat/name).write_bytes(b'x')
    (cat/'folder.png').mkdir()
    (photos/'train'/'.ipynb_checkpoints').mkdir()
    save(cat/'UPPER.PNG', noise(90))
    save(cat/'Mixed.JpEg', noise(91))
    folder, notes = check(scan(photos))
    names = [os.path.basename(p) for p, i in zip(*folder.splits['train'][:2]) if i == 0]
    assert names == ['0.png', '1.png', '2.png', 'Mixed.JpEg', 'UPPER.PNG'] and not notes
    assert folder.classes == ['cat', 'dog']


def test_scan_knows_the_home_folder_and_does_not_mind_a_slash_or_a_path_object(photos, monkeypatch):
    monkeypatch.setenv('HOME', str(photos.parent))
    assert str(scan(f'~/{photos.name}/')) == str(scan(photos)) == str(scan(str(photos)))


@pytest.mark.parametrize('make, words', [
    (lambda p: None, 'no such folder'),
    (lambda p: p.write_text('x'), 'not a folder'),
    (lambda p: p.mkdir(), 'no folder train/'),
    (lambda p: (p/'train').mkdir(parents=True), 'no class folders'),
    (lambda p: (p/'train'/'cat').mkdir(parents=True), 'only the class cat'),
])
def test_scan_refuses_a_folder_without_the_layout_in_one_line(tmp_path, make, words):
    make(tmp_path/'photos')
    with pytest.raises(UserError, match=words) as e:
        scan(tmp_path/'photos')
    assert str(tmp_path/'photos') in str(e.value) and '\n' not in str(e.value)


def test_masks_are_found_by_place_with_any_ending_and_only_count_when_complete(photos):
    for name in 'cat', 'dog':
        save(photos/'masks'/'test-studio'/name/'0.BMP', Image.new('L', (40, 40)))
        save(photos/'masks'/'test-studio'/name/'1.gif', Image.new('L', (40, 40)))
    save(photos/'masks'/'test-field'/'cat'/'0.png', Image.new('L', (40, 40)))
    folder, notes = check(scan(photos))
    studio, field = folder.splits['test-studio'], folder.splits['test-field']
    assert [os.path.relpath(m, photos/'masks') for m in studio.masks] == [
        f'test-studio/{c}/{f}' for c in ('cat', 'dog') for f in ('0.BMP', '1.gif')]
    assert field.masks is None and len(notes) == 3
    for path in 'cat/1.png', 'dog/0.png', 'dog/1.png':
        assert 'no mask' in line_of(notes, photos/'test-field'/path)


def test_of_two_images_with_one_stem_each_gets_the_mask_of_its_own_name(photos):
    save(photos/'test-field'/'cat'/'0.jpg', noise(80))
    for name in '0.png', '0.jpg', '1.png':
        save(photos/'masks'/'test-field'/'cat'/name, Image.new('L', (40, 40)))
    paths = [p for p in scan(photos).splits['test-field'].paths if '/cat/' in p]
    masks = folders._masks(str(photos), paths)
    assert [os.path.basename(m) for m in masks] == [os.path.basename(p) for p in paths] and len(masks) == 3


# damage

def break_all(photos):
    """One file of each kind of damage -> {path: word of the report}."""
    cat, dog = photos/'train'/'cat', photos/'train'/'dog'
    save(cat/'cut.jpg', noise(50, 200, 200))
    cut(cat/'cut.jpg', 0.7)
    (cat/'empty.png').touch()
    (cat/'text.png').write_text('no image at all')
    (cat/'page.jpg').write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n')
    (dog/'link.png').symlink_to('/nowhere/at/all.png')
    os.mkfifo(dog/'pipe.png')
    huge_png(photos/'test-field'/'dog'/'bomb.png', 60000, 60000)
    huge_png(photos/'test-field'/'dog'/'large.png', 9000, 9000)
    (photos/'backgrounds'/'bad.jpg').write_bytes(b'\xff\xd8\xff')
    for name, size in {'0': (40, 40), '1': (40, 30)}.items():
        save(photos/'masks'/'test-studio'/'cat'/f'{name}.png', Image.new('L', size))
        save(photos/'masks'/'test-studio'/'dog'/f'{name}.png', Image.new('L', (20, 20)))
    cut(photos/'masks'/'test-studio'/'dog'/'1.png')
    return {cat/'cut.jpg': 'truncated', cat/'empty.png': 'empty', cat/'text.png': 'not an image',
            cat/'page.jpg': 'not an image', dog/'link.png': 'no such file', dog/'pipe.png': 'no such file',
            photos/'test-field'/'dog'/'bomb.png': 'pixels', photos/'test-field'/'dog'/'large.png': 'pixels',
            photos/'backgrounds'/'bad.jpg': '', photos/'masks'/'test-studio'/'cat'/'1.png': '40x30',
            photos/'masks'/'test-studio'/'dog'/'1.png': ''}


def test_every_damage_is_in_one_report_with_its_path_and_the_mend(photos):
    broken = break_all(photos)
    lines = report(photos)
    assert '--skip-damaged' in lines[0] and 'class folders' not in lines[0]
    assert f'{len(broken)} damaged' in lines[0] and str(photos) in lines[0]
    assert len(lines) == 1 + len(broken)
    for path, word in broken.items():
        assert word in line_of(lines, path)


def test_skip_damaged_leaves_out_those_files_and_says_which(photos):
    before = scan(photos)
    broken = break_all(photos)
    folder, notes = check(scan(photos), skip_damaged=True)
    assert len(notes) == len(broken) and all('(skipped)' in line_of(notes, p) for p in broken)
    assert folder.splits['train'].paths == before.splits['train'].paths
    assert folder.splits['train'].labels.tolist() == before.splits['train'].labels.tolist()
    assert folder.splits['test-field'].paths == before.splits['test-field'].paths
    assert folder.backgrounds == before.backgrounds
    studio = folder.splits['test-studio']  # images with a bad mask go with it, so the others keep theirs
    assert [os.path.relpath(p, photos/'test-studio') for p in studio.paths] == ['cat/0.png', 'dog/0.png']
    assert len(studio.masks) == 2 and studio.labels.tolist() == [0, 1]
    assert read_all(folder.splits['train'].paths, partial(read_image, size=8)).shape == (6, 8, 8, 3)


def test_headers_alone_show_junk_and_bombs_but_not_truncation(photos):
    broken = break_all(photos)
    lines = report(photos, decode=False)
    line_of(lines, photos/'test-field'/'dog'/'bomb.png')
    line_of(lines, photos/'train'/'cat'/'text.png')
    assert not any('cut.jpg' in s for s in lines) and len(lines) < 1 + len(broken)


def test_a_sound_folder_passes_without_a_word(photos):
    folder, notes = check(scan(photos))
    assert notes == [] and str(folder) == str(scan(photos))


@pytest.mark.parametrize('skip', [False, True])
def test_classes_that_do_not_match_are_errors_that_skipping_does_not_mend(photos, skip):
    save(photos/'test-field'/'bird'/'a.png', noise(70))
    save(photos/'test-field'/'bird'/'b.png', noise(71))
    save(photos/'test-field'/'cats'/'a.png', noise(73))
    (photos/'train'/'cow').mkdir()
    (photos/'test-outside').mkdir()
    save(photos/'train'/'lost.png', noise(72))
    lines = report(photos, skip_damaged=skip)
    assert 'mend the class folders' in lines[0] and '--skip-damaged' not in lines[0]
    assert 'error: ' in line_of(lines, photos/'test-field'/'bird')
    assert line_of(lines, photos/'test-field'/'cats').endswith('did you mean cat?')
    assert 'error' in line_of(lines, photos/'train'/'cow')
    assert 'error' in line_of(lines, photos/'test-outside')
    for split in 'test-field', 'test-studio':
        assert 'warning' in line_of(lines, photos/split/'cow')
    assert 'warning' in line_of(lines, photos/'train'/'lost.png')


def test_a_class_that_skipping_empties_is_an_error(photos):
    for i in range(3):
        cut(photos/'train'/'dog'/f'{i}.png')
    lines = report(photos, skip_damaged=True)
    assert 'no images' in line_of(lines, photos/'train'/'dog') and len(lines) == 5


def test_copies_of_training_images_in_a_test_are_told_but_not_refused(photos):
    source, copy = photos/'train'/'cat'/'1.png', photos/'test-field'/'dog'/'copy.PNG'
    copy.write_bytes(source.read_bytes())
    other = bytearray(source.read_bytes())
    other[len(other)//2] ^= 1  # as long, but not equal
    folder, notes = check(scan(photos))
    assert len(notes) == 1 and str(source) in line_of(notes, copy)
    assert str(copy) in folder.splits['test-field'].paths
    flat = [np.full((40, 40, 3), v, np.uint8) for v in (1, 2)]
    for path, a in zip([photos/'train'/'cat'/'e.bmp', photos/'test-field'/'cat'/'e.bmp'], flat):
        save(path, Image.fromarray(a))  # bitmaps of one size have files of one size
    assert len(check(scan(photos))[1]) == 1


def test_images_above_the_big_limit_still_decode_in_threads(photos, monkeypatch):
    monkeypatch.setattr(photographs, 'BIG_PIXELS', 0)
    assert check(scan(photos))[1] == []
    assert not photographs._one_big.locked()


def test_what_is_known_of_damage_holds_no_pixels(photos):
    """100,000 damaged files must not keep 100,000 images."""
    cut(photos/'train'/'cat'/'0.png')
    found = folders._look(photos/'train'/'cat'/'0.png', True)
    assert isinstance(found, UserError) and found.__traceback__ is None and found.__cause__ is None


# more photographs than fit into memory

@pytest.fixture
def forgetful():
    """Nothing looked at or decoded before counts."""
    for cache in mydatasets._checked, photographs.pixels, photographs.masks:
        cache.cache_clear()


def pixels_of(images):
    return np.concatenate([b['x'] for b in in_order(images, 3)])


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


# every kind of file in one data set, and every kind of mistake in one report

def test_a_data_set_of_every_kind_of_file_loads_in_one_shape(tmp_path, forgetful):
    kinds = [('a.jpg', 'RGB'), ('b.JPEG', 'L'), ('c.PNG', 'RGBA'), ('d.webp', 'RGB'), ('e.gif', 'P'),
             ('f.TIF', 'RGB'), ('g.bmp', 'RGB'), ('h.png', '1'), ('i.png', 'LA'), ('j.jpg', 'CMYK')]
    for split in 'train', 'test':
        for i, (name, mode) in enumerate(kinds):
            seed = i + 100*(split == 'test')
            for c in 'cat', 'dog':
                save(tmp_path/split/c/name, converted(noise(seed + 50*(c == 'cat'), 30 + i, 60 - 2*i), mode))
    data = toys.load(f'folder:{tmp_path}', size=24)
    assert data.shape == (24, 24, 3) and len(data.train) + len(data.validation) == 20
    assert data.train.x.dtype == np.uint8 and data.train.x.std((1, 2, 3)).min() > 5
    assert pixels_of(data.tests['test'].images()).shape == (20, 24, 24, 3)


def test_a_class_of_one_image_cannot_be_trained_and_validated_on(photos):
    for name in '1.png', '2.png':
        os.remove(photos/'train'/'dog'/name)
    assert 'one to train on and one to validate on' in line_of(report(photos), photos/'train'/'dog')
    cut(photos/'train'/'cat'/'0.png')
    cut(photos/'train'/'cat'/'1.png')
    assert line_of(report(photos, skip_damaged=True), photos/'train'/'cat')   # what is left counts


def test_one_report_of_a_broken_folder_names_every_problem_by_its_path(photos):
    broken = break_all(photos)
    source, copy = photos/'train'/'cat'/'1.png', photos/'test-studio'/'cat'/'copy.png'
    copy.write_bytes(source.read_bytes())
    save(photos/'masks'/'test-studio'/'cat'/'copy.png', Image.new('L', (40, 40)))
    save(photos/'test-field'/'bird'/'a.png', noise(70))
    (photos/'train'/'cow').mkdir()
    save(photos/'train'/'lost.png', noise(72))
    lines = report(photos)
    assert f'{len(broken)} damaged files, 2 errors' in lines[0]
    assert all(mend in lines[0] for mend in ('mend the class folders', '--skip-damaged'))
    for path in (*broken, copy, photos/'test-field'/'bird', photos/'train'/'cow', photos/'train'/'lost.png'):
        line_of(lines, path)
    kinds = [line.split(':')[0].strip() for line in lines[1:]]
    assert kinds == sorted(kinds, key=['damaged', 'error', 'warning'].index)


# the hand signs

@needs_signs
def test_signs_are_scanned_as_their_readme_counts_them():
    folder = scan(SIGNS)
    assert folder.classes == list('0123456789')
    assert list(folder.splits) == ['train', 'test-field', 'test-studio']
    assert [len(f.paths) for f in folder.splits.values()] == [1571, 468, 468]
    counts = np.bincount(folder.splits['train'].labels)
    assert counts.tolist() == [156, 156, 156, 157, 158, 158, 158, 158, 159, 155]
    assert len(folder.splits['test-studio'].masks) == 468 and folder.splits['test-field'].masks is None
    assert len(folder.backgrounds) == 239


@needs_signs
def test_signs_are_sound_and_their_masks_lie_on_the_hands():
    folder, notes = check(scan(SIGNS))
    assert notes == []
    studio = folder.splits['test-studio']
    x, field = (read_all(folder.splits[name].paths[::40], partial(read_image, size=64)).astype(float)
                for name in ('test-studio', 'test-field'))
    m = read_all(studio.masks[::40], partial(read_mask, size=64))[..., 0] > 127
    replaced = np.abs(x - field).mean(-1)  # the field pictures are the same hands on another background
    assert replaced[m].mean() < 5 and replaced[~m].mean() > 30 and 0.08 < m.mean() < 0.5

"""Folders of photographs: what lies in them, every kind of damage told with its path."""
import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

import toys
from common.errors import UserError
from pictures import converted, cut, huge_png, needs_signs, noise, pixels_of, save, SIGNS
from readers import folders, photographs
from readers.folders import check, scan
from readers.photographs import read_all, read_image, read_mask


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

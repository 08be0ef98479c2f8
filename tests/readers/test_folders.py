"""Folders of photographs: every kind of file is read, every kind of damage is told with its path."""
import io
import os
import pathlib
import subprocess
import sys
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile

import mydatagen
import toys
import mydatasets
from common.errors import UserError
from common.quiet import tf
from mydatagen import in_order
from readers import folders, photographs
from readers.folders import check, scan
from readers.photographs import crops, read_all, read_image, read_mask, user_error

ROOT = toys.ROOT
SIGNS = os.path.join(ROOT, '..', 'shared', 'signs')
needs_signs = pytest.mark.skipif(not os.path.isdir(SIGNS), reason='../shared/signs is not there')


def noise(seed, w=40, h=40):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8))


def save(path, im, **options):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    im.save(path, **options)
    return str(path)


def cut(path, share=0.5):
    """Loses the end of the file."""
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(data[:int(share*len(data))])


def huge_png(path, w, h):
    """A few bytes that declare w x h pixels."""
    def chunk(kind, data):
        return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')
    header = w.to_bytes(4, 'big') + h.to_bytes(4, 'big') + bytes([8, 2, 0, 0, 0])
    data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + data)


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


# pixels

PLAIN = dict(jpg='RGB', jpeg='L', png='RGB', webp='RGB', bmp='RGB', gif='P', tif='L', tiff='RGB')  # noqa: C408


def converted(im, mode):
    return im.quantize(4) if mode == 'P' else im.convert(mode)  # convert('P') dithers


@pytest.mark.parametrize('ending', PLAIN)
def test_every_format_is_read_with_its_colours(tmp_path, ending):
    im = converted(Image.new('RGB', (50, 30), (200, 100, 40)), PLAIN[ending])
    path = save(tmp_path/f'x.{ending}', im)
    a = read_image(path, 16)
    grey = PLAIN[ending] == 'L'
    assert a.shape == (16, 16, 3) and a.dtype == np.uint8
    assert np.abs(a.astype(int) - ([123]*3 if grey else [200, 100, 40])).max() <= 4
    one = read_image(path.encode(), 16, channels=1)
    assert one.shape == (16, 16, 1) and abs(int(one.mean()) - 123) <= 4


@pytest.mark.parametrize('mode, ending, wanted', [
    ('1', 'png', [255]*3), ('L', 'png', [123]*3), ('P', 'png', [200, 100, 40]), ('LA', 'png', [123]*3),
    ('RGBA', 'webp', [200, 100, 40]), ('CMYK', 'jpg', [200, 100, 40]), ('CMYK', 'tif', [200, 100, 40]),
    ('YCbCr', 'jpg', [200, 100, 40])])
def test_every_mode_is_read_with_its_colours(tmp_path, mode, ending, wanted):
    im = converted(Image.new('RGB', (20, 20), (255,)*3 if mode == '1' else (200, 100, 40)), mode)
    a = read_image(save(tmp_path/f'x.{ending}', im), 8)
    assert np.abs(a.astype(int) - wanted).max() <= 5


@pytest.mark.parametrize('ending', ['png', 'tif'])
def test_16_bit_images_keep_their_range(tmp_path, ending):
    ramp = np.repeat(np.arange(256, dtype=np.uint16)[None]*257, 256, 0)
    a = read_image(save(tmp_path/f'x.{ending}', Image.fromarray(ramp)), 256)
    assert (a == np.arange(256)[None, :, None]).all()


def test_32_bit_pixels_are_refused_because_their_range_is_unknown(tmp_path):
    path = save(tmp_path/'x.tif', Image.new('F', (9, 9), 0.5))
    with pytest.raises(UserError, match='x.tif: 32-bit pixels'):
        read_image(path, 8)


def test_transparent_parts_are_white_whatever_lies_under_them(tmp_path):
    a = np.full((20, 20, 4), (255, 0, 0, 0), np.uint8)
    a[:, 10:] = 0, 0, 255, 255
    rgba = Image.fromarray(a)
    palette = rgba.convert('RGB').quantize(4)
    palette.info['transparency'] = palette.getpixel((0, 0))
    for name, im in {'x.png': rgba, 'x.webp': rgba, 'p.png': palette, 'p.gif': palette}.items():
        b = read_image(save(tmp_path/name, im, **({'lossless': True} if name == 'x.webp' else {})), 20)
        assert (b[:, 0] == 255).all() and (b[:, -1] == [0, 0, 255]).all(), name
    grey = Image.merge('LA', [Image.new('L', (20, 20), 7), Image.new('L', (20, 20), 0)])
    assert (read_image(save(tmp_path/'la.png', grey), 8, channels=1) == 255).all()


def test_only_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new('RGB', (20, 20), c) for c in ('red', 'lime', 'blue')]
    for ending in 'gif', 'webp', 'tif', 'png':
        path = save(tmp_path/f'x.{ending}', frames[0], save_all=True, append_images=frames[1:])
        assert np.abs(read_image(path, 8).astype(int) - [255, 0, 0]).max() <= 5, ending


@pytest.mark.parametrize('ending', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_exif_orientation_is_honoured(tmp_path, ending, orientation):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24, :32], upright[:24, 32:], upright[24:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = Image.fromarray(upright)
    turn = {2: 'FLIP_LEFT_RIGHT', 3: 'ROTATE_180', 4: 'FLIP_TOP_BOTTOM', 5: 'TRANSPOSE', 6: 'ROTATE_90',
            7: 'TRANSVERSE', 8: 'ROTATE_270'}.get(orientation)  # the inverse of what a viewer does
    stored = stored.transpose(Image.Transpose[turn]) if turn else stored
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = save(tmp_path/f'x.{ending}', stored, exif=exif)
    a = read_image(path, 48, fit='pad').astype(int)
    corners = a[10, 4], a[10, -5], a[-11, 4], a[-11, -5]
    assert np.abs(np.array(corners) - [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]).max() < 40
    assert folders._look(path, True) == (64, 48)


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')
def test_broken_exif_is_no_damage(tmp_path):
    path = save(tmp_path/'x.jpg', noise(0), exif=b'Exif\0\0MM\0*\0\0\xff\xff\xff\xff' + bytes(30))
    assert read_image(path, 8).shape == (8, 8, 3)


def disk(w, h, x, y, r):
    yy, xx = np.mgrid[:h, :w]
    return (np.hypot(xx + 0.5 - x, yy + 0.5 - y) < r)


@pytest.mark.parametrize('fit', photographs.FITS)
@pytest.mark.parametrize('w, h', [(90, 60), (60, 90), (61, 90), (400, 402)])
def test_image_and_mask_keep_the_same_geometry(tmp_path, fit, w, h):
    m = disk(w, h, w*0.55, h*0.45, min(w, h)*0.3)
    white = Image.fromarray((255*m).astype(np.uint8))
    path, mask = save(tmp_path/'x.png', white.convert('RGB')), save(tmp_path/'m.png', Image.fromarray(m))
    double = save(tmp_path/'double.png', white.resize((2*w, 2*h), 0))
    a, b = read_image(path, 32, fit=fit), read_mask(mask, 32, fit=fit)
    assert b.shape == (32, 32, 1) and b.dtype == np.uint8
    assert (a[..., :1] == b).all() and 0 < (b > 127).mean() < 1
    assert np.abs(read_mask(double, 32, fit=fit).astype(int) - b).max() <= 16  # half a pixel aside: over 100


def test_crop_takes_the_centre_square(tmp_path):
    a = np.zeros((20, 60, 3), np.uint8)
    a[:, 17:43] = 200  # the filter sees a little of what lies beside the square
    assert (read_image(save(tmp_path/'x.png', Image.fromarray(a)), 20) == 200).all()
    assert (read_image(save(tmp_path/'y.png', Image.fromarray(a.transpose(1, 0, 2))), 7) == 200).all()
    assert (read_image(save(tmp_path/'z.png', Image.fromarray(np.roll(a, 15, 1))), 20) == 0).any()


@pytest.mark.parametrize('turn', [False, True])
def test_pad_keeps_the_whole_image_on_the_colour_of_its_border_and_masks_on_0(tmp_path, turn):
    a = np.full((20, 40, 3), (10, 200, 90), np.uint8)
    a[5:15, 10:30] = 255
    a = a.transpose(1, 0, 2) if turn else a
    b = read_image(save(tmp_path/'x.png', Image.fromarray(a)), 40, fit='pad')
    b = b.transpose(1, 0, 2) if turn else b
    assert (b[:10] == (10, 200, 90)).all() and (b[30:] == (10, 200, 90)).all() and (b[20, 20] == 255).all()
    assert (b[10:30] == (a.transpose(1, 0, 2) if turn else a)).all()
    white = save(tmp_path/'m.png', Image.new('L', a.shape[1::-1], 255))
    m = read_mask(white, 40, fit='pad')[..., 0]
    m = m.T if turn else m
    assert not m[:10].any() and not m[30:].any() and (m[10:30] == 255).all()
    line = save(tmp_path/'line.png', Image.new('RGB', (500, 1), 'red'))
    assert (read_image(line, 16, fit='pad') == (255, 0, 0)).all()


def test_shrinking_averages_and_never_rings_into_a_black_background(tmp_path):
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    a = read_image(save(tmp_path/'s.png', Image.fromarray(stripes)), 32)
    assert abs(a.mean() - 127.5) < 3 and a.std() < 3  # without antialiasing: 0 or 255
    block = np.zeros((128, 128), np.uint8)
    block[32:96, 32:96] = 255
    b = read_image(save(tmp_path/'b.png', Image.fromarray(block)), 32)
    assert not b[:7].any() and not b[:, 25:].any() and (b[9:23, 9:23] == 255).all()


def test_large_jpegs_are_drafted_and_still_look_the_same(tmp_path):
    im = noise(0, 120, 90).resize((1200, 900), Image.Resampling.BICUBIC)
    whole, drafted = (read_image(save(tmp_path/name, im), 180).astype(int) for name in ('x.png', 'x.jpg'))
    assert np.abs(whole - drafted).mean() < 3
    with Image.open(tmp_path/'x.jpg') as jpeg:
        assert photographs.loaded(jpeg, 180)[0].size == (600, 450)  # half: two pixels for one


@pytest.mark.parametrize('name', ['grey01', 'red', 'blue', 'palette', 'alpha', 'opaque', 'sixteen'])
def test_masks_of_every_kind_mean_object_or_not(tmp_path, name):
    m = np.zeros((16, 16), np.uint8)
    m[4:12, 4:12] = 1
    zero, full = np.zeros_like(m), np.full_like(m, 255)
    coloured = Image.fromarray(m)
    coloured.putpalette([0, 0, 0, 255, 0, 255])
    im = {'grey01': Image.fromarray(m), 'red': Image.fromarray(np.stack([255*m, zero, zero], 2)),
          'blue': Image.fromarray(np.stack([zero, zero, 255*m], 2)), 'palette': coloured,
          'alpha': Image.fromarray(np.stack([zero, full, zero, 255*m], 2)),
          'opaque': Image.fromarray(np.stack([255*m]*3 + [full], 2)),
          'sixteen': Image.fromarray(m.astype(np.uint16)*65535)}[name]
    assert (read_mask(save(tmp_path/'m.png', im), 16)[..., 0] == 255*m).all()


def test_read_all_keeps_the_order_and_crops_are_whole_squares(tmp_path):
    paths = [save(tmp_path/f'{i}-ü ☃.png', Image.new('RGB', (20 + i, 20), (i, 0, 0))) for i in range(60)]
    a = read_all(paths, partial(read_image, size=8), workers=4)
    assert a.shape == (60, 8, 8, 3) and a.dtype == np.uint8
    assert (a[:, 0, 0, 0] == np.arange(60)).all()
    assert crops(paths[:3], 12).shape == (3, 12, 12, 3)
    with pytest.raises(UserError):
        crops([], 12)


def test_read_all_passes_on_the_one_line_of_a_file_that_fails(tmp_path):
    paths = [save(tmp_path/f'{i}.png', noise(i)) for i in range(6)]
    cut(paths[4])
    with pytest.raises(UserError) as e:
        read_all(paths, partial(read_image, size=8))
    assert str(e.value).startswith(f'{paths[4]}: ') and '\n' not in str(e.value)
    with pytest.raises(tf.errors.OpError):  # a bug stays a bug
        read_all(paths[:2], lambda p: 1/0)
    assert user_error(ValueError('x')) is None


def test_names_that_are_no_text_stay_on_one_line(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b'a\nb\xff\x1b.png')
    pathlib.Path(os.fsdecode(path)).write_bytes(b'junk')
    with pytest.raises(UserError) as e:
        read_all([os.fsdecode(path)], partial(read_image, size=8))
    assert r'a\nb\udcff\x1b.png' in str(e.value)
    str(e.value).encode()


# damage

ENCODINGS = {e: {} for e in PLAIN} | {'tif': {'compression': 'tiff_lzw'}}


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')  # pytest undoes the filter of myfolder
@pytest.mark.parametrize('ending', ENCODINGS)
@pytest.mark.parametrize('share', [0.9, 0.5, 0.02])
def test_truncated_files_of_every_format_are_found_and_named(tmp_path, ending, share):
    path = save(tmp_path/f'x.{ending}', noise(1, 300, 300), **ENCODINGS[ending])
    assert read_image(path, 8).shape == (8, 8, 3) and folders._look(path, True) == (300, 300)
    cut(path, share)
    with pytest.raises(UserError, match=f'x.{ending}: '):
        read_image(path, 8)
    assert isinstance(folders._look(path, True), UserError)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


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


# memory and safety

BOMB = '''
import resource, sys, types
# TensorFlow takes seconds to load and has no part in this
sys.modules['common.quiet'] = types.SimpleNamespace(tf=types.SimpleNamespace(errors=types.SimpleNamespace(
    UnavailableError=None, AbortedError=None, DeadlineExceededError=None, CancelledError=None)))
from common.errors import UserError
from readers.photographs import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        read_image(path, 8)
    except UserError as e:
        print(e)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)//1024)  # MB
'''


def test_a_bomb_is_refused_by_its_header_without_memory_or_warnings(tmp_path):
    for name, side in {'huge': 100_000, 'large': 10_000}.items():  # Pillow fails, Pillow warns
        huge_png(tmp_path/f'{name}.png', side, side)
    done = subprocess.run([sys.executable, '-c', BOMB, tmp_path/'huge.png', tmp_path/'large.png'], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    huge, large, grown = done.stdout.splitlines()
    assert huge.startswith(f'{tmp_path}/huge.png: ') and large.startswith(f'{tmp_path}/large.png: ')
    assert 'pixels' in huge and 'pixels' in large
    assert int(grown) < 50 and 'Warning' not in done.stderr


def test_the_limit_is_read_from_the_header_before_anything_is_decoded(tmp_path, monkeypatch):
    path = save(tmp_path/'x.png', noise(0))
    monkeypatch.setattr(photographs, 'MAX_PIXELS', 40*40)
    assert read_image(path, 8).shape == (8, 8, 3)
    monkeypatch.setattr(photographs, 'MAX_PIXELS', 40*40 - 1)
    monkeypatch.setattr(ImageFile.ImageFile, 'load', lambda self: pytest.fail('decoded'))
    with pytest.raises(UserError, match='40x40'):
        read_image(path, 8)


def test_images_above_the_big_limit_still_decode_in_threads(photos, monkeypatch):
    monkeypatch.setattr(photographs, 'BIG_PIXELS', 0)
    assert check(scan(photos))[1] == []
    assert not photographs._one_big.locked()


def test_other_formats_are_not_opened_whatever_their_ending(tmp_path):
    for kind in 'PPM', 'ICO', 'TGA', 'PCX', 'PDF', 'EPS':
        data = io.BytesIO()
        noise(0).save(data, kind)
        (tmp_path/'x.png').write_bytes(data.getvalue())
        with pytest.raises(UserError, match='not an image'):
            read_image(tmp_path/'x.png', 8)


def test_what_is_known_of_damage_holds_no_pixels(photos):
    """100,000 damaged files must not keep 100,000 images."""
    cut(photos/'train'/'cat'/'0.png')
    found = folders._look(photos/'train'/'cat'/'0.png', True)
    assert isinstance(found, UserError) and found.__traceback__ is None and found.__cause__ is None


# more photographs than fit into memory

@pytest.fixture
def forgetful():
    """Nothing looked at or decoded before counts."""
    for cache in mydatasets._checked, mydatasets._pixels:
        cache.cache_clear()


def pixels_of(images):
    return np.concatenate([b['x'] for b in in_order(images, 3)])


def test_photographs_that_do_not_fit_are_streamed_and_are_the_same_pixels(photos, forgetful, monkeypatch):
    whole = mydatasets.load(f'folder:{photos}', size=16)
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 14*16*16*3 - 1)   # one byte less than all splits take
    streamed = mydatasets.load(f'folder:{photos}', size=16)
    pairs = [(whole.train, streamed.train), (whole.validation, streamed.validation)]
    pairs += [(whole.tests[k].images(), streamed.tests[k].images()) for k in whole.tests]
    for a, b in pairs:
        assert isinstance(b.x, list) and b.shape == (16, 16, 3)
        assert np.array_equal(a.x, pixels_of(b)) and np.array_equal(a.y, b.y)
    assert np.array_equal(*(np.concatenate([b['x'] for b in d.tests['test-field'].batches()])
                            for d in (whole, streamed)))


def test_a_large_test_is_streamed_even_where_training_images_would_fit(photos, forgetful, monkeypatch):
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 6*16*16*3)   # the training images alone
    data = mydatasets.load(f'folder:{photos}', size=16)
    assert isinstance(data.tests['test-field'].images().x, list)


def test_masks_of_streamed_photographs_are_held_or_left_out_with_a_word(photos, forgetful, monkeypatch,
                                                                        capsys):
    for name in 'cat', 'dog':
        for i in range(3):
            save(photos/'masks'/'train'/name/f'{i}.png', Image.new('L', (40, 40), 255))
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 1)
    data = mydatasets.load(f'folder:{photos}', size=16)
    assert data.masks and data.train.m.shape[1:] == (16, 16, 1) and len(data.train.m) == len(data.train)
    assert not capsys.readouterr().err
    monkeypatch.setattr(mydatasets, 'MASK_BYTES', 6*16*16 - 1)
    data = mydatasets.load(f'folder:{photos}', size=16)
    assert not data.masks and data.train.m is None and '6 masks of train' in capsys.readouterr().err


def test_of_too_many_backgrounds_some_from_all_over_are_used(photos, forgetful, monkeypatch, capsys):
    for i in range(2, 10):
        save(photos/'backgrounds'/f'{i}.jpg', noise(90 + i))
    monkeypatch.setattr(mydatasets, 'BACKGROUND_BYTES', 4*32*32*3)
    data = mydatasets.load(f'folder:{photos}', size=16)
    assert data.backgrounds.shape == (4, 32, 32, 3) and '4 of the 10' in capsys.readouterr().err


@pytest.mark.parametrize('held', [True, False])
def test_photographs_are_made_square_as_asked(photos, forgetful, monkeypatch, held):
    wide = save(photos/'train'/'cat'/'0.png', noise(7, 60, 30))
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 10**9*held)
    for fit in photographs.FITS:
        data = mydatasets.load(f'folder:{photos}', size=16, fit=fit)
        found = np.concatenate([pixels_of(data.train), pixels_of(data.validation)])
        assert (found == read_image(wide, 16, fit=fit)).all((1, 2, 3)).any() and data.fit == fit


def test_streamed_photographs_can_be_pictured_too(photos, monkeypatch, forgetful):
    monkeypatch.setattr(mydatasets, 'MEMORY_BYTES', 0)
    images = mydatasets.load(f'folder:{photos}', size=16).train
    batch = mydatagen.spread(images, 2)
    assert isinstance(images.x, list) and batch['x'].shape == (2, 16, 16, 3)
    assert list(batch['y'].numpy()) == [0, 1]


def test_test_images_come_in_smaller_batches_where_they_are_large(monkeypatch):
    test = mydatasets.load('toy').tests['original']
    monkeypatch.setattr(mydatagen, 'MOST_PIXELS', 10*16*16)
    assert [len(b['y']) for b in test.batches(512)][:2] == [10, 10]


@pytest.mark.slow
def test_training_from_links_keeps_within_4_gb():
    words = ['benchmarks/streaming.py', '--images', '10000', '--files', '100', '--steps', '2']
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
    data = mydatasets.load(f'folder:{tmp_path}', size=24)
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
    replaced = np.abs(x - field).mean(-1)  # the field pictures are the same hands before another background
    assert replaced[m].mean() < 5 and replaced[~m].mean() > 30 and 0.08 < m.mean() < 0.5


@needs_signs
def test_the_three_large_turned_signs_look_like_the_others():
    large = [os.path.join(SIGNS, 'train', '7', f'IMG_{n}.jpg') for n in (5874, 5935, 5978)]
    with Image.open(large[0]) as im:
        stored = np.asarray(im.resize((32, 32)).rotate(-90), float)
    a = read_image(large[0], 32).astype(float)
    assert np.abs(a - stored).mean() < 6 < np.abs(a - np.rot90(stored, 2)).mean()

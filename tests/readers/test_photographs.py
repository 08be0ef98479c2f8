"""One photograph: every kind of file is read, damage and bombs are told with their path."""
import io
import os
import pathlib
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile

from common.errors import UserError
from common.quiet import tf
from pictures import converted, cut, huge_png, needs_signs, noise, PLAIN, save, SIGNS
from readers import folders, photographs
from readers.photographs import crops, read_all, read_image, read_mask, user_error
from toys import ROOT

# pixels

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


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')  # pytest undoes the filter of the reader
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


def test_other_formats_are_not_opened_whatever_their_ending(tmp_path):
    for kind in 'PPM', 'ICO', 'TGA', 'PCX', 'PDF', 'EPS':
        data = io.BytesIO()
        noise(0).save(data, kind)
        (tmp_path/'x.png').write_bytes(data.getvalue())
        with pytest.raises(UserError, match='not an image'):
            read_image(tmp_path/'x.png', 8)


@needs_signs
def test_the_three_large_turned_signs_look_like_the_others():
    large = [os.path.join(SIGNS, 'train', '7', f'IMG_{n}.jpg') for n in (5874, 5935, 5978)]
    with Image.open(large[0]) as im:
        stored = np.asarray(im.resize((32, 32)).rotate(-90), float)
    a = read_image(large[0], 32).astype(float)
    assert np.abs(a - stored).mean() < 6 < np.abs(a - np.rot90(stored, 2)).mean()

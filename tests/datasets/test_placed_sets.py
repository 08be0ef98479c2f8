"""Sets whose files the user puts in place, by their real readers; looking at a data set."""
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import look
import mydatasets
import mymodels
import toys
from common.errors import UserError
from toys import load
from readers import catalogue, photographs
from report import sheets
from training import weightfiles


# Sets from files that the user puts in place, by their real readers

def photograph(path, seed, side=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 4, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def put_synthdigits(folder, n=40, side=32):
    """Files as SVHN's: X (h, w, 3, n) uint8, here full of its class; y (n, 1), 10 for the zero."""
    folder.mkdir()
    for split in 'train', 'test':
        y = np.arange(n) % 10
        x = np.broadcast_to(y.astype(np.uint8), (side, side, 3, n))
        y = np.where(y, y, 10)[:, None].astype(np.uint8)
        savemat(folder/f'synth_{split}_32x32.mat', {'X': x, 'y': y})


def put_synsigns(folder, n=86):
    """A list of images and classes, and images full of their class."""
    (folder/'train').mkdir(parents=True)
    for i in range(n):
        Image.new('RGB', (40, 40), (i % 43,)*3).save(folder/'train'/f'{i:06d}.png')
    lines = [f'train/{i:06d}.png {i % 43} 0' for i in range(n)]
    (folder/'train_labelling.txt').write_text('\n'.join(lines) + '\n')


def test_synthdigits_are_read_from_their_mat_files(fresh, tmp_path):
    put_synthdigits(tmp_path/'synthdigits')
    data = load('synthdigits', str(tmp_path))
    assert data.shape == (32, 32, 3) and data.classes == [str(i) for i in range(10)]
    for part in data.train, data.validation, data.tests['original'].images():
        assert np.array_equal(part.x[:, 5, 7, 1], part.y)
    assert len(data.train) + len(data.validation) == 40
    assert load('synthdigits', str(tmp_path), size=20).shape == (20, 20, 3)


@pytest.mark.parametrize('sub', ('', 'synthetic_data'))
def test_synsigns_are_read_by_their_list_and_split_75_to_25(fresh, tmp_path, sub):
    put_synsigns(tmp_path/'synsigns'/sub)
    data = load('synsigns', str(tmp_path))
    test = data.tests['original'].images()
    assert data.shape == (64, 64, 3) and len(data.classes) == 43
    assert len(data.train) + len(data.validation) == 64 and len(test) == 22
    for part in data.train, data.validation, test:
        assert np.array_equal(part.x[:, 5, 7, 1], part.y)


@pytest.mark.parametrize('text', ['', 'train/000000.png', 'train/000000.png 43 0', '../x.png 1 0', '\xff'])
def test_a_damaged_list_of_synsigns_is_one_line(fresh, tmp_path, text):
    (tmp_path/'synsigns').mkdir()
    (tmp_path/'synsigns'/'train_labelling.txt').write_bytes(text.encode('latin1'))
    with pytest.raises(UserError, match='train_labelling.txt: no lines') as e:
        load('synsigns', str(tmp_path))
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('found', [b'no mat file', {'X': np.zeros((32, 32, 3, 4)), 'y': np.ones((4, 1))},
                                   {'X': np.zeros((32, 32, 3, 4), np.uint8), 'y': np.ones((5, 1))},
                                   {'X': np.zeros((32, 32, 3, 4), np.uint8), 'y': np.full((4, 1), 77)},
                                   {'X': np.zeros((32, 32), np.uint8), 'y': np.ones((4, 1))}, {'z': 1}])
def test_a_damaged_mat_file_is_one_line(fresh, tmp_path, found):
    (tmp_path/'synthdigits').mkdir()
    path = tmp_path/'synthdigits'/'synth_train_32x32.mat'
    path.write_bytes(found) if isinstance(found, bytes) else savemat(path, found)
    with pytest.raises(UserError, match='synth_train_32x32.mat is damaged') as e:
        load('synthdigits', str(tmp_path))
    assert '\n' not in str(e.value)


@pytest.fixture
def insulators(tmp_path):
    """The folders of the paper's insulators, two photographs each and three backgrounds."""
    seed = iter(range(1000))
    for name in 'IPL', 'IPN', 'IPV', 'ISB':
        for number, n in (1, 4), (2, 1), (3, 2), (4, 1):
            for i in range(n):
                photograph(tmp_path/'prates'/'components'/f'data_{name}_{number}'/f'{i}.JPG', next(seed))
    for i in range(3):
        photograph(tmp_path/'prates'/'components'/'bg'/f'{i}.jpg', next(seed))
    return tmp_path


def test_prates_reads_the_papers_folders(insulators):
    data = load('prates', str(insulators), size=32)
    assert data.classes == ['IPL', 'IPN', 'IPV', 'ISB'] and data.shape == (32, 32, 3)
    assert list(data.tests) == ['test-a', 'test-b'] and data.flip and not data.masks
    assert len(data.train) == 12 and np.bincount(data.validation.y).tolist() == [1]*4
    for test in data.tests.values():
        assert np.bincount(test.images().y).tolist() == [2]*4
    assert data.backgrounds.shape == (3, 64, 64, 3)
    batch = next(iter(data.tests['test-b'].batches()))   # the second and the fourth folder of a class
    for n in 2, 4:
        x = photographs.read_image(insulators/'prates'/'components'/f'data_IPL_{n}'/'0.JPG', 32)
        assert (abs(batch['x'].numpy() - x/255).max((1, 2, 3)) < 1e-6).sum() == 1


def test_prates_is_224_pixels_wide_and_says_what_is_missing(insulators):
    assert load('prates', str(insulators)).shape == (224, 224, 3)
    mydatasets._checked.cache_clear()
    shutil.rmtree(insulators/'prates'/'components'/'data_IPV_2')
    with pytest.raises(UserError, match='data_IPV_2 under'):
        load('prates', str(insulators))


def test_pairs_with_sets_from_files_match_their_classes(fresh, monkeypatch, tmp_path):
    import tensorflow_datasets as tfds
    monkeypatch.setattr(catalogue, '_demand_network', lambda name, builder: None)
    put_synthdigits(tmp_path/'synthdigits')
    put_synsigns(tmp_path/'synsigns')
    wanted = {'svhn_synthdigits': (32, 10), 'synthdigits_svhn': (32, 10), 'gtsrb_synsigns': (64, 43)}
    with tfds.testing.mock_data(num_examples=100, data_dir=str(tmp_path)):
        for name, (side, classes) in wanted.items():
            data = load(name, str(tmp_path))
            assert data.shape == (side, side, 3) and len(data.classes) == classes
            assert list(data.tests) == name.split('_')
            for base, test in data.tests.items():
                images = test.images()
                assert len(images) and images.x.shape[1:] == data.shape
                if base.startswith('syn'):   # its pixels are its class
                    assert [data.classes[y] for y in images.y] == [str(v) for v in images.x[:, 5, 7, 1]]


# Looking at a data set

@pytest.mark.parametrize('name', ('toy', 'toy_backgrounds'))
def test_the_sheet_of_a_data_set_is_drawn_and_its_counts_are_printed(name, tmp_path, capsys):
    assert look.main([name, '--sheet', str(tmp_path/'s.png')]) == 0
    out = capsys.readouterr().out
    for words in 'train', 'validation', 'original', 'disk', 'square', 'cross', '96':
        assert words in out
    with Image.open(tmp_path/'s.png') as im:
        assert im.width == sheets.WIDTH and np.asarray(im).std() > 20
        height = im.height
    assert ('and 6 more' in out) == (name == 'toy_backgrounds') and (height > 1000) == (name != 'toy')


def test_the_sheet_of_prates_shows_every_split_class_and_the_backgrounds(insulators, monkeypatch, tmp_path):
    drawn = {}
    monkeypatch.setattr(look, 'save_sheet', lambda path, sections: drawn.update(sections))
    monkeypatch.setenv('TFDS_DATA_DIR', str(insulators))
    assert look.main(['prates', '--size', '16', '--each', '2']) == 0
    assert [t.split(':')[0] for t in drawn] == ['train', 'validation', 'test-a', 'test-b', 'backgrounds']
    assert [lines for _, lines in drawn['train: 12 images']] == [
        [f'{c}: 3'] for c in ('IPL', 'IPN', 'IPV', 'ISB')]
    assert all(len(pictures) == 2 for pictures, _ in drawn['test-a: 8 images'])


def test_the_sheet_shows_the_masks_of_images_on_the_least_plain_ground(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    photos, drawn = toys.photographs(tmp_path/'photos', side=16), {}
    hard = photos/'train'/'dog'/'hard.png'
    Image.fromarray(255*random.randint(0, 2, (16, 16, 3), np.uint8)).save(hard)
    weightfiles.save(mymodels.unet((16, 16, 3), 4), str(tmp_path/'u'), kind='unet', dataset='photos',
                     shape=[16, 16, 3], classes=['cat', 'dog'], network={'width': 4}, settings='u')
    monkeypatch.setattr(look, 'save_sheet', lambda path, sections: drawn.update(sections))
    words = [f'folder:{photos}', '--size', '16', '--unet', str(tmp_path/'u'), '--binarize', '0.5']
    assert look.main(words) == 0
    (first, kept), lines = next(cells for title, cells in drawn.items() if title.startswith('masks (0.5)'))[0]
    assert lines == ['1 dog'] and np.array_equal(first, np.asarray(Image.open(hard)))
    removed = np.all(kept == [255, 0, 255], -1)   # a mask that starts near 1 keeps nearly all
    assert kept.shape == first.shape and np.array_equal(kept[~removed], first[~removed])


def test_looking_at_an_unknown_set_is_a_mistake(capsys):
    assert look.main(['mnst', '--sheet', 'x.png']) == 2
    assert capsys.readouterr().err.count('\n') == 1

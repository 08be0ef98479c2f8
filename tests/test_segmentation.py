"""Masks as the task: a U-Net of phase 2 that phase 3 trains to mark the object on any background."""
import os

import numpy as np
import pytest
from PIL import Image

import evaluate
import export
import mydatasets
import mymodels
import predict
import reproduce
import toys
import train2
import train3
from common import tasks
from common.keys import Key
from common.quiet import keras, tf
from mydatagen import Augmenter
from readers import frames, photographs
from scoring import distractors, objects, rowfile
from toys import error_of
from training import validation, weightfiles


# The task itself

def masks(*areas):
    """Masks of 8x8 whose first rows are on."""
    return np.stack([(np.arange(64).reshape(8, 8, 1) < 8*a).astype(np.float32) for a in areas])


def test_a_mask_is_scored_by_its_intersection_over_union():
    task = tasks.MASK
    found = task.measure(masks(4, 4, 0, 0), task.answers(tf.constant(masks(4, 2, 0, 1))*0.9))
    assert found.numpy().tolist() == [1, 0.5, 1, 0] and task.scores == (('iou', 'share', 'more'),)


def test_the_loss_of_a_mask_falls_towards_the_truth_and_stays_finite_at_the_ends():
    y = masks(4)
    given = y, 0.8*y + 0.1, 0*y + 0.5, 1 - y
    losses = [float(tasks.MASK.loss(y, tf.constant(p, tf.float32))[0]) for p in given]
    assert losses == sorted(losses) and losses[0] < 1e-4 and np.isfinite(losses).all()


# Phase 3

def test_what_f_is_to_mark_is_the_mask_before_it_is_grown_and_after_augmentation(tmp_path):
    toys.parents(tmp_path)
    u = str(tmp_path/'unet')
    args = train3.parse(['toy', u, u, 'otsu', 'noise', '--dilate', '2', '--clean', '0', '--halo', '0'])
    data = mydatasets.load('toy')
    x = data.train.x[:6]
    batch = {'x': tf.constant(x), 'm': tf.constant(255*(x > 0).astype(np.uint8)),
             'y': tf.constant(data.train.y[:6])}
    augment = Augmenter(task=tasks.MASK)
    prepared = train3.make_prepare(augment, [train3.mybackgrounds.noise], args)(batch, Key.of(0))
    wanted = tf.round(augment(tf.cast(x, tf.float32)/255, tf.cast(x > 0, tf.float32), Key.of(0).fold(0))[1])
    assert np.array_equal(prepared['y'], wanted) and (prepared['m'].numpy() >= wanted.numpy()).all()
    assert prepared['m'].numpy().sum() > 1.3*wanted.numpy().sum()
    plain = train3.make_prepare(Augmenter(), [train3.mybackgrounds.noise], args)(batch, Key.of(0))
    assert np.array_equal(plain['y'], batch['y'])   # another task is not asked for masks


@pytest.fixture(scope='module')
def chain(tmp_path_factory):
    """[mask generator, U-Net of phase 3]: weights on toy, the second by a few steps."""
    folder = tmp_path_factory.mktemp('segment')
    toys.parents(folder)
    u, s = str(folder/'unet'), str(folder/'s')
    words = ['toy', u, 'truth', 'none', 'noise', 'adv', '--dilate', '0', '--pool', '0']
    words += ['--epochs', '3', '--steps-per-epoch', '25', '--batchsize', '16', '--lr', '0.01']
    assert train3.main([*words, '--quiet', '--deterministic', '--output', s]) == 0
    return u, s


def test_f_begins_as_the_mask_generator_and_learns_to_mark_the_object(chain, capsys):
    (before, _), (after, about) = map(weightfiles.load, chain)
    assert about['kind'] == 'segmenter' and about['method'] == 'segment-noise-adv'
    assert set(about['validation']) == {'val_iou', 'val_shapes_iou'}
    data = objects.asking_masks(mydatasets.load('toy'))
    truth = lambda x: mydatasets.true_mask(x, 0)   # noqa: E731
    was, found = (validation.validator(f, data, own=truth)() for f in (before, after))
    assert found['val_shapes_iou'] > was['val_shapes_iou'] + 0.1
    assert found == {k: pytest.approx(v, abs=1e-6) for k, v in about['validation'].items()}


def test_masks_that_are_made_in_the_step_teach_what_those_beside_the_images_teach():
    """Streamed sets have no room for masks beside their images."""
    args = train3.parse(['toy', 'f', 'u', 'otsu', 'noise', '--clean', '0', '--halo', '0', '--dilate', '1'])
    x = tf.cast(mydatasets.load('toy').train.x[:6], tf.float32)/255
    mask = lambda x: mydatasets.true_mask(x, 0)   # noqa: E731
    beside = {'x': x, 'y': mask(x), 'm': train3.grow(mask(x), args, Key.of(0)), 'b0': tf.zeros_like(x)}
    streamed = {'x': x, 'y': tf.zeros(6, tf.int32), 'b0': tf.zeros_like(x)}
    found = []
    for batch in (beside, streamed):
        keras.utils.set_random_seed(0)
        f = mymodels.unet(toys.SHAPE, 4)
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build(f.trainable_variables)
        step = train3.make_step(f, optimizer, mask, [train3.mybackgrounds.noise], args)
        losses = step(batch, Key.of(0)).values()
        found.append([float(v) for v in losses] + [float(np.sum(v)) for v in toys.values(f)])
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_the_two_have_names_and_settings_of_their_own(chain):
    u, s = chain
    own, plain = (train3.parse(['toy', f, u, 'otsu', 'textures']) for f in (u, 'classifier'))
    assert own.output == 'saved/toy-segment-textures-0' and plain.output == 'saved/toy-textures-0'
    assert train3.parse(['toy', s, u, 'otsu', 'adv']).output == 'saved/toy-segment-adv-0'


# Scores

def test_true_masks_travel_with_every_test_of_a_monochrome_set():
    data = objects.asking_masks(mydatasets.load('toy_backgrounds'))
    assert len(data.tests) == 7 and data.task == tasks.MASK
    plain, striped = (next(iter(data.tests[t].batches(96))) for t in ('original', 'stripes'))
    assert np.array_equal(striped['m'], plain['m']) and np.array_equal(plain['m'] > 0, plain['x'] > 0)


def test_a_test_on_another_ground_takes_the_masks_of_the_same_objects(tmp_path):
    random = np.random.RandomState(0)
    for split in ('train', 'test-field', 'test-studio', 'test-other', 'masks/test-studio'):
        for name in ('cat', 'dog'):
            os.makedirs(tmp_path/split/name)
            for i in range(3):
                pixels = random.randint(0, 255, (16, 16, 3)).astype(np.uint8)
                if 'masks' in split:
                    pixels = 255*(pixels[..., 0] > 128).astype(np.uint8)
                other = 'other' if split == 'test-other' else ''
                Image.fromarray(pixels).save(tmp_path/split/name/f'{other}{i}.png')
    data = objects.asking_masks(toys.load(f'folder:{tmp_path}', size=16))
    assert list(data.tests) == ['test-studio', 'test-field']   # test-other shows other objects
    own, field = (data.tests[t].images() for t in data.tests)
    assert np.array_equal(own.m, field.m) and not np.array_equal(own.x, field.x)


def test_distractors_lie_on_the_ground_alone_and_are_a_function_of_the_row():
    data = objects.asking_masks(mydatasets.load('toy'))
    test = distractors.tests(data)['distractors']
    x = np.concatenate([b['x'] for b in test.batches(40)])
    again = np.concatenate([b['x'] for b in test.batches(96)])
    assert np.allclose(x, again, atol=1e-6) and 0 <= x.min() <= x.max() <= 1
    images = test.images()
    inside = objects.mask(images.x/np.float32(255), tf.constant(images.m), 2).numpy() > 0
    assert np.allclose(x[inside], (images.x/np.float32(255))[inside], atol=1e-6)
    ground = distractors.unseen.bank('photographs', 16, 96)/np.float32(255)
    pasted = (np.abs(x - ground) > 0.02)[~inside]
    assert 0.05 < pasted.mean() < 0.6   # some of the ground is something else


@pytest.mark.slow
def test_evaluate_scores_both_u_nets_beside_otsu(chain, tmp_path, capsys):
    u, s = chain
    out = str(tmp_path/'scores.csv')
    assert evaluate.main(['toy_backgrounds', s, u, '--tests', 'distractors', '--csv', out]) == 0
    rows = rowfile.read(out)
    assert {r['method'] for r in rows} == {'raw-otsu', 'segment-noise-adv', 'unet'} and len(rows) == 3*8
    assert {(r['score'], r['unit']) for r in rows} == {('iou', 'share')}
    data = objects.asking_masks(mydatasets.load('toy_backgrounds'))
    model, _ = weightfiles.load(s)
    batch = next(iter(data.tests['clock'].batches(96)))
    m, t = model(batch['x']).numpy() > 0.5, batch['m'].numpy() > 0
    by_hand = np.mean([(a & b).sum()/max((a | b).sum(), 1) for a, b in zip(m, t)])
    mine, = rowfile.find(rows, method='segment-noise-adv', test='clock')
    assert mine['value'] == pytest.approx(by_hand, abs=1e-4)
    assert 'intersection over union' in capsys.readouterr().out
    assert 'worst' in error_of(evaluate.main, 'toy', s, '--tests', 'worst')


# Cut-outs

@pytest.mark.parametrize('fit', photographs.FITS)
@pytest.mark.parametrize('size', [(90, 60), (60, 90), (64, 64), (33, 21)])
def test_a_mask_finds_its_way_back_to_the_photograph(tmp_path, fit, size):
    w, h = size
    pixels = np.zeros((h, w), np.uint8)
    pixels[h//3:2*h//3, w//3:2*w//3] = 255
    Image.fromarray(pixels).save(tmp_path/'a.png')
    frame = frames.Frame(64, 1, fit)
    alpha = frame.back(frame.read(str(tmp_path/'a.png'))[..., 0]/255, size)
    assert alpha.shape == (h, w) and np.mean((alpha > 127) != (pixels > 127)) < 0.03
    if fit == 'crop':
        assert not alpha[:, :(w - h)//2].any() if w > h else not alpha[:(h - w)//2].any()


def test_predict_writes_photographs_with_transparent_ground(tmp_path):
    folder = tmp_path/'photos'
    os.makedirs(folder/'sub')
    pixels = np.random.RandomState(0).randint(0, 255, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder/'a.png')
    turned = Image.fromarray(pixels)
    exif = turned.getexif()
    exif[0x112] = 6
    turned.save(folder/'sub'/'b.jpg', exif=exif)
    keras.utils.set_random_seed(0)
    weightfiles.save(mymodels.unet((16, 16, 3), 4), tmp_path/'s', kind='segmenter', shape=[16, 16, 3],
                     classes=[], network={'width': 4}, dataset='folder:x', method='segment-textures', seed=0)
    assert predict.main([str(tmp_path/'s'), str(folder), '--cutout', str(tmp_path/'out'), '--quiet']) == 0
    with Image.open(tmp_path/'out'/'a.png') as im:
        found = np.asarray(im)
        assert im.mode == 'RGBA' and np.array_equal(found[..., :3], pixels)
        assert not found[:, :9, 3].any() and found[10:30, 20:40, 3].all()   # nothing beside the square
    with Image.open(tmp_path/'out'/'b.png') as im:
        assert im.size == (40, 60)   # upright
    toys.parents(tmp_path)
    for words, what in (([tmp_path/'s', folder], '--cutout'),
                        ([tmp_path/'classifier', folder, '--cutout', 'x'], 'marks no'),
                        ([tmp_path/'s', folder, '--cutout', folder], 'over a photograph'),
                        ([tmp_path/'s', folder, '--cutout', 'x', '--csv', 'y.csv'], '--csv')):
        assert what in error_of(predict.main, *words)
    assert not os.path.exists('x') and sorted(os.listdir(folder)) == ['a.png', 'sub']


def test_export_writes_its_masks(chain, tmp_path, capsys):
    assert export.main([chain[1], '--format', 'keras', '--output', str(tmp_path/'s.keras')]) == 0
    file, (model, _) = keras.models.load_model(tmp_path/'s.keras'), weightfiles.load(chain[1])
    x = mydatasets.load('toy').train.x[:4].astype(np.float32)
    assert np.allclose(file(x), model(x/255), atol=1e-4) and '(n, 16, 16, 1), mask' in capsys.readouterr().out
    words = '--check', os.path.join(toys.ROOT, 'results'), '--overwrite'
    assert 'mask generator' in error_of(export.main, chain[1], '--format', 'keras', *words)


def test_other_phases_refuse_it_in_one_line(chain, tmp_path):
    assert 'holds a segmenter' in error_of(train2.main, 'toy', chain[1], '--output', tmp_path/'x')
    words = 'toy', chain[0], chain[1], 'otsu', 'noise', '--output', tmp_path/'x'
    assert 'needed is unet' in error_of(train3.main, *words)
    assert 'holds a classifier' in error_of(evaluate.main, 'toy', chain[1], toys.parents(tmp_path)[0])


def test_reproduce_counts_rows_of_masks_in_their_own_file(tmp_path):
    words = ['toy', '--methods', 'baseline', 'segment', '--out', str(tmp_path)]
    plan = reproduce.Plan(reproduce.parse(words), 'toy', 0, True)
    assert plan.parents('segment') == ['unet', 'unet'] and plan.task_of('segment-real') == tasks.MASK
    unit = reproduce.Unit(plan, 'segment', {'original': None})
    row = {'dataset': 'toy', 'method': 'segment', 'seed': 0, 'test': 'original', 'n': 9,
           'settings': reproduce.fingerprint(plan, 'segment')}
    rowfile.append(str(tmp_path/'accuracy.csv'), {**row, 'correct': 1, 'accuracy': 0.1})
    assert reproduce.missing_tests(unit) == ['original']
    rowfile.append(str(tmp_path/'scores.csv'), {**row, 'score': 'iou', 'value': 0.9, 'unit': 'share'})
    assert reproduce.missing_tests(unit) == []
    more = plan._replace(args=reproduce.parse([*words, '--tests', 'distractors']))
    tests = reproduce.tests_of(more, 'segment')
    assert list(tests)[-1] == 'distractors' and len(tests) == 8
    assert 'add the row segment' in error_of(reproduce.main, 'toy', '--methods', 'baseline', '--tests',
                                             'distractors', '--out', tmp_path/'r')


@pytest.mark.slow
def test_the_fingerprint_of_a_plan_is_that_of_its_weights(chain, tmp_path):
    u, _ = chain
    out = str(tmp_path/'x')
    words = ['toy', u, u, 'otsu', 'noise', '--epochs', '1', '--steps-per-epoch', '1', '--batchsize', '8']
    assert train3.main([*words, '--quiet', '--output', out]) == 0
    mine = weightfiles.read_sidecar(u)['settings']
    wanted = train3.fingerprint(train3.parse(words), [mine, mine])
    assert weightfiles.read_sidecar(out)['settings'] == wanted

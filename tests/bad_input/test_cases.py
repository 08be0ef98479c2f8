"""Bad input: exit code 2, one line that names the thing and the mend; nothing half done."""
import os
import pickle
import re

import pytest

import toys
from commands import run
from damage import (circle, cut_image, cut_record, emptied, empty_class, existing, external_link,
                    external_storage, folder, full, huge_array, lambda_layer, mnist, no_json, no_records,
                    not_a_number, other_class, pickled_sidecar, pickled_weights, sidecar, soft_link, swapped,
                    swapped_unnoticed, texts_in_arrays, truncated, unreachable, variable, virtual, WIDE,
                    with_bomb, with_file, written)

LOG = os.environ.get('BAD_INPUTS_LOG')   # a file that collects what users see
OUT, PHOTOS = ['--output', '{tmp}/out/x'], 'folder:{tmp}/photos'
F, U, C, CU = '{tmp}/in/f', '{tmp}/in/u', '{tmp}/in/c', '{tmp}/in/cu'   # of toy, and of colour photographs
SMALL = ['--size', '16', '--batchsize', '2']
QUICK = [*toys.FEW, *OUT]
BIG_CLASSES = [str(i) for i in range(20_000)]

# what is wrong: (script, its arguments, a part of the line that users see[, what happened before])
CASES = {
    # names
    'unknown data set': ('train1', ['mnst'], 'did you mean mnist'),
    'data set that resembles none': ('train1', ['qqq'], 'known are digits, toy'),
    'no data set': ('train1', [], 'required: dataset'),
    'unknown pair': ('train1', ['cifar10_slt10'], 'cifar10_stl10'),
    'unknown set of tensorflow-datasets': ('train1', ['tfds:nosuchset'], "no set 'nosuchset'"),
    'unknown option': ('train1', ['toy', '--epochz', '3'], 'did you mean --epochs?'),
    'unknown backbone': ('train1', ['toy', '--backbone', 'VGG91'], 'no backbone'),
    'unknown strategy': ('train1', ['toy', '--strategy', 'miror'], 'did you mean mirrored?'),
    'unknown precision': ('train1', ['toy', '--precision', 'float61'], 'did you mean float16?'),
    'unknown schedule': ('train1', ['toy', '--schedule', 'cosin'], 'did you mean cosine?'),
    'unknown area loss': ('train2', ['toy', F, '--loss', 'squard'], 'did you mean squared?'),
    'unknown binarisation': ('train3', ['toy', F, U, 'otsuu', 'adv'], 'did you mean otsu?'),
    'unknown background': ('train3', ['toy', F, U, 'otsu', 'texture'], 'did you mean textures?'),
    'no background': ('train3', ['toy', F, U, 'otsu'], 'required: back'),
    'unknown method': ('reproduce', ['toy', '--methods', 'basline'], 'did you mean baseline?'),
    'unknown data set to reproduce': ('reproduce', ['mnst', '--out', '{tmp}/out'], 'did you mean mnist'),
    'unknown kind of tests': ('reproduce', ['toy', '--tests', 'atack'], 'did you mean attack?'),
    # numbers
    'negative epochs': ('train1', ['toy', '--epochs', '-1'], "'-1' is no whole number from 1"),
    'no epochs': ('train1', ['toy', '--epochs', '0'], "'0' is no whole number"),
    'half an epoch': ('train1', ['toy', '--epochs', '1.5'], "'1.5' is no whole number"),
    'epochs in words': ('train1', ['toy', '--epochs', 'many'], '--epochs'),
    'epochs in Arabic-Indic digits': ('train1', ['toy', '--epochs', '\u0663'], '--epochs'),
    'batch of nothing': ('train1', ['toy', '--batchsize', '0'], '--batchsize'),
    'batch larger than the set': ('train1', ['toy', '--batchsize', '1000', *OUT], 'use at most 287'),
    'negative rate': ('train1', ['toy', '--lr', '-1'], '--lr'),
    'rate that is no number': ('train1', ['toy', '--lr', 'nan'], "'nan' is no number above 0"),
    'infinite rate': ('train1', ['toy', '--lr', 'inf'], '--lr'),
    'limit of nothing': ('train1', ['toy', '--limit', '0'], '--limit'),
    'limit below two a class': ('train1', ['toy', '--limit', '5', *OUT], 'use 6 or more'),
    'negative seed': ('train1', ['toy', '--seed', '-1'], '--seed'),
    'seed of twenty digits': ('train1', ['toy', '--seed', '1'*20], '--seed'),
    'side of four pixels': ('train1', ['toy', '--size', '4'], '--size'),
    'side of a million pixels': ('train1', ['toy', '--size', '1000000'], 'from 8 to 1024'),
    'side that weights do not have': ('train2', ['toy', F, '--size', '44', *OUT], 'images of shape'),
    'too many filters': ('train1', ['toy', '--width', '100000'], '--width'),
    'no filters': ('train2', ['toy', F, '--width', '0'], '--width'),
    'checkpoints every 0 minutes': ('train1', ['toy', '--minutes', '0'], '--minutes'),
    'area 0': ('train2', ['toy', F, '--area', '0'], "'0' is no number above 0 and below 1"),
    'area 1': ('train2', ['toy', F, '--area', '1'], "'1' is no number"),
    'area in words': ('train2', ['toy', F, '--area', 'small'], '--area'),
    'negative total variation': ('train2', ['toy', F, '--total-variation', '-1'], '--total-variation'),
    'quantile of everything': ('train3', ['toy', F, U, 'quantile', 'adv', '--area', '1'], '--area'),
    'tiles that do not divide the side': (
        'train3', ['toy', F, U, 'otsu', 'adv', '--tiles', '3', *OUT], 'must divide the side 16; use 1 or 2'),
    'as many tiles as pixels': ('train3', ['toy', F, U, 'otsu', 'adv', '--tiles', '16', *OUT], '--tiles 16'),
    'share of two': ('train3', ['toy', F, U, 'otsu', 'adv', '--clean', '2'], '--clean'),
    'negative pool': ('train3', ['toy', F, U, 'otsu', 'adv', '--pool', '-5'], '--pool'),
    'no fresh backgrounds': ('train3', ['toy', F, U, 'otsu', 'adv', '--fresh', '0'], '--fresh'),
    'dilation beyond the image': ('train3', ['toy', F, U, 'otsu', 'adv', '--dilate', '999'], '--dilate'),
    'tau of 0': ('train_att', ['toy', '--tau', '0'], '--tau'),
    'tau of 2': ('train_att', ['toy', '--tau', '2'], '--tau'),
    'no seeds': ('reproduce', ['toy', '--seeds', '0'], '--seeds'),
    'size in words': ('reproduce', ['toy', '--size', 'big'], '--size'),
    'third shard of two': ('reproduce', ['toy', '--shard', '3/2'], 'I/N'),
    'determinism in half precision': (
        'train1', ['toy', '--deterministic', '--precision', 'float16', *OUT], 'leave out --precision'),
    # weights and sidecars
    'no weights': ('train2', ['toy', '{tmp}/in/nothing', *OUT], 'train them first'),
    'folder for weights': ('train2', ['toy', '{tmp}/in', *OUT], 'no weights'),
    'mask network for classifier': ('train2', ['toy', U, *OUT], 'needed is classifier'),
    'classifier for mask network': ('train3', ['toy', F, F, 'otsu', 'adv', *OUT], 'needed is unet'),
    'mask network to be evaluated': ('evaluate', ['toy', U], 'holds a unet'),
    'classifier for masks': ('evaluate_seg', ['toy', F], 'holds a classifier'),
    'mask network as global branch': ('train_att', ['toy', '--global-classifier', U, *OUT], 'holds a unet'),
    'weights of another size': ('train2', ['digits', F, *OUT], 'these are (32, 32, 1)'),
    'weights of another number of classes': (
        'train2', ['toy', F, *OUT], 'knows 2 classes, the data set has 3', sidecar(classes=['a', 'b'])),
    'weights of other classes': (
        'train2', ['toy', F, *OUT], 'knows other classes', sidecar(classes=['disk', 'square', 'ring'])),
    'truncated weights': ('train2', ['toy', F, *OUT], 'f.weights.h5', truncated),
    'empty weights': ('train2', ['toy', F, *OUT], 'has 0 bytes', written('in/f.weights.h5', '')),
    'text for weights': ('train2', ['toy', F, *OUT], 'is not the file that',
                         written('in/f.weights.h5', 'text'*9999)),
    'swapped weights': ('train2', ['toy', F, *OUT], 'is not the file that', swapped),
    'swapped weights without checksum': ('train2', ['toy', F, *OUT], 'other arrays', swapped_unnoticed),
    'weights of a wider network': (
        'train2', ['toy', F, *OUT], 'f.weights.h5', sidecar(network={'width': 6, 'dense': 8})),
    'no sidecar': ('train2', ['toy', F, *OUT], 'copy both files', lambda tmp: os.remove(tmp/'in/f.json')),
    'empty sidecar': ('train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', '')),
    'sidecar that is no JSON': ('train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', '{x')),
    'sidecar of binary junk': (
        'train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', bytes(range(256)))),
    'sidecar nested without end': (
        'train2', ['toy', F, *OUT], 'f.json is damaged', written('in/f.json', '['*100_000)),
    'sidecar of five megabytes': (
        'train2', ['toy', F, *OUT], 'no sidecar of ours', written('in/f.json', ' '*5_000_000)),
    'sidecar that is a list': ('train2', ['toy', F, *OUT], 'the whole must be', written('in/f.json', '[1]')),
    'sidecar without a kind': ('train2', ['toy', F, *OUT], 'kind must be', sidecar(kind=[])),
    'sidecar of an unknown kind': ('train2', ['toy', F, *OUT], 'kind must be', sidecar(kind='os.system')),
    'shape of words': ('train2', ['toy', F, *OUT], 'shape must be', sidecar(shape=['a', 'b', 'c'])),
    'shape of terabytes': ('train2', ['toy', F, *OUT], 'shape must be', sidecar(shape=[10**6, 10**6, 1])),
    'network of gigabytes': ('train2', ['toy', F, *OUT], 'is not the network', sidecar(**WIDE)),
    'twenty thousand classes': ('train2', ['toy', F, *OUT], 'classes must be', sidecar(classes=BIG_CLASSES)),
    'classes that are numbers': ('train2', ['toy', F, *OUT], 'classes must be', sidecar(classes=[1, 2, 3])),
    'class names that control the terminal': (
        'train2', ['toy', F, *OUT], 'classes must be', sidecar(classes=['\x1b[2J', 'b', 'c'])),
    'unknown settings of a network': (
        'train2', ['toy', F, *OUT], 'network must be', sidecar(network={'activation': 'exec'})),
    'backbone that is no network': (
        'train2', ['toy', F, *OUT], 'backbone must be', sidecar(network={'backbone': 'os.system'})),
    'settings of another kind': (
        'train2', ['toy', F, *OUT], 'network must be', sidecar(network={'tau': 0.5})),
    'seed that is text': ('evaluate', ['toy', F], 'seed must be', sidecar(seed='0; rm -rf')),
    'method of two lines': ('evaluate', ['toy', F], 'method must be', sidecar(method='a\nb')),
    'pickle for weights': ('train2', ['toy', F, *OUT], 'no readable weights', pickled_weights),
    'pickle for sidecar': ('train2', ['toy', F, *OUT], 'f.json is damaged', pickled_sidecar),
    'model with code for weights': ('train2', ['toy', F, *OUT], 'no readable weights', lambda_layer),
    'link out of the weights': ('train2', ['toy', F, *OUT], 'contains links', external_link),
    'link inside the weights': ('train2', ['toy', F, *OUT], 'contains links', soft_link),
    'weights in circles': ('train2', ['toy', F, *OUT], 'or in circles', circle),
    'weights stored in another file': ('train2', ['toy', F, *OUT], 'something else', external_storage),
    'weights that are a view of another file': ('train2', ['toy', F, *OUT], 'something else', virtual),
    'weights that declare terabytes': ('train2', ['toy', F, *OUT], 'other arrays', huge_array),
    'weights that are texts': ('train2', ['toy', F, *OUT], 'other arrays', texts_in_arrays),
    # output
    'output that exists': ('train1', ['toy', *QUICK], '--overwrite', existing),
    'output that exists with other settings': (
        'train1', ['toy', *QUICK, '--resume'], 'other settings', existing),
    'output below a file': ('train1', ['toy', '--output', '{tmp}/in/f.json/x'], 'choose another --output'),
    'output where nobody can write': ('train1', ['toy', '--output', '/proc/nothing/x'], 'cannot write /proc'),
    'output that is a folder': ('train1', ['toy', '--output', '{tmp}/out/'], 'give the NAME'),
    'full disk': ('train1', ['toy', '--width', '4', *QUICK], 'cannot write', full),
    'CSV of something else': ('evaluate', ['toy', F, '--csv', '{tmp}/in/x.csv'], 'another header',
                              written('in/x.csv', 'a,b\n1,2\n')),
    'CSV below a file': ('evaluate', ['toy', F, '--csv', '{tmp}/in/f.json/x.csv'], 'x.csv'),
    'name of a method with a space': (
        'evaluate', ['toy', F, '--method', 'my method'], "'my method' is no name"),
    'results below a file': ('reproduce', ['toy', '--out', '{tmp}/in/f.json/r', '--quick'], 'f.json'),
    # data
    'no network': ('train1', ['cifar10', '--data-dir', '{tmp}/in', *OUT], 'use `digits`', unreachable),
    'set without a download': ('train1', ['synthdigits', '--data-dir', '{tmp}'], 'folder:{tmp}/synthdigits'),
    'truncated record': ('train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], 'prepare it again',
                         mnist(cut_record)),
    'no records': (
        'train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], 'prepare it again', mnist(no_records)),
    'empty version folder': (
        'train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], '{tmp}/tfds', mnist(emptied)),
    'damaged description of a set': (
        'train1', ['mnist', '--data-dir', '{tmp}/tfds', *OUT], '{tmp}/tfds', mnist(no_json)),
    'file for a data folder': (
        'train1', ['mnist', '--data-dir', '{tmp}/in/f.json', *OUT], 'is no folder', unreachable),
    'backbone for monochrome images': (
        'train1', ['toy', '--backbone', 'VGG19', '--backbone-weights', 'none', *OUT], 'needs colour images'),
    'missing weights of a backbone': (
        'train1', [PHOTOS, '--size', '32', '--backbone', 'MobileNetV3Small', '--dense', '4',
                   '--backbone-weights',
                   '{tmp}/in/nothing', '--batchsize', '2', *OUT], 'in/nothing', folder()),
    'no such folder': ('train1', ['folder:{tmp}/nothing', *OUT], 'no such folder'),
    'folder without train/': ('train1', [PHOTOS, *OUT], 'train/', folder(splits=('test',))),
    'one class only': ('train1', [PHOTOS, *OUT], 'only the class cat', folder(classes=('cat',))),
    'empty class': ('train1', [PHOTOS, *OUT], 'class', empty_class),
    'class that train/ lacks': ('train1', [PHOTOS, *OUT], 'class', other_class),
    'image of zero bytes': ('train1', [PHOTOS, *OUT], 'damaged', with_file('train/cat/x.png', '')),
    'text as an image': ('train1', [PHOTOS, *OUT], 'damaged', with_file('train/cat/x.jpg', 'hello')),
    'truncated image': ('train1', [PHOTOS, *OUT], '--skip-damaged', cut_image),
    'decompression bomb': ('train1', [PHOTOS, *OUT], 'damaged', with_bomb),
    'numbers that are no pixels': ('train1', [PHOTOS, *OUT], 'damaged', not_a_number),
    'pickle as an image': (
        'train1', [PHOTOS, *OUT], 'damaged', with_file('train/cat/x.png', pickle.dumps([1]))),
    'masks of x > 0 in colour': (
        'train3', [PHOTOS, C, 'heuristic', 'otsu', 'adv', *SMALL, *OUT],
        'give the weights of phase 2', folder()),
    'no photographs in the folder of a colour set': (
        'train3', [PHOTOS, C, 'heuristic', 'otsu', 'real', *SMALL, *OUT], 'give', folder()),
    'attack on colour images': (
        'evaluate', [PHOTOS, C, '--size', '16', '--adversarial'], 'leave out --adv', folder()),
    'folder without tests': (
        'evaluate', [PHOTOS, C, '--size', '16'], 'no test images', folder(splits=('train',))),
    'tables of a folder without tests': ('reproduce', [PHOTOS, '--size', '16', '--out', '{tmp}/none'],
                                         'no test images', folder(splits=('train',))),
    'row on real photographs without photographs': (
        'reproduce', [PHOTOS, '--size', '16', '--methods', 'textures', 'real', '--out', '{tmp}/none'],
        'leave the row out', folder()),
    'attack in tables of photographs': (
        'reproduce', [PHOTOS, '--size', '16', '--tests', 'attack', '--out', '{tmp}/none'],
        '--tests attack is for monochrome sets', folder()),
    'ascent where no object is known': (
        'evaluate', [PHOTOS, C, '--size', '16', '--tests', 'pixels'], 'true masks', folder()),
    'a fixed set of backgrounds where no object is known': (
        'reproduce', [PHOTOS, '--size', '16', '--tests', 'worst', '--out', '{tmp}/none'], 'true masks',
        folder()),
    'unseen backgrounds where no object is known': (
        'reproduce', [PHOTOS, '--size', '16', '--tests', 'unseen', '--out', '{tmp}/none'], 'true masks',
        folder()),
    'the worst of remembered backgrounds where none are remembered': (
        'train3', ['toy', F, U, 'otsu', 'pixels', '--ascent-tries', '8', '--fresh', '1', *OUT],
        '--fresh 2 or more'),
    'the worst of so many backgrounds where there are others': (
        'train3', ['toy', F, U, 'otsu', 'pixels', '--ascent-keep', '7', '--ascent-steps', '1', *OUT],
        'give a divisor of that'),
    'ascent of nobody': ('train3', ['toy', F, U, 'otsu', 'textures', '--ascent-tries', '8', *OUT],
                         '--ascent-tries does nothing without pixels'),
    'a generator of nobody': ('train3', ['toy', F, U, 'otsu', 'textures', '--renew', '2', *OUT],
                              '--renew does nothing without adv'),
    'nothing to remember': ('train3', ['toy', F, U, 'otsu', 'noise', '--pool', '0', *OUT],
                            '--pool does nothing without adv or pixels'),
    'photographs for nobody': ('train3', ['toy', F, U, 'otsu', 'noise', '--backgrounds', '{tmp}', *OUT],
                               '--backgrounds does nothing without real'),
    'an area without quantile': ('train3', ['toy', F, U, 'otsu', 'adv', '--area', '0.5', *OUT],
                                 '--area does nothing without quantile'),
    'masks without truth': ('evaluate_seg', [PHOTOS, CU, '--size', '16'], 'true masks', folder()),
    'no photographs': ('train3', ['toy', F, U, 'otsu', 'real', '--backgrounds', '{tmp}/nothing', *OUT],
                       '--backgrounds {tmp}/nothing'),
    'photographs made square where there are none': (
        'train1', ['toy', '--fit', 'pad', *OUT], '--fit pad is for folders'),
    'weights of photographs made square another way': (
        'train2', [PHOTOS, C, '--size', '16', '--fit', 'pad', *OUT], 'was trained with --fit crop', folder()),
    'no such picture to fill with': (
        'train2', ['toy', F, '--fill', '{tmp}/nothing.png', *OUT], 'no such file'),
    'text to fill with': ('train2', ['toy', F, '--fill', '{tmp}/in/f.json', *OUT], 'in/f.json'),
    # several devices
    'several workers without a cluster': (
        'train1', ['toy', '--strategy', 'multiworker', *OUT], 'launch.py', variable('TF_CONFIG', '')),
    'cluster that is no JSON': (
        'train1', ['toy', '--strategy', 'multiworker', *OUT], 'TF_CONFIG', variable('TF_CONFIG', '{')),
    'cluster of nobody': ('train1', ['toy', '--strategy', 'multiworker', *OUT], 'TF_CONFIG',
                          variable('TF_CONFIG', '{"cluster": {}, "task": {"type": "worker", "index": 0}}')),
    'no workers': ('launch', ['--workers', '0', 'train1.py', 'toy'], '--workers'),
    'nothing to launch': ('launch', ['--workers', '2'], 'script'),
    'launch of a script that does not train': ('launch', ['evaluate.py', 'toy', F], 'train1.py'),
}


@pytest.mark.parametrize('case', CASES)
def test_bad_input_is_answered_with_exit_code_2_and_one_line(case, world, capfd, monkeypatch):
    script, words, part, *before = CASES[case]
    monkeypatch.chdir(world/'out')   # where results go by default
    undo = [u for u in (prepare(world) for prepare in before) if callable(u)]
    there = sorted(os.listdir(world/'out'))
    try:
        code, err = run(script, [w.replace('{tmp}', str(world)) for w in words], capfd)
    finally:
        for u in undo:
            u()
    if LOG:
        with open(LOG, 'a') as f:
            f.write(f'{case}\n    {script}.py {" ".join(words)[:150]}\n    ' + '\n    '.join(err).replace(
                str(world), '{tmp}') + '\n')
    assert code == 2, err
    first = [line for line in err if line.startswith('error: ')]
    # of a folder, file by file
    report = [line for line in err if re.match('  (damaged|error|warning): ', line)]
    assert len(first) == 1 and len(err) == 1 + len(report), err
    assert part.replace('{tmp}', str(world)) in first[0]
    assert len(first[0]) < 1500 and 'Traceback' not in first[0] and ';' in first[0], 'no mend'
    assert sorted(os.listdir(world/'out')) == there, 'something half done was left'
    assert not (world/'executed').exists()


def test_there_are_at_least_sixty_bad_inputs():
    assert len(CASES) >= 60

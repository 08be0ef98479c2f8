"""Memory of training from more photographs than fit into it: 100,000 hard links to 1,000 generated files.

Prints the time of each part and the peak of the resident memory, from the folder's check to the last step.
"""
import argparse
import os
import resource
import sys
import tempfile
import time

import numpy as np
from PIL import Image

import mydatasets
import mymodels
import train1
import train3
from common import cli
from common.errors import guard, UserError
from readers import folders
from training import weightfiles

CLASSES = 10


def peak():
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024


def photograph(path, seed, side):
    """A JPEG of smooth noise, about as large as a photograph of that side."""
    noise = np.random.default_rng(seed).integers(0, 256, (side//8, side//8, 3), np.uint8)
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)


def make(root, files, images, side):
    """root/train/<class>/: `images` links to `files` photographs; root/test/<class>/: two of their own."""
    for c in range(CLASSES):
        for split in 'train', 'test':
            os.makedirs(os.path.join(root, split, f'class{c}'))
        for i in range(2):
            photograph(os.path.join(root, 'test', f'class{c}', f'{i}.jpg'), files + 2*c + i, side)
    os.makedirs(os.path.join(root, 'files'))
    originals = [os.path.join(root, 'files', f'{i}.jpg') for i in range(files)]
    for i, path in enumerate(originals):
        photograph(path, i, side)
    for i in range(images):
        os.link(originals[i % files], os.path.join(root, 'train', f'class{i % CLASSES}', f'{i}.jpg'))


def timed(name, work):
    began, used = time.monotonic(), time.process_time()
    result = work()
    print(f'{name}: {time.monotonic() - began:.1f} s, {time.process_time() - used:.1f} s of processor, '
          f'peak so far {peak():,} MB', flush=True)
    return result


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('--images', type=cli.whole(1000), default=100_000)
    p.add_argument('--files', type=cli.whole(10), default=1000)
    p.add_argument('--side', type=cli.whole(32, mymodels.MAX_SIDE), default=224)
    p.add_argument('--steps', type=cli.whole(1), default=20)
    p.add_argument('--batchsize', type=cli.whole(1), default=32)
    p.add_argument('--backbone', default='MobileNetV3Small')
    p.add_argument('--phase3', action='store_true', help='also phase 3, with textures behind untrained masks')
    return p


def run(args):
    with tempfile.TemporaryDirectory() as root:
        print(f'{args.images:,} photographs of {args.side}x{args.side}, '
              f'{3*args.images*args.side**2/1e9:.1f} GB of pixels; peak so far {peak():,} MB')
        timed('files and links', lambda: make(root, args.files, args.images, args.side))
        timed('scan', lambda: folders.scan(root))
        timed('check (every file decoded, duplicates)',
              lambda: mydatasets._checked(folders.scan, root, False))
        common = ['folder:' + root, '--size', str(args.side), '--batchsize', str(args.batchsize),
                  '--epochs', '1', '--steps-per-epoch', str(args.steps), '--quiet', '--output']
        first = os.path.join(root, 'f')
        done = timed(f'phase 1, {args.steps} steps and validation', lambda: train1.main(
            [*common, first, '--backbone', args.backbone, '--backbone-weights', 'none', '--dense', '64']))
        if args.phase3 and not done:
            shape, unet = (args.side, args.side, 3), os.path.join(root, 'u')
            weightfiles.save(mymodels.unet(shape, width=8), unet, kind='unet', network={'width': 8},
                           shape=list(shape), classes=weightfiles.read_sidecar(first)['classes'])
            done = timed(f'phase 3, {args.steps} steps and validation', lambda: train3.main(
                [common[0], first, unet, 'otsu', 'textures', *common[1:], os.path.join(root, 'g')]))
        if done:
            raise UserError('training failed, see above')
    print(f'peak of the resident memory: {peak():,} MB')


def main(argv=None):
    return guard(run, cli.parse(arguments(), argv))


if __name__ == '__main__':
    sys.exit(main())

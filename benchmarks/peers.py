"""The same networks and steps in PyTorch, and phase 1 as it is usually written.

Usual is Keras fit, numpy augmentation, batch 8. PyTorch is an optional requirement of this file alone. All
are measured in one run, in turns.
"""
import argparse
import math
import statistics
import sys

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from steps import counted, matrix_rate, rate, steps
from torch import nn
from torch.nn import functional

import mymodels
from common.keys import Key
from common.quiet import keras, tf

MOVE = 0.15


class Classifier(nn.Sequential):
    def __init__(self, side, channels=1, classes=10):
        blocks, c = [], channels
        for i in range(mymodels.blocks(side)):
            blocks += [nn.Conv2d(c, 32*2**i, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            c = 32*2**i
        super().__init__(*blocks, nn.Flatten(), nn.Linear(c*16, 128), nn.ReLU(), nn.Linear(128, classes))


class UNet(nn.Module):
    def __init__(self, side, channels=1):
        super().__init__()
        depth, c = min(mymodels.blocks(side), 4), channels
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i in range(depth):
            self.down.append(nn.Conv2d(c, 32*2**i, 3, padding=1))
            c = 32*2**i
        self.bottom = nn.Conv2d(c, 2*c, 3, padding=1)
        c = 2*c
        for i in reversed(range(depth)):
            self.up.append(nn.Conv2d(c, 32*2**i, 3, padding=1))
            c = 2*32*2**i
        self.logit = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        skips = []
        for conv in self.down:
            x = functional.relu(conv(x))
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = functional.relu(self.bottom(x))
        for conv, skip in zip(self.up, reversed(skips)):
            x = torch.cat([functional.relu(conv(functional.interpolate(x, scale_factor=2))), skip], 1)
        return torch.sigmoid(self.logit(x))


def augment(x):
    """The same random affine map and brightness, batched."""
    n = len(x)
    angle, shift = (torch.rand(n)*2 - 1)*2*math.pi*15/360, (torch.rand(n, 2)*2 - 1)*2*MOVE
    theta = torch.stack([torch.stack([angle.cos(), -angle.sin(), shift[:, 0]], 1),
                         torch.stack([angle.sin(), angle.cos(), shift[:, 1]], 1)], 1)
    grid = functional.affine_grid(theta, x.shape, align_corners=False)
    x = functional.grid_sample(x, grid, align_corners=False)
    return (x*(0.8 + 0.4*torch.rand(n, 1, 1, 1))).clamp(max=1)


def torch_steps(side, batch, precision):
    """{name: call}: whole steps of phases 1 and 2, channels last, autocast for bfloat16."""
    x = torch.rand(batch, 1, side, side).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (batch,))
    low = precision == 'bfloat16'

    def phase1():
        with torch.autocast('cpu', torch.bfloat16, enabled=low):
            loss = functional.cross_entropy(f(augment(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def phase2():
        z = augment(x)
        with torch.autocast('cpu', torch.bfloat16, enabled=low):
            m = unet(z).float()
            ce = functional.cross_entropy(frozen(z*m), y)
        tv = (m[:, :, 1:] - m[:, :, :-1]).abs().mean() + (m[..., 1:] - m[..., :-1]).abs().mean()
        loss = ce + functional.relu(m.mean((1, 2, 3)) - 0.2).mean() + 0.1*tv
        optimizer2.zero_grad()
        loss.backward()
        optimizer2.step()
    f, frozen, unet = (net(side).to(memory_format=torch.channels_last)
                       for net in (Classifier, Classifier, UNet))
    frozen.requires_grad_(False)
    optimizer, optimizer2 = torch.optim.Adam(f.parameters()), torch.optim.Adam(unet.parameters())
    return {'phase 1': phase1, 'phase 2': phase2}


def usual(side, images=256, batch=8):
    """Phase 1 as it is usually written: call() is one epoch over `images` images."""
    keras.config.set_dtype_policy('float32')
    random = np.random.default_rng(0)
    x, y = random.random((images, side, side, 1)).astype(np.float32), random.integers(0, 10, images)

    class Augmented(keras.utils.PyDataset):
        def __len__(self):
            return images//batch

        def __getitem__(self, i):
            z = x[i*batch:(i + 1)*batch].copy()
            for k in range(batch):
                z[k] = ndimage.rotate(z[k], random.uniform(-15, 15), reshape=False, order=1)
                z[k] = ndimage.shift(z[k], (*random.uniform(-MOVE*side, MOVE*side, 2), 0), order=1)
                z[k] = np.minimum(z[k]*random.uniform(0.8, 1.2), 1)
            return z, y[i*batch:(i + 1)*batch]
    f = mymodels.classifier((side, side, 1), 10)
    f.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = Augmented()
    return lambda: f.fit(data, epochs=1, verbose=0), images


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--side', type=int, default=32)
    p.add_argument('--batchsize', type=int, default=128)
    p.add_argument('--repeats', type=int, default=5)
    args = p.parse_args(argv)
    calls, flops = {}, {}
    data = {'x': tf.random.uniform((args.batchsize, args.side, args.side, 1), 0, 256, tf.int32),
            'y': tf.random.uniform((args.batchsize,), 0, 10, tf.int32)}
    data['x'] = tf.cast(data['x'], tf.uint8)
    for precision in ('float32', 'bfloat16'):
        for name, step in steps(args.side, args.batchsize, precision, only=('phase 1', 'phase 2')).items():
            whole = lambda b, t, step=step: step(b, Key.of(0, t))  # noqa: E731
            flops[name] = counted(whole, data, tf.constant(0, tf.int64))/args.batchsize
            compiled = tf.function(whole)
            calls[name, 'ours', precision] = (lambda f=compiled: [v.numpy() for v in f(
                data, tf.constant(1, tf.int64)).values()], args.batchsize)
        for name, call in torch_steps(args.side, args.batchsize, precision).items():
            calls[name, 'PyTorch', precision] = call, args.batchsize
    calls['phase 1', 'Keras fit, numpy augmentation, batch 8', 'float32'] = usual(args.side)
    rates, limits = {k: [] for k in calls}, []
    for _ in range(args.repeats):
        limits.append(matrix_rate())
        for key, (call, images) in calls.items():
            rates[key].append(rate(call, images))
    limit = statistics.median(limits)
    table = Table(title=f'{args.side} pixels, batch {args.batchsize}; float32 matrix product '
                  f'{limit/1e9:.0f} GFLOP/s; PyTorch {torch.__version__}')
    for column in ('step', 'by', 'precision', 'images/s', 'spread', 'of the matrix rate', 'against PyTorch'):
        table.add_column(column, justify='right' if column not in ('step', 'by', 'precision') else 'left')
    for (name, by, precision), values in rates.items():
        middle, peer = statistics.median(values), statistics.median(rates[name, 'PyTorch', precision])
        table.add_row(name, by, precision, f'{middle:,.0f}',
                      f'{100*(max(values) - min(values))/middle:.0f} %',
                      f'{100*middle*flops[name]/limit:.0f} %', f'{middle/peer:.2f}')
    Console(width=130).print(table)
    return 0


if __name__ == '__main__':
    sys.exit(main())

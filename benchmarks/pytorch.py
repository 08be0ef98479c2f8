"""The same networks and steps in PyTorch, which is an optional requirement of this file alone."""
import math

import torch
from torch import nn
from torch.nn import functional

import mymodels

MOVE = 0.15
LAST = torch.channels_last
NAMES = {'MobileNetV2': 'mobilenet_v2', 'ResNet50': 'resnet50', 'VGG19': 'vgg19'}   # torchvision's


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


def update(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def torch_steps(side, batch, precision):
    """{name: call}: whole steps of phases 1 and 2, channels last, autocast for bfloat16."""
    x = torch.rand(batch, 1, side, side).contiguous(memory_format=LAST)
    y = torch.randint(0, 10, (batch,))
    low = precision == 'bfloat16'

    def phase1():
        with torch.autocast('cpu', torch.bfloat16, enabled=low):
            loss = functional.cross_entropy(f(augment(x)), y)
        update(optimizer, loss)

    def phase2():
        z = augment(x)
        with torch.autocast('cpu', torch.bfloat16, enabled=low):
            m = unet(z).float()
            ce = functional.cross_entropy(frozen(z*m), y)
        tv = (m[:, :, 1:] - m[:, :, :-1]).abs().mean() + (m[..., 1:] - m[..., :-1]).abs().mean()
        loss = ce + functional.relu(m.mean((1, 2, 3)) - 0.2).mean() + 0.1*tv
        update(optimizer2, loss)
    f, frozen, unet = (net(side).to(memory_format=LAST)
                       for net in (Classifier, Classifier, UNet))
    frozen.requires_grad_(False)
    optimizer, optimizer2 = torch.optim.Adam(f.parameters()), torch.optim.Adam(unet.parameters())
    return {'phase 1': phase1, 'phase 2': phase2}


def backbone_calls(name, side, batch, precision, classes):
    """{'training', 'prediction': call} of one of torchvision's networks, its batch statistics fixed as ours,
    channels last, autocast for bfloat16."""
    import torchvision
    net = getattr(torchvision.models, NAMES[name])(num_classes=classes)
    net = net.eval().to(memory_format=LAST)
    x = torch.rand(batch, 3, side, side).contiguous(memory_format=LAST)
    y = torch.randint(0, classes, (batch,))
    low, optimizer = precision == 'bfloat16', torch.optim.Adam(net.parameters())

    def training():
        with torch.autocast('cpu', torch.bfloat16, enabled=low):
            loss = functional.cross_entropy(net(augment(x)), y)
        update(optimizer, loss)

    def prediction():
        with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16, enabled=low):
            return net(x).argmax(1)
    return {'training': training, 'prediction': prediction}

"""The rows of the paper's tables, and beyond: which phases make them, with which options."""
from typing import NamedTuple

MAIN = 'baseline', 'attention', 'proposal'
ROWS = *MAIN, 'textures', 'best', 'black', 'noise', 'real'


class Phase(NamedTuple):
    """One run of a script. Positional arguments in braces name other phases and become their weights."""
    script: str
    argv: tuple

    @property
    def trains(self):
        """cutout.py puts two networks together, as they are."""
        return self.script != 'cutout'


BASE, UNET = '{baseline}', '{unet}'
HEURISTIC = 'heuristic', 'none'   # masks x > 0, which a black ground gives
MARKING = '--epochs', '10'  # a step of a U-Net takes as long as several of a classifier
LONG = '--epochs', '120'   # Best and the bound beside it train three times as long as the others
# many small steps of ascent: a few large ones teach f nothing that holds (docs/log.md)
ASCENT = '--lr', '5e-4', '--clean', '0.1'
# then smaller ones from worse starts, which find what f has learnt to hide from those
FINE = '--ascent-rate', '0.03', '--ascent-tries', '8'
# or steps that fall, from what harmed other images most: they find nearly twice as much (docs/log.md)
FALLING = '--ascent-falling', '--ascent-tries', '8', '--ascent-keep', '16'
FAR = '--dilate', '2', '--halo', '0'   # as far from the object as the tests
# ten large ones that fall, one at first, from Best at once. Textures right up to the object behind the other
# images, ascent as far from it as the tests
EDGE = ('--dilate', '0', '--halo', '0', '--ascent-dilate', '2', *FALLING, '--ascent-steps', '10',
        '--ascent-rate', '0.2', '--ascent-warmup', '0.3', '--lr', '5e-4')
NEAR = '--dilate', '0', '--halo', '0', '--ascent-rim', '1'   # textures up to the object, ascent a pixel off


# what another camera and place change beside the background (docs/log.md)
FIELD = '--zoom', '1.5', '--photometric', '0.5'


def phases(binarize, best, real, long=LONG):
    """{name: Phase} with that binarisation of masks. best: sources; real: the bound, on real backgrounds;
    long: options that make a row as long as Best."""
    def phase3(*back, mask=UNET, binarize=binarize):
        return Phase('train3', (BASE, mask, binarize, *back))

    def ascent(*back, start='{best}', epochs='60', masks=(UNET, binarize)):
        return Phase('train3', (start, *masks, *back, *ASCENT, '--epochs', epochs))

    def edge(*back, epochs):
        return Phase('train3', ('{best}', *HEURISTIC, *back, *EDGE, '--epochs', epochs))
    return {
        'baseline': Phase('train1', ()),
        'unet': Phase('train2', (BASE,)),
        'attention': Phase('train_att', ('--global-classifier', BASE)),
        # the paper's own method: adversarial backgrounds alone, masks without annotation
        'proposal': phase3('adv'),
        # the first code's adversary; not at its rate of 1e-5, which hardly moves it in so few steps
        'plain': phase3('adv', '--adversary', 'plain', '--pool', '0', '--clean', '0', '--halo', '0',
                        '--settle', '0', '--lr-back', '1e-4'),
        # several generators, one after the other: what one never draws, another does (docs/log.md)
        'proposal-renewed': phase3('adv', '--renew', '2'),
        'textures': phase3('textures'),
        # is it the adversary? Its head and pool on a generator that is never trained, or new at every step
        'untrained': phase3('adv', '--generator', 'untrained'),
        'redrawn': phase3('adv', '--generator', 'redrawn'),
        # at the length of Best, so that equals are compared
        'baseline-long': Phase('train1', long),
        'proposal-long': phase3('adv', *long),
        'textures-long': phase3('textures', *long),
        # Best with pieces of other training images behind every second (or third) one
        'best-pieces': phase3(best[0], 'pieces', *best[1:], *long),
        'best': phase3(*best, *long),
        # masks brought to the object's edges, for backgrounds that reach up to it
        'best-snap-long': phase3(*best, *long, binarize='snap'),
        # and generators that begin anew, as those of an attack do
        'best-renewed': phase3(*best, *long, '--renew', '2', binarize='snap'),
        # time alone, as a control for what follows: Best trained on in its own way
        'best-again': Phase('train3', ('{best}', UNET, binarize, *best, *long)),
        # the real maximum over b: Best trained on behind the worst background of each image
        'ascent': ascent('pixels', '--ascent-steps', '10'),
        'ascent-20': ascent('pixels'),
        # the same, one step at first: all at once leave some networks at guessing (docs/log.md)
        'ascent-grown': ascent('pixels', '--ascent-warmup', '0.3'),
        'ascent-fine': ascent('pixels', *FINE, start='{ascent-grown}', epochs='15'),
        'ascent-finer': ascent('pixels', *FINE, '--ascent-tries', '32', start='{ascent-fine}', epochs='10'),
        # the same with twice the filters, from a Baseline of that width on: ascent asks for capacity.
        # Best of that width tells what width alone brings
        'baseline-wide': Phase('train1', ('--width', '64')),
        'best-wide': Phase('train3', ('{baseline-wide}', UNET, binarize, *best, *long)),
        'ascent-wide': ascent('pixels', '--ascent-warmup', '0.3', start='{baseline-wide}', epochs='120'),
        'ascent-wide-fine': ascent('pixels', *FINE, start='{ascent-wide}', epochs='15'),
        'ascent-wide-falling': ascent('pixels', *FAR, *FALLING, start='{ascent-wide-fine}', epochs='15',
                                      masks=HEURISTIC),
        'ascent-far': ascent('pixels', *FAR),
        # both at once; the same for longer; ascent behind every fourth image, for longer (docs/log.md)
        'ascent-edge': edge('pixels', 'textures', epochs='80'),
        'ascent-edge-long': edge('pixels', 'textures', epochs='120'),
        'ascent-quarter': edge('pixels', *['textures']*3, epochs='120'),
        # both in no more time than `best-again`
        'ascent-edge-short': edge('pixels', 'textures', epochs='40'),
        'ascent-quarter-short': edge('pixels', *['textures']*3, epochs='50'),
        # textures up to the object, and ascent behind every second image
        'ascent-textures': ascent('pixels', 'textures', *NEAR),
        'ascent-textures-fine': ascent('pixels', 'textures', *NEAR, *FINE,
                                       start='{ascent-textures}', epochs='30'),
        # what augmentation alone brings, at the length of Best
        'augment': Phase('train1', (*FIELD, *long)),
        # the paper's ablation of the source of backgrounds
        'black': phase3('black'),
        'noise': phase3('noise'),
        'real': real,
        # another task: the U-Net itself, trained to mark the object; its bound as that of the classifier
        'segment': Phase('train3', (UNET, UNET, binarize, *best, *MARKING)),
        'segment-real': real and real._replace(argv=(UNET, *real.argv[1:], *MARKING)),
        # what a user would pick instead: that U-Net removes the background, and a classifier sees the rest
        'baseline-cutout': Phase('cutout', (BASE, '{segment}')),
        'best-cutout': Phase('cutout', ('{best}', '{segment}')),
        # what of Best matters: one thing changed in each, at the length of Proposal (which is `best-short`
        # without textures) and of Textures (without the adversary)
        'best-short': phase3('adv', 'textures'),
        'best-pool': phase3('adv', 'textures', '--pool', '0'),
        'best-clean': phase3('adv', 'textures', '--clean', '0'),
        'best-unet': phase3('adv', 'textures', mask='truth'),
        # the same masks as near to the object as the U-Net's, which are grown by 0 to 2 pixels
        'best-truth': phase3('adv', 'textures', '--dilate', '0', mask='truth'),
        # and right up to it: the bound of what better masks could bring
        'best-exact': phase3('adv', 'textures', '--dilate', '0', '--halo', '0', mask='truth'),
        'best-snap': phase3('adv', 'textures', binarize='snap'),
        'best-rate': phase3('adv', 'textures', '--lr-back', '1e-4'),
        'best-settle': phase3('adv', 'textures', '--settle', '0'),
    }


# Monochrome sets have no photographs: their bound is the test patterns behind the true masks.
MONOCHROME = phases('otsu', ('adv', 'textures'),
                    Phase('train3', (BASE, 'truth', 'none', 'real', *LONG, '--halo', '0')))
# Photographs have backgrounds of their own, and a wall whose colour masks are snapped to. On their validation
# images the adversary, which costs time, adds nothing to textures.
PHOTOGRAPHS = phases('snap', ('textures',), Phase('train3', (BASE, UNET, 'snap', 'real', *LONG)))
# which are Best or `best-short` there; there is no generator to renew, and x > 0 says nothing in colour
for row in ('textures-long', 'best-snap', 'best-snap-long', 'best-renewed', 'ascent-wide-falling',
            'ascent-edge', 'ascent-edge-long', 'ascent-edge-short', 'ascent-quarter', 'ascent-quarter-short'):
    del PHOTOGRAPHS[row]
# ImageNet networks: the last layer alone (`probe`), Best with augmentation and with masks of a simple rule.
FIELD_LONGER = *FIELD, '--settle', '0.2'   # these networks soon know their few images by heart (docs/log.md)
THRICE = *FIELD_LONGER, '--epochs', '48'   # for folders so small that 16 epochs are few steps
PHASE3, PHASE1 = ('--epochs', '16'), ('--epochs', '24')   # phase 3 comes on top of the 8 epochs of phase 1
BACKBONES = phases('cut', ('textures', *FIELD_LONGER), None, PHASE3) | {
    'probe': Phase('train1', ('--freeze', 'all')),
    'baseline-long': Phase('train1', PHASE1),
    'augment': Phase('train1', (*FIELD_LONGER, *PHASE1)),
    'best-long': Phase('train3', (BASE, UNET, 'cut', 'textures', *THRICE)),
    'best-pieces-long': Phase('train3', (BASE, UNET, 'cut', 'textures', 'pieces', *THRICE)),
    'best-flood': Phase('train3', (BASE, 'flood', 'none', 'textures', *FIELD_LONGER, *PHASE3)),
    # fine-tuned on new backgrounds from the start: as many steps as Baseline (docs/log.md)
    'best-probe': Phase('train3', ('{probe}', UNET, 'cut', 'textures', '--settle', '0.2'))}
for row in ('real', 'segment-real', 'best-renewed', 'baseline-wide', 'best-wide',
            *(m for m in MONOCHROME if m.startswith('ascent'))):
    del BACKBONES[row]   # the rate of ascent, and the widths, are those of small networks
METHODS = [m for m in MONOCHROME | BACKBONES if m != 'unet']
# small sets need fewer steps; chosen on validation images
RECIPES = {
    # as many as bring its validation images, plain and on shapes, to where the curves are flat (docs/log.md)
    'digits': {'baseline': ('--epochs', '4', '--steps-per-epoch', '50'),
               'unet': ('--batchsize', '32', '--epochs', '4', '--steps-per-epoch', '50'),
               'attention': ('--epochs', '5'),
               'train3': ('--epochs', '10', '--steps-per-epoch', '40')},
    # an angle wants more steps than a class
    'digits_angle': {'baseline': ('--epochs', '12', '--steps-per-epoch', '50'),
                     'unet': ('--batchsize', '32', '--epochs', '8', '--steps-per-epoch', '50'),
                     'train3': ('--epochs', '20', '--steps-per-epoch', '40')},
    'toy': {'baseline': ('--batchsize', '64', '--epochs', '5', '--steps-per-epoch', '20'),
            'unet': ('--batchsize', '32', '--epochs', '4', '--steps-per-epoch', '20'),
            'attention': ('--epochs', '2', '--steps-per-epoch', '10'),
            'train3': ('--epochs', '2', '--steps-per-epoch', '10')},
    # photographs are four times the pixels, and few: augmentation has to stay longer
    'folder': {'train1': ('--batchsize', '64', '--epochs', '15', '--settle', '0.3'),
               'train2': ('--batchsize', '64'),
               'train_att': ('--batchsize', '64', '--settle', '0.3'),
               'train3': ('--batchsize', '64', '--epochs', '15', '--settle', '0.3')}
    | dict.fromkeys(['segment', 'segment-real'], ('--batchsize', '64', '--epochs', '10', '--settle', '0.3'))
    | dict.fromkeys(['best', 'best-pieces', 'best-again', 'real', 'augment', 'baseline-long', 'proposal-long',
                     'textures-long'], ('--batchsize', '64', '--epochs', '30', '--settle', '0.3')),
}

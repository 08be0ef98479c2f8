"""Names of tests, methods and data sets in tables and figures, published numbers, what is compared."""
import re

from common import patterns

SIX = list(patterns.PATTERNS)
TESTS = ['original', *SIX]
MEAN, WORST = 'mean of six', 'worst of six'
UNSEEN_MEAN = 'unseen mean'
NO_HALO = '-nohalo'      # ends the names of tests whose backgrounds reach up to the object
MISSING = '–'

DATASETS = {'mnist': 'MNIST', 'fashionmnist': 'Fashion-MNIST', 'digits': 'digits', 'signs': 'hand signs',
            'mnist_angle': 'MNIST, angle', 'fashionmnist_angle': 'Fashion-MNIST, angle',
            'digits_angle': 'digits, angle',
            'office31-128': 'Office-31, 128 pixels', 'office31-224': 'Office-31, 224 pixels',
            'signs-128': 'hand signs, MobileNetV2'}
METHODS = {'constant': 'Always the same answer',
           'probe': 'Linear probe', 'baseline': 'Baseline', 'attention': 'Attention', 'proposal': 'Proposal',
           'plain': 'Proposal, plain adversary', 'untrained': 'Generator never trained',
           'proposal-renewed': 'Proposal, generators renewed',
           'redrawn': 'Generator redrawn at every step', 'black': 'Black', 'noise': 'Noise', 'real': 'Real',
           'segment': 'U-Net on compositions', 'segment-real': 'U-Net, bound',
           'baseline-cutout': 'Baseline, background removed', 'best-cutout': 'Best, background removed',
           'unet': 'U-Net of phase 2', 'raw-otsu': "Otsu's threshold on the raw pixels",
           'textures': 'Textures', 'baseline-long': 'Baseline (long)', 'augment': 'Augmented',
           'proposal-long': 'Proposal (long)', 'textures-long': 'Textures (long)', 'best': 'Best',
           'best-flood': 'Best, masks by flooding white', 'best-probe': 'Textures from the probe',
           'best-snap-long': 'Best, masks snapped', 'best-again': 'Best, as long again',
           'best-renewed': 'Best, snapped, generators renewed',
           'best-long': 'Best, three times as long', 'best-pieces': 'Best with pieces of images',
           'best-pieces-long': 'Best with pieces, three times as long',
           'ascent': 'Ascent', 'ascent-20': 'Ascent, 20 steps', 'ascent-grown': 'Ascent, growing',
           'baseline-wide': 'Baseline, twice the width', 'best-wide': 'Best, twice the width',
           'ascent-wide': 'Ascent, growing, twice the width',
           'ascent-wide-fine': 'Ascent, small steps, twice the width',
           'ascent-wide-falling': 'Ascent, falling steps, twice the width',
           'ascent-fine': 'Ascent, small steps', 'ascent-finer': 'Ascent, small steps, worse starts',
           'ascent-far': 'Ascent, further off', 'ascent-edge': 'Ascent and textures at the edge',
           'ascent-edge-long': 'Ascent and textures at the edge (long)',
           'ascent-edge-short': 'Ascent and textures at the edge (short)',
           'ascent-quarter': 'Ascent behind a quarter, textures at the edge',
           'ascent-quarter-short': 'Ascent behind a quarter, textures at the edge (short)',
           'ascent-textures': 'Ascent and textures',
           'ascent-textures-fine': 'Ascent and textures, small steps'}
SHORT = 'best-short'     # Best at the length of the others; in a table of its own but for photographs
# rows that are something else in monochrome sets and in photographs
UPPER_BOUND = 'Real (upper bound: the test patterns, true masks)'
ON_PHOTOGRAPHS = {'best': 'Best (textures)', SHORT: 'Textures and adversary'}
MEANINGS = {
    'constant': 'no network: the middle of the angles, or the mean of the numbers of training',
    'probe': 'the last layer alone, fitted on the features of an ImageNet network',
    'augment': 'Baseline (long) with scale and light varied, without any new background',
    'best-pieces': 'Best with enlarged pieces of other training images beside textures',
    'best-flood': 'Best with the masks of a rule, what white flooded from the frame does not reach',
    'best-probe': 'phase 3 from the probe on, on textures, in as many steps as Baseline',
    'baseline': 'the classifier of phase 1, trained on the images as they are',
    'attention': "the paper's other baseline, AG-CNN (Guan et al. 2018)",
    'proposal': "the paper's method: backgrounds of a generator that is trained against the classifier",
    'plain': "Proposal with the first code's generator and no memory of backgrounds",
    'untrained': 'control: Proposal with a generator that keeps its first random weights',
    'proposal-renewed': 'Proposal with a new generator, from random weights, every second epoch',
    'redrawn': 'control: Proposal with a generator whose weights are drawn anew at every step',
    'black': 'trained like Proposal, on black backgrounds',
    'noise': 'trained like Proposal, on uniform noise',
    'segment': 'begins as the U-Net of phase 2 and learns, on the compositions of Best, to mark the object',
    'segment-real': 'the same on the backgrounds and masks of Real',
    'baseline-cutout': 'Baseline sees what the U-Net on compositions marks, on a plain ground; neither is '
                       'trained further',
    'best-cutout': 'the same with Best',
    'textures': 'trained like Proposal, on smooth random noise',
    'baseline-long': 'Baseline, trained as long as Best',
    'proposal-long': 'Proposal, trained as long as Best',
    'textures-long': 'Textures, trained as long as Best',
    'best': 'textures and adversary, each behind every second image',
    'best-snap-long': 'Best with masks that `snap` brings to the edges of the object',
    'best-renewed': 'Best with such masks and a new generator, from random weights, every second epoch',
    'best-long': 'Best in 48 epochs of phase 3, not 16',
    'best-pieces-long': 'Best with such pieces, in 48 epochs of phase 3',
    'best-again': 'control: Best, trained on in its own way for as many steps again',
    'ascent': 'Best, trained on behind the worst background of each image that ten steps of ascent on its '
              'pixels find',
    'ascent-20': 'the same with twenty steps of ascent',
    'ascent-grown': 'the same; its steps grow from one to twenty over the first 30 % of the training',
    'ascent-fine': '`ascent-grown`, trained on behind what twenty steps of 0.03 find from the worst of '
                   'eight remembered backgrounds',
    'ascent-finer': '`ascent-fine`, trained on behind what such steps find from the worst of 32',
    'baseline-wide': 'Baseline with twice the filters in each layer',
    'best-wide': 'control: Best from Baseline of that width on',
    'ascent-wide': 'from Baseline of twice the width, as `ascent-grown` in twice the steps',
    'ascent-wide-fine': '`ascent-wide`, trained on as `ascent-fine` is',
    'ascent-wide-falling': 'that, trained on behind steps of ascent that fall, from the worst of eight of '
                           'what turned other images; its masks are x > 0, grown by the 2 pixels of the '
                           'tests',
    'ascent-far': 'as with twenty steps, the masks grown by the 2 pixels of the tests, not by 0 to 2',
    'ascent-edge': 'Best, trained on behind ten steps that fall, from the worst of eight of what turned '
                   'other images, behind every second image, as far from the object as the tests; textures '
                   'right up to it behind the others; its masks are x > 0',
    'ascent-edge-long': 'the same in 12,000 steps, not 8,000',
    'ascent-edge-short': 'the same in 4,000 steps, which take no longer than `best-again`',
    'ascent-quarter': 'the same, ascent behind every fourth image, in 12,000 steps, not 8,000',
    'ascent-quarter-short': 'that in 5,000 steps, which take no longer than `best-again`',
    'ascent-textures': 'twenty steps behind every second image, not nearer than a pixel; textures up to the '
                       'object behind the others',
    'ascent-textures-fine': '`ascent-textures`, trained on by steps of 0.03 from the worst of '
                            'eight remembered backgrounds'}
REAL_MEANINGS = {False: 'a bound: trained as long as Best on the six test patterns, with true masks',
                 True: "trained as long as Best, on the set's own photographs of backgrounds"}
MEANINGS_ON_PHOTOGRAPHS = {'best': 'Textures, trained longer; on ImageNet networks also with the '
                                   'augmentation of Augmented',
                           SHORT: 'textures and adversary, each behind every second image'}

# What of Best matters, each against the first: one thing changed in each
ABLATION = {SHORT: 'Best at a third of its length', 'textures': 'no adversary (Textures)',
            'proposal': 'no textures (Proposal)', 'best-pool': 'no pool: every background new',
            'best-clean': 'no untouched images', 'best-unet': 'true masks grown by 2 to 4 pixels',
            'best-truth': 'true masks', 'best-exact': 'true masks, not grown',
            'best-snap': 'masks snapped to their greys', 'best-rate': "the generator's rate 1e-4, not 1e-3",
            'best-settle': 'augmented to the end', 'best': 'Best at its full length'}
ABLATION_NOTE = ("All but the rows of true masks have the U-Net's, by Otsu's threshold unless said. Masks "
                 'are grown by 0 to 2 pixels unless said.')
# Differences between equals: the same steps of phase 3, the same masks. Phase 1 alone has no masks to share.
COMPARED = (('proposal', 'untrained'), ('proposal', 'redrawn'), ('proposal', 'textures'),
            ('proposal-renewed', 'proposal'), ('proposal-renewed', 'textures'), ('untrained', 'textures'),
            ('proposal', 'black'), ('proposal', 'noise'), (SHORT, 'proposal'), (SHORT, 'textures'),
            ('best', 'proposal-long'), ('best', 'textures-long'), ('textures-long', 'proposal-long'),
            ('proposal-long', 'baseline-long'), ('textures-long', 'baseline-long'),
            ('best', 'baseline-long'), ('augment', 'baseline-long'),
            ('best', 'augment'), ('best-cutout', 'best'), ('best', 'best-flood'), ('best-pieces', 'best'),
            ('best-pieces-long', 'best-long'),
            ('best-renewed', 'best-snap-long'), ('best-probe', 'baseline'), ('best', 'real'))
UNEQUAL_NOTES = {
    'baseline': 'Baseline has all its steps in phase 1, on plain images.',
    'baseline-long': 'Baseline (long) has all its steps in phase 1, on plain images; the other rows have '
                     'their own phase 1 besides.',
    'augment': 'Augmented has all its steps in phase 1 too.',
    'real': 'Real trains on the six patterns themselves, with true masks: a bound, so it is compared on them '
            'alone.'}   # of monochrome sets; on photographs Real is an equal of Best

# Accuracy in %: TESTS and the mean of the six patterns, Cruz et al., ICPR 2020 (poster and slides)
PUBLISHED = {
    'mnist': {'baseline': (97.3, 38.0, 24.3, 61.4, 32.9, 19.7, 11.2, 31.3),
              'attention': (93.4, 28.1, 26.8, 57.3, 40.1, 29.3, 25.1, 34.5),
              'proposal': (94.9, 92.3, 76.8, 93.1, 93.7, 70.8, 86.2, 85.5)},
    'fashionmnist': {'baseline': (90.1, 21.3, 24.6, 36.9, 28.5, 29.6, 16.8, 26.3),
                     'attention': (81.2, 18.2, 20.1, 51.8, 26.0, 31.8, 36.2, 30.7),
                     'proposal': (70.7, 62.9, 61.5, 66.5, 60.9, 60.8, 45.9, 59.8)}}
PUBLISHED_NOTE = 'In brackets: published numbers (ICPR 2020), which have no error bars.'
ATTENTION_NOTE = ('Attention: the published row is not quite comparable; its code scored augmented test '
                  'images and passed over those whose heatmap is flat.')
# Validation accuracy in % of the drone study: insulators from a studio, tested outdoors (its slides)
PUBLISHED_DRONE = {'baseline': 71.9, 'attention': 45.8, 'proposal': 88.7, 'black': 76.3, 'noise': 59.6,
                   'real': 93.8}
# the data sets that it stands beside, and what is to be said there
DRONE_NOTES = {
    'prates': 'Drone study: published validation accuracy on these insulators, without error bars.',
    'signs': 'Drone study: published validation accuracy on insulators, which are other photographs; only '
             'the order of the methods is to be compared.'}
# Accuracy in % that others have published for the same tests, trained on all of amazon (Office-31)
_ELSEWHERE = {
    'published: AlexNet (Long et al. 2015)': {'test-webcam': 61.6, 'test-dslr': 63.8},
    'published: AlexNet, Deep CORAL * (Sun, Saenko 2016)': {'test-webcam': 66.4, 'test-dslr': 66.8},
    'published: ResNet-50 (Transfer-Learning-Library)': {'test-webcam': 75.8, 'test-dslr': 79.3},
    'published: ResNet-50, CDAN * (the same)': {'test-webcam': 93.8, 'test-dslr': 89.9}}
ELSEWHERE = {'office31-128': _ELSEWHERE, 'office31-224': _ELSEWHERE}
ELSEWHERE_NOTE = ('Published rows: other and larger networks, on 224 pixels, trained on all of amazon (ours: '
                  'eight ninths of it, less a tenth for validation); the library keeps the best epoch on the '
                  'target. *: also sees the target images, without their classes.')
CASE_STUDIES = {'signs': 'trained in the studio, tested in the field'}   # what their tables are about


def row_names(photographs):
    """{method: its name} of the rows of a table, in order."""
    return METHODS | (ON_PHOTOGRAPHS if photographs else {'real': UPPER_BOUND})


def name_of(method, photographs=False):
    """Of a row in a sentence or a figure; unknown ones have their own."""
    return (METHODS | (ON_PHOTOGRAPHS if photographs else {SHORT: 'Best (short)'})).get(method, method)


def meaning_of(method, photographs):
    """What a row is, in half a sentence; None where its name says it."""
    if method == 'real':
        return REAL_MEANINGS[photographs]
    return (MEANINGS | (MEANINGS_ON_PHOTOGRAPHS if photographs else {})).get(method)


def plain_test(test):
    """Its name below a picture."""
    return re.sub('^(test|unseen)-|-nohalo$', '', test)


def title_of(dataset):
    return DATASETS.get(dataset, dataset)


def in_order(methods):
    """The paper's order, longer rows behind; ablations and unknown ones last, as they come."""
    known = [*METHODS, SHORT]
    return sorted(methods, key=lambda m: known.index(m) if m in known else len(known))

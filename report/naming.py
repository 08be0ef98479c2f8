"""Names of tests, methods and data sets in tables and figures, and the published numbers."""
import mybackgrounds

SIX = list(mybackgrounds.PATTERNS)
TESTS = ['original', *SIX]
MEAN, WORST = 'mean of six', 'worst of six'
UNSEEN_MEAN = 'unseen mean'
# one number for many tests, by which rows are compared
SUMMARIES = {MEAN: MEAN, UNSEEN_MEAN: 'unseen', UNSEEN_MEAN + '-nohalo': 'unseen, no halo',
             'attack': 'attack'}
DATASETS = {'mnist': 'MNIST', 'fashionmnist': 'Fashion-MNIST', 'digits': 'digits', 'signs': 'hand signs'}
METHODS = {'baseline': 'Baseline', 'attention': 'Attention', 'proposal': 'Proposal',
           'plain': 'Proposal, plain adversary', 'black': 'Black', 'noise': 'Noise', 'real': 'Real',
           'textures': 'Textures', 'best': 'Best'}
# what of Best matters, each against the first: rows of one length, one thing changed in each
ABLATION = {'best-short': 'Best at a third of its length', 'textures': 'no adversary (Textures)',
            'proposal': 'no textures (Proposal)', 'best-pool': 'no pool: every background new',
            'best-clean': 'no untouched images', 'best-unet': "true masks, not the U-Net's",
            'best-rate': "the generator's rate 1e-4, not 1e-3", 'best-settle': 'augmented to the end',
            'best': 'Best at its full length'}
COMPARED = ('proposal', 'baseline'), ('best', 'textures'), ('best', 'proposal'), ('best', 'real')
# rows that are something else in monochrome sets and in photographs
UPPER_BOUND = 'Real (upper bound: the test patterns, true masks)'
MIXED = {'best-short': 'Textures and adversary'}   # Best of photographs has no adversary
# Accuracy in %: TESTS and the mean of the six patterns, Cruz et al., ICPR 2020 (poster and slides)
PUBLISHED = {
    'mnist': {'baseline': (97.3, 38.0, 24.3, 61.4, 32.9, 19.7, 11.2, 31.3),
              'attention': (93.4, 28.1, 26.8, 57.3, 40.1, 29.3, 25.1, 34.5),
              'proposal': (94.9, 92.3, 76.8, 93.1, 93.7, 70.8, 86.2, 85.5)},
    'fashionmnist': {'baseline': (90.1, 21.3, 24.6, 36.9, 28.5, 29.6, 16.8, 26.3),
                     'attention': (81.2, 18.2, 20.1, 51.8, 26.0, 31.8, 36.2, 30.7),
                     'proposal': (70.7, 62.9, 61.5, 66.5, 60.9, 60.8, 45.9, 59.8)}}
# Validation accuracy in % of the drone study: insulators from a studio, tested outdoors (its slides)
PUBLISHED_DRONE = {'baseline': 71.9, 'attention': 45.8, 'proposal': 88.7, 'black': 76.3, 'noise': 59.6,
                   'real': 93.8}
INTERVAL_NOTE = 'Accuracy in %, mean ± half of the 95 % interval over seeds (Student t).'
PUBLISHED_NOTE = 'In brackets: published numbers (ICPR 2020), which have no error bars.'
ATTENTION_NOTE = ('Attention: the published row is not quite comparable; its code scored augmented test '
                  'images and passed over those whose heatmap is flat.')
MISSING = '–'
FEWEST = 3               # seeds for a test: two may differ by the same few images by chance


def name_of(method):
    return METHODS.get(method, method)


def row_names(photographs):
    """{method: its name} of the rows of a table, in order."""
    return METHODS | (MIXED if photographs else {'real': UPPER_BOUND})


def title_of(dataset):
    return DATASETS.get(dataset, dataset)


def in_order(methods):
    """The paper's order; ablations and unknown ones behind, as they come."""
    known = [*METHODS, *MIXED]
    return sorted(methods, key=lambda m: known.index(m) if m in known else len(known))

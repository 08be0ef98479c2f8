"""From rows on disk to what tables and figures show: accuracies by method, test and seed."""
import math
from typing import NamedTuple

from report.naming import MEAN, name_of, NO_HALO, SIX, title_of, UNSEEN_MEAN, WORST
from scoring import rowfile, unseen
from training import recipes

# how tests begin that every data set may have
OTHER_TESTS = ('unseen', 'noise-', 'attack', 'pixels', 'worst', 'mixed-', 'only-', 'no-fg', MEAN, WORST)


class Results(NamedTuple):
    """What the rows of one data set say."""
    dataset: str
    methods: dict        # {method: {test: {seed: accuracy}}}, accuracies in [0, 1]
    steps: dict          # {method: (2500, 4000)}, phase by phase, of the methods where they are known
    notes: list[str]
    images: dict         # {test: on how many images}

    @property
    def title(self):
        return title_of(self.dataset)

    @property
    def tests(self):
        """Names of all tests, as they come."""
        return list(dict.fromkeys(t for tests in self.methods.values() for t in tests))

    @property
    def own_tests(self):
        """The images of the set itself, without those on made backgrounds; a studio stands first."""
        own = [t for t in self.tests if t not in SIX and not t.startswith(OTHER_TESTS)]
        return sorted(own, key=lambda t: 'studio' not in t)

    @property
    def photographs(self):
        """Is the set in colour? It has tests, but the six patterns are for monochrome ones alone."""
        return bool(self.own_tests) and not set(SIX) & set(self.tests)


def select(rows, dataset, steps=None):
    """The Results of a data set: for each method the rows of one settings fingerprint, that of its last row.

    steps: {(data set, settings): (2500, 4000)}, how long such rows were trained. Where a method has rows of
    other settings too, a note says so.
    """
    methods, known, notes, images = {}, {}, [], {}
    rows = rowfile.find(rows, dataset=dataset)
    for method in dict.fromkeys(r['method'] for r in rows):
        mine, more = newest(rowfile.find(rows, method=method))
        notes += more
        tests = methods[method] = {}
        for r in mine:
            tests.setdefault(r['test'], {})[r['seed']] = r['accuracy']
            images[r['test']] = r['n']
        tests |= _summaries(tests)
        if (dataset, mine[0]['settings']) in (steps or {}):
            known[method] = steps[dataset, mine[0]['settings']]
    return Results(dataset, methods, known, notes, images)


def newest(rows):
    """(the rows with the settings of the last one, notes) out of the rows of one method."""
    kept, *others = dict.fromkeys(r['settings'] for r in reversed(rows))
    notes = [f'{name_of(rows[0]["method"])}: rows of settings {kept}, not of {", ".join(others)}.'] \
        if others else []
    return rowfile.find(rows, settings=kept), notes


def _summaries(tests):
    """Mean and worst of the six patterns and the unseen means, for the seeds that have them all."""
    found = {MEAN: over(tests, SIX), WORST: over(tests, SIX, min)}
    for ending in ('', NO_HALO):
        found[UNSEEN_MEAN + ending] = over(tests, unseen_tests(unseen.FAMILIES, ending))
    return {name: by_seed for name, by_seed in found.items() if by_seed}


def mean(values):
    return math.fsum(values)/len(values)


def over(tests, names, reduce=mean):
    """{seed: reduce(its accuracies)} over the named tests, for the seeds that have them all."""
    seeds = set.intersection(*(set(tests.get(t, {})) for t in names))
    return {s: reduce([tests[t][s] for t in names]) for s in sorted(seeds)}


# Unseen families

def unseen_tests(families, ending=''):
    return [f'unseen-{f}{ending}' for f in families]


def sources_of(method, photographs):
    """The words of a method's command line and of those of the network that it began as, among them the
    backgrounds that it trained on."""
    plan = recipes.BACKBONES | recipes.PHOTOGRAPHS if photographs else recipes.MONOCHROME
    if method not in plan:
        return ()
    words = plan[method].argv
    networks = words[:1] if plan[method].trains else words   # of cutout.py the U-Net as well
    began_as = [w.strip('{}') for w in networks if w.startswith('{')]
    return (*words, *(w for start in began_as for w in sources_of(start, photographs)))


def seen(method, photographs):
    """The unseen families that a method has trained on all the same, or on the like of them."""
    by_source = unseen.SEEN_IN_COLOUR if photographs else unseen.SEEN
    return {f for word in sources_of(method, photographs) for f in by_source.get(word, ())}


def unmarked(methods, photographs):
    """The families that none of the methods has trained on, in order."""
    marked = set().union(*(seen(m, photographs) for m in methods))
    return [f for f in unseen.FAMILIES if f not in marked]

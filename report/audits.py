"""What an audit found: measures with intervals over photographs, a verdict in words, tables, one page."""
import json
import math
import os
import tempfile
from typing import NamedTuple

import numpy as np

import mydatasets
from common.errors import brief, UserError
from common.files import whole_file, write_json
from common.quiet import tf
from mybackgrounds import compose
from mydatagen import to_float
from report import markup, sheets, statistics
from report.formats import Table
from report.measures import GAP
from report.naming import MISSING, NO_HALO
from report.selection import unseen_tests
from scoring import challenge, occlusion, unseen

FILE = 'audits.json'
MAX_BYTES = 10_000_000
APART = 0.01             # of the range of pixels: backgrounds that differ less between classes tell nothing
HARDLY, PARTLY = 0.05, 0.2   # shares of its accuracy that a network loses when the background changes
EXAMPLES = 4             # photographs whose seven images are shown
ENTRY = {'name': str, 'settings': str, 'masks': str, 'dataset': str, 'input': str, 'subject': str, 'n': int}


class Measure(NamedTuple):
    """A mean over photographs, and half of its 95 % interval (Student t); shares, not points."""
    value: float
    half: float
    n: int

    @classmethod
    def of(cls, values):
        """Of a number for each photograph."""
        values = np.asarray(values, float)
        return cls(*statistics.interval(values), len(values))

    def __str__(self):
        return f'{100*self.value:.1f}' + ('' if math.isnan(self.half) else f' ± {100*self.half:.1f}')


def mean_right(findings, ending=''):
    """(n,) share of the unseen families on which each photograph is right."""
    return np.mean([findings.right[t] for t in unseen_tests(unseen.FAMILIES, ending)], 0)


def measures(findings):
    """{name: Measure} of the Findings, in the order of the table."""
    right, plain = findings.right, findings.right[findings.subject]
    made = {*challenge.NAMES, *unseen_tests(unseen.FAMILIES), *unseen_tests(unseen.FAMILIES, NO_HALO)}
    found = {test: Measure.of(right[test]) for test in right if test not in made}
    found |= {title: Measure.of(right[test]) for test, title in challenge.NAMES.items()}
    same, rand = (right[name].astype(float) for name in challenge.MIXED[:2])
    found[GAP] = Measure.of(same - rand)
    found['turned by one of the backgrounds'] = Measure.of(findings.turned[plain] >= 0) if plain.any() else \
        Measure(math.nan, math.nan, 0)
    for title, ending in (('unseen backgrounds', ''), ('unseen, no halo', NO_HALO)):
        found[title] = Measure.of(mean_right(findings, ending))
    if findings.worst:
        found['worst background'] = Measure.of(np.arange(findings.worst.n) < findings.worst.correct)
    return found | {'look inside the object': Measure.of(findings.looks.inside),
                    'object': Measure.of(findings.looks.area)}


# What was found, beside what was found before

def entry(name, findings, about):
    """A line of FILE. about: the other fields of ENTRY."""
    return {**about, 'name': name, 'subject': findings.subject, 'n': len(findings.images),
            'measures': {k: [None if math.isnan(v) else round(v, 6) for v in (m.value, m.half)] + [m.n]
                         for k, m in measures(findings).items()}}


def keep(out, made):
    """Writes an entry down beside the others, in the place of one of the same name; those of the same
    photographs and masks.

    Errors: UserError for a damaged file.
    """
    path = os.path.join(out, FILE)
    kept = [e for e in _read(path) if e['name'] != made['name']] + [made]
    write_json(path, kept)
    return [e for e in kept if all(e[k] == made[k] for k in ('dataset', 'subject', 'n', 'masks'))]


def _read(path):
    if not os.path.exists(path):
        return []
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise ValueError('too large')
        with open(path, encoding='utf-8') as f:
            found = json.load(f)
        for one in found:
            good = all(type(one[k]) is kind for k, kind in ENTRY.items()) and all(
                len(m) == 3 and all(v is None or type(v) in (int, float) for v in m)
                for m in one['measures'].values())
            if not good:
                raise ValueError('a field of another kind')
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise UserError(f'{path} is damaged ({brief(e)}); move it away, or give another --out') from e
    return found


# Tables

NOTES = (
    'Right answers in %, ± half of the 95 % interval over photographs (Student t), paired where it is a '
    'difference; training again with another seed moves them too.',
    'Backgrounds Challenge (Xiao et al. 2021). Without the object: its box black (Only-BG-B) or filled with '
    'tiles of background (Only-BG-T), its shape black (No-FG): less is better. The object on black '
    '(Only-FG), on the Only-BG-T background of another photograph of its class (Mixed-Same), of any class '
    '(Mixed-Rand), of the next class (Mixed-Next). Background gap: Mixed-Same - Mixed-Rand.',
    f'Turned: of the photographs that are right as they are, those that at least one of {challenge.DRAWS} '
    'backgrounds of other classes turns wrong.',
    f'Unseen: mean over {len(unseen.FAMILIES)} families of made backgrounds, {mydatasets.HALO} pixels away '
    'from the object or (no halo) right up to it.',
    'Look inside: the share of what covering a patch changes that falls on the object; object: its share of '
    'the image.')


def tables(entries, findings):
    """[all networks of the same photographs, the unseen families of this one]."""
    names = list(dict.fromkeys(k for e in entries for k in e['measures']))

    def cell(one, name):
        value, half, n = one['measures'].get(name, (None, None, 0))
        if value is None:
            return MISSING
        return str(Measure(value, math.nan if half is None else half, n))
    last = entries[-1]
    first = Table(f'Background audit on {last["n"]:,} photographs of {last["subject"]} '
                  f'({last["masks"]} masks)', ['measure', *(e['name'] for e in entries)],
                  [[name, *(cell(e, name) for e in entries)] for name in names], [*NOTES])
    lines = [[family, *(str(Measure.of(findings.right[unseen_tests([family], ending)[0]]))
                        for ending in ('', NO_HALO))] for family in unseen.FAMILIES]
    second = Table('Unseen backgrounds, family by family', ['family', '2-pixel halo', 'no halo'], lines, [])
    return [first, second]


# Verdict

def verdict(name, findings):
    """Sentences with numbers."""
    plain = findings.right[findings.subject].astype(float)
    lost = Measure.of(plain - mean_right(findings))
    share = lost.value/max(plain.mean(), 1e-9)
    word = 'hardly' if share < HARDLY else 'partly' if share < PARTLY else 'heavily'
    said = [f'{name} {word} leans on the background: {_points(lost.value)} of {_points(plain.mean())} points '
            f'(± {100*lost.half:.1f}) are lost when only the background changes.']
    right = plain > 0
    turned = np.mean(findings.turned[right] >= 0) if right.any() else 0.
    families = np.mean(mean_right(findings)[right] < 1) if right.any() else 0.
    if differ(findings):
        gap, number = measures(findings)[GAP], challenge.partners(findings.images)[challenge.ALL].shape[1]
        said.append(f'The background gap is {100*gap.value:.1f} points (± {100*gap.half:.1f}); '
                    f'{_tenths(turned)} photographs change their answer on some one of {number} backgrounds '
                    'of other classes.')
    else:
        said.append('The backgrounds of these photographs do not differ between classes, so neither the '
                    'background gap nor what other photographs lend measures anything here; the unseen '
                    'backgrounds do.')
    said.append(f'{_tenths(families)} photographs change their answer on some one of '
                f'{len(unseen.FAMILIES)} unseen backgrounds.')
    looks = findings.looks
    said.append(f'{100*looks.inside.mean():.0f} % of its look falls on the object, which covers '
                f'{100*looks.area.mean():.0f} % of the image (an even look would have the same share).')
    return said


def differ(findings):
    """Do backgrounds differ between classes, by more than chance and by more than can hardly be seen?"""
    mean, half = statistics.interval(findings.further)
    return bool(mean > APART and mean > half)


def _points(share):
    return f'{100*share:.0f}'


def _tenths(share):
    """'4 of 10'; of small shares '3 of 100'."""
    return f'{10*share:.0f} of 10' if round(10*share) or not share else f'{100*share:.0f} of 100'


# The page

def write(out, name, classes, shown):
    """report.html in `out`, one file with pictures; its path. shown: (Findings, tables, sentences, a line on
    the input)."""
    findings, found, said, line = shown
    parts = [markup.element('p', sentence) for sentence in said]
    parts += [part for table in found for part in (markup.element('h2', table.title), markup.table(table))]
    with tempfile.TemporaryDirectory() as folder:
        paths = {caption: os.path.join(folder, f'{i}.png') for i, caption in enumerate(CAPTIONS)}
        for caption, path in paths.items():
            sheets.save_sheet(path, CAPTIONS[caption](findings, classes))
        drawn = [markup.figure(uri, caption) for caption, uri in
                 zip(paths, markup.pictures(list(paths.values())))]
    parts += [markup.element('h2', 'Pictures'), *drawn, markup.element('p', line)]
    path = os.path.join(out, 'report.html')
    text = markup.page(f'{name}: how much of its accuracy is the background?', *parts)
    with whole_file(path) as temporary, open(temporary, 'w', encoding='utf-8') as f:
        f.write(text)
    return path


def _uint8(x):
    return list(np.round(255*np.clip(np.asarray(x), 0, 1)).astype(np.uint8))


def _pixels(images, rows):
    """(x, m) uint8 of some rows."""
    some = images.take(np.asarray(rows, int))
    x = some.x if isinstance(some.x, np.ndarray) else np.stack([some.read(p) for p in some.x])
    return x, some.m


def _seven(findings, classes):
    """Some photographs and the images that the Backgrounds Challenge makes of them."""
    rows = np.linspace(0, len(findings.images) - 1, EXAMPLES).astype(int)
    x, _ = _pixels(findings.images, rows)
    made = [_uint8(challenge.paste(name, lambda: findings.images)(to_float(x), rows))
            for name in challenge.NAMES]
    cells = [([one, *(pictures[i] for pictures in made)], [classes[findings.images.y[row]]])
             for i, (one, row) in enumerate(zip(x, rows))]
    return [('photograph, ' + ', '.join(challenge.NAMES.values()), cells)]


def _leaning(findings, classes):
    """The photographs that lean most on their background: image, mask, look."""
    looks, first = findings.looks, findings.looks.leaning()
    x, m = _pixels(findings.images, looks.rows[first])
    heat = occlusion.coloured(np.asarray(to_float(x)), looks.heat[first])
    cells = [([a, b, c], [f'{classes[findings.images.y[row]]}, taken for {classes[findings.answers[row]]}',
                          f'{100*looks.inside[k]:.0f} % of the look on {100*looks.area[k]:.0f} %'])
             for a, b, c, k, row in zip(x, m, heat, first, looks.rows[first])]
    return [('photograph, object, look', cells)]


def _turned(findings, classes):
    """Photographs that a background of another class turns, and how."""
    right = findings.right[findings.subject]
    rows = np.flatnonzero(right & (findings.turned >= 0))
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), 8)).astype(int)]
    if not len(rows):
        return [('no photograph is turned by a background of another class', [])]
    lent, drawn = challenge.lenders(findings.images), challenge.partners(findings.images)[challenge.ALL]
    x, m = _pixels(findings.images, rows)
    b = lent.b[drawn[rows, findings.turned[rows]]]
    z = _uint8(compose(to_float(x), tf.round(to_float(m)), to_float(b)))
    cells = [([a, c], [classes[findings.images.y[row]]]) for a, c, row in zip(x, z, rows)]
    return [('right as they are, wrong on the background beside', cells)]


CAPTIONS = {'Some photographs and the seven images that the Backgrounds Challenge makes of them.': _seven,
            'The photographs that lean most on their background, of those that were looked at.': _leaning,
            'Photographs whose answer a background of another class turns wrong.': _turned}

"""What a reproduction shows: tables out of recorded rows, figures, and one page of them all."""
import json
import os
from typing import NamedTuple

import numpy as np

import mybackgrounds
import mydatasets
from common import binarization
from common.errors import UserError
from common.files import whole_file
from common.keys import Key, Stream
from common.quiet import keras
from mydatagen import spread, to_float
from report import (answers, comparisons, figures, formats, markup, measures, naming, scores, selection,
                    tables)
from scoring import challenge, evaluation, occlusion, pixels, rowfile, unseen
from training import weightfiles

EPOCHS_SHOWN = 1, 10, 20, 30, 40       # the paper's t; a shorter run shows as many as it has
METHOD_FIGURE = 'method', 'The method: backgrounds maximise what the classifier minimises.'
# what a data set's figures show, by the end of their names, in the order of the page
FIGURES = {
    'teaser': 'One test image on every background, and the accuracy on all images there.',
    'unseen': 'One test photograph on backgrounds never trained on, right up to the object, and the accuracy '
              'on all photographs there.',
    'noise': 'Accuracy over the rate of salt and pepper in the background.',
    'masks': 'Validation images, their masks, the binarised masks, the objects on new backgrounds, and what '
             'the networks take them for.',
    'sensitivity': 'Where the networks look: what covering a small patch changes, on the same images.',
    'backgrounds': 'What the generator of Proposal draws, over the epochs t.',
    'worst': 'Test images behind the worst background that ascent finds for each network, and its answers; '
             'framed where they are wrong.',
    'price': 'What it costs to stand the worst background: a point a row, mean over its seeds; plain '
             'images are all of the test, the others those that were searched.',
    'answers': 'Images of the tests, the truth, and what the networks answer; red: further off than counts '
               'as right.',
    'segments': 'Images of the tests, the masks of the U-Net of phase 2 and of the one that learnt on '
                'compositions, and what the second cuts out.',
    'training': 'Training: losses on the left, shares or errors on the right; val: on validation images.'}
FIRST = 'teaser', 'unseen'             # of them, above the tables


class Section(NamedTuple):
    """What the page shows of one data set, or of all (label None)."""
    title: str
    label: str | None
    tables: list
    rows: dict              # {name of a row: what it is}


# Tables

def write_tables(out, datasets, steps=None):
    """Every table that the rows in `out` fill, printed and written to tables.md and tables.tex.

    steps: {(label of a data set, settings): (2500, 4000)}, see selection.select. Returns the Sections for
    write_report.
    """
    rows = rowfile.read(os.path.join(out, 'accuracy.csv'))
    masks = rowfile.read(os.path.join(out, 'masks.csv'))
    names = list(dict.fromkeys(mydatasets.label(d) for d in datasets))
    results = [selection.select(rows, name, steps) for name in names]
    summed = [r for r in results if tables.in_summary(r)]
    sections = [Section('Summary', None, [tables.summary_table(summed)], {})] if len(summed) > 1 else []
    others = rowfile.read(os.path.join(out, 'scores.csv'))
    for r in results:
        found = [*(tables_of(r) if r.methods else []), *scores.tables_of(others, r.dataset, steps)]
        if found:
            sections.append(Section(r.title, r.dataset, found, meanings(r)))
    masks = [r for name in names for r in rowfile.find(masks, dataset=name)]
    if masks:
        sections.append(Section('Masks', None, [tables.masks_table(masks)], {}))
    found = [table for section in sections for table in section.tables]
    for table in found:
        formats.show(table)
    for name, form in ('tables.md', formats.to_markdown), ('tables.tex', formats.to_latex):
        _write(os.path.join(out, name), '\n\n'.join(map(form, found)) + '\n')
    return sections


def tables_of(results):
    """The tables that the Results of one data set fill."""
    tests = set(results.tests)
    patterns = tests & set(naming.SIX)
    found = []
    if patterns:
        found.append(tables.accuracy_table(results))
    elif results.own_tests:
        found.append(tables.tests_table(results))
    for ending in ('', naming.NO_HALO):
        if tests & set(selection.unseen_tests(unseen.FAMILIES, ending)):
            found.append(tables.unseen_table(results, ending))
    if tests & set(challenge.MIXED):
        found.append(measures.challenge_table(results))
    if tests & set(tables.WORST_CASES.values()):
        found.append(tables.worst_table(results))
    if patterns and naming.SHORT in results.methods and any(m.startswith('best-') and m != naming.SHORT
                                                            for m in results.methods):
        found.append(comparisons.ablation_table(results))
    differences = comparisons.differences_table(results)
    return [*found, differences] if differences.rows else found


def meanings(results):
    """{name of a row: what it is} for the rows of a data set whose names do not say it."""
    names = naming.row_names(results.photographs)
    found = {names[m]: naming.meaning_of(m, results.photographs) for m in names if m in results.methods}
    return {name: meaning for name, meaning in found.items() if meaning}


def _write(path, text):
    with whole_file(path) as temporary, open(temporary, 'w', encoding='utf-8') as f:
        f.write(text)


# Figures

def draw_figures(out, plans):
    """Draws what can be drawn: from rows always, from weights and histories where this machine has them."""
    rows = rowfile.read(os.path.join(out, 'accuracy.csv'))
    figures.method_diagram(_figure(out, METHOD_FIGURE[0]))
    for plan in plans:
        try:
            draw(out, plan, rows)
        except UserError as e:   # data or weights are on another machine; the figures drawn there stay
            print(f'not drawn again: {e}')


def _figure(out, *parts):
    return os.path.join(out, 'figures', '-'.join(parts) + '.png')


def draw(out, plan, rows):
    """The figures of one data set; those that need weights come last."""
    name = plan.label
    results = selection.select(rows, name)
    if plan.monochrome and 'original' in results.methods.get('baseline', {}):
        figures.teaser(_figure(out, name, 'teaser'), plan.load().tests,
                       _accuracies(plan, results, ('baseline', 'proposal', 'best')))
    if not plan.monochrome and any(t.startswith('unseen-') for t in results.tests):
        data = plan.load()
        plain, test = mydatasets.with_truth(data)
        up_to = {t: test for t, test in unseen.tests(data).items() if t.endswith(naming.NO_HALO)}
        figures.teaser(_figure(out, name, 'unseen'), {plain: test} | up_to,
                       _accuracies(plan, results, ('baseline', 'real', 'proposal', 'best')),
                       row=len(test.images())//2)
    if any(t.startswith('noise-') for t in results.tests):
        figures.noise_curves(_figure(out, name, 'noise'), rows, name)
    curves = {}
    for method in (*(results.methods or plan.methods), 'unet'):
        history = plan.path(method) + '.history.json'
        if '-' not in method and os.path.exists(history):
            with open(history) as f:
                curves[naming.name_of(method, not plan.monochrome)] = json.load(f)
    if curves:
        figures.curves(_figure(out, name, 'training'), curves)
    shown = backgrounds_over_epochs(plan.path('proposal') + '.backgrounds')
    if shown:
        figures.backgrounds(_figure(out, name, 'backgrounds'), shown)
    if 'pixels' in results.tests:
        data = plan.load()
        draw_price(out, plan, results, mydatasets.with_truth(data)[0])
        draw_worst(out, plan, results, data)
    if plan.task.kind != 'classifier':
        answers.draw(_figure(out, name, 'answers'), plan)
    if any(plan.task_of(m).kind == 'segmenter' for m in plan.methods):
        answers.draw_masks(_figure(out, name, 'segments'), plan)
    draw_networks(out, name, plan)


def _accuracies(plan, results, methods):
    """{name of a row: {test: mean over seeds}} of those methods that have rows."""
    return {naming.name_of(m, not plan.monochrome): {t: np.mean(list(by_seed.values()))
                                                     for t, by_seed in results.methods[m].items()}
            for m in methods if m in results.methods}


def backgrounds_over_epochs(folder):
    """{epoch: (k, h, w, c)} of the epochs that the paper shows, as train3.py --imsave left them."""
    paths = {t: os.path.join(folder, f'epoch-{t:03d}.npy') for t in EPOCHS_SHOWN}
    return {t: np.load(p, allow_pickle=False) for t, p in paths.items() if os.path.exists(p)}


def draw_networks(out, name, plan, count=8):
    """Masks of phase 2 and where baseline and proposal look. Validation images: tests are only for scores."""
    keras.config.set_dtype_policy('float32')
    data = plan.load()
    batch = spread(data.validation, count)
    x = to_float(batch['x'])
    unet, _ = weightfiles.load(plan.path('unet'), 'unet', data)
    m = unet(x)
    b = binarization.binarizer(plan.binarize)(m, x)
    back = mybackgrounds.textures if plan.monochrome else unseen.scenes(data.shape[0])
    composed = mybackgrounds.compose(x, b, back(x, Key.of(0)))
    heat, predictions = {}, {}
    for method in ('baseline', 'proposal', 'best'):
        try:
            model, _ = weightfiles.load(plan.path(method), data.task.kind, data)
        except UserError:
            continue
        network = naming.name_of(method, not plan.monochrome)
        heat[network] = occlusion.occlusion(model, composed)
        said, y = model.task.answers(model(composed)).numpy(), batch['y'].numpy()
        predictions[network] = list(zip(data.task.words(said), data.task.right(y, said)))
    figures.masks(_figure(out, name, 'masks'), [v.numpy() for v in (x, m, b, composed)], predictions)
    if heat:
        figures.sensitivity(_figure(out, name, 'sensitivity'), composed.numpy(), heat)


def draw_price(out, plan, results, plain, fewest=3):
    """Accuracy behind the worst background of each image over that of the test `plain`, from `fewest` rows
    on."""
    found = {naming.name_of(m, not plan.monochrome): [np.mean(list(tests[t].values()))
                                                      for t in (plain, 'pixels')]
             for m, tests in results.methods.items() if tests.keys() >= {plain, 'pixels'}}
    if len(found) >= fewest:
        figures.price(_figure(out, plan.label, 'price'), plan.label, found)


def draw_worst(out, plan, results, data, count=8):
    """Some test images behind the worst backgrounds that ascent finds for Baseline, Best and the row that
    stands it best with this seed, as far as their weights are here."""
    scores = {m: tests['pixels'][plan.seed] for m, tests in results.methods.items()
              if plan.seed in tests.get('pixels', {})}
    objects, found = pixels.subjects(data, count), {}
    for method in dict.fromkeys(('baseline', 'best', max(scores, key=scores.get, default='best'))):
        with evaluation.precision():
            try:
                model, _ = weightfiles.load(plan.path(method), evaluation.KINDS, data)
            except UserError:
                continue
            b = pixels.search(model, objects, Key.of(plan.seed).fold(Stream.PIXELS)).b
            z = mybackgrounds.compose(objects.x, objects.m, b)
            said = [data.classes[k] for k in np.argmax(model(z), 1)]
        found[naming.name_of(method, not plan.monochrome)] = z.numpy(), said
    if found:
        truth = [data.classes[k] for k in objects.y]
        figures.worst_cases(_figure(out, plan.label, 'worst'), {'image': (objects.x.numpy(), truth)} | found)


# The page

def write_report(out, sections):
    """report.html in `out`: tables and figures on one page without links to anything outside.

    sections: of write_tables; the figures are those that lie in out/figures. Returns the path.
    """
    drawn = _drawn(out, [s.label for s in sections if s.label])
    shown = [_section(f's{i}', s, drawn[s.label] if s.label else {}) for i, s in enumerate(sections)]
    meant = {name: meaning for section in sections for name, meaning in section.rows.items()}
    entries = _entries(sections)
    if meant:
        entries.append(('rows', 'What the rows are', []))
        shown.append([markup.element('h2', 'What the rows are', id='rows'), markup.definitions(meant),
                      *drawn[None].values()])
    intro = [markup.element('p', 'Every number comes from the rows in accuracy.csv and masks.csv, which lie '
                            'beside this page.'), markup.element('nav', markup.contents(entries))]
    path = os.path.join(out, 'report.html')
    _write(path, markup.page('Background invariance: tables and figures', *intro,
                             *(part for parts in shown for part in parts)))
    return path


def _drawn(out, labels):
    """{label: {end of its name: the element of a figure}} of the figures there are; None: the method's."""
    known = {(None, METHOD_FIGURE[0]): METHOD_FIGURE[1]}
    known |= {(label, end): caption for label in labels for end, caption in FIGURES.items()}
    paths = {key: _figure(out, *filter(None, key)) for key in known}
    there = [key for key in known if os.path.exists(paths[key])]
    found = {label: {} for label in (None, *labels)}
    for (label, end), uri in zip(there, markup.pictures([paths[key] for key in there])):
        found[label][end] = markup.figure(uri, known[label, end])
    return found


def _section(anchor, section, drawn):
    """The elements of a section: its heading, the picture of the tests, its tables, the other figures."""
    parts = [markup.element('h2', section.title, id=anchor)]
    parts += [drawn[end] for end in FIRST if end in drawn]
    for j, table in enumerate(section.tables):
        if table.title != section.title:
            parts.append(markup.element('h3', table.title, id=f'{anchor}-{j}'))
        parts.append(markup.table(table))
    return parts + [figure for end, figure in drawn.items() if end not in FIRST]


def _entries(sections):
    """Of the table of contents: sections, and their tables without the name of the data set."""
    found = []
    for i, section in enumerate(sections):
        below = [(f's{i}-{j}', table.title.removeprefix(section.title + ': '), [])
                 for j, table in enumerate(section.tables) if table.title != section.title]
        found.append((f's{i}', section.title, below if len(below) > 1 else []))
    return found

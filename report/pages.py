"""What a reproduction shows: tables out of recorded rows, figures out of rows, weights and histories."""
import json
import os

import numpy as np

import mybackgrounds
import mydatasets
from common import binarization
from common.errors import UserError
from common.files import whole_file
from common.keys import Key
from common.quiet import keras
from mydatagen import spread, to_float
from report import figures, formats, tables
from scoring import occlusion, rowfile, unseen
from training import weightfiles

EPOCHS_SHOWN = 1, 10, 20, 30, 40       # the paper's t; a shorter run shows as many as it has


def write_tables(out, datasets):
    """Every table that the rows in `out` fill, printed and written to tables.md and tables.tex."""
    rows = rowfile.read(os.path.join(out, 'accuracy.csv'))
    masks = rowfile.read(os.path.join(out, 'masks.csv'))
    found = []
    names = [mydatasets.label(d) for d in datasets]
    for dataset in names:
        mine = rowfile.find(rows, dataset=dataset)
        tests, methods = {r['test'] for r in mine}, {r['method'] for r in mine}
        if 'original' in tests:
            found.append(tables.accuracy_table(rows, dataset, worst=True))
        elif mine:
            found.append(tables.case_study_table(rows, dataset))
        for ending in ('', '-nohalo'):
            if any(t.startswith('unseen-') and t.endswith('-nohalo') == bool(ending) for t in tests):
                found.append(tables.unseen_table(rows, dataset, halo=not ending))
        if 'original' in tests and any(m.startswith('best-') for m in methods):
            found.append(tables.ablation_table(rows, dataset))
        differences = tables.differences_table(rows, dataset)
        if differences.rows:
            found.append(differences)
    masks = [r for name in names for r in rowfile.find(masks, dataset=name)]
    if masks:
        found.append(tables.masks_table(masks))
    for table in found:
        formats.show(table)
    text = '\n\n'.join(formats.to_markdown(t) for t in found)
    latex = '\n\n'.join(formats.to_latex(t) for t in found)
    for name, content in (('tables.md', text), ('tables.tex', latex)):
        with whole_file(os.path.join(out, name)) as temporary, open(temporary, 'w', encoding='utf-8') as f:
            f.write(content + '\n')
    return rows


def draw_figures(out, plans, rows):
    """Draws what can be drawn: from rows always, from weights and histories where this machine has them."""
    path = lambda *parts: os.path.join(out, 'figures', '-'.join(parts) + '.png')  # noqa: E731
    figures.method_diagram(path('method'))
    for plan in plans:
        try:
            draw(path, plan, rows)
        except UserError as e:   # data or weights are on another machine; the figures drawn there stay
            print(f'not drawn again: {e}')


def draw(path, plan, rows):
    name = plan.label
    found = tables.select(rows, name)[0]
    means = {m: {t: np.mean(list(s.values())) for t, s in tests.items()} for m, tests in found.items()}
    if plan.monochrome and 'original' in found.get('baseline', {}):
        shown = {m: means[m] for m in ('baseline', 'proposal', 'best') if m in means}
        figures.teaser(path(name, 'teaser'), plan.load().tests, shown)
    if not plan.monochrome and any('unseen' in t for tests in found.values() for t in tests):
        data = plan.load()
        plain, test = mydatasets.with_truth(data)
        before = {t: test for t, test in unseen.tests(data).items() if t.endswith('-nohalo')}
        shown = {m: means[m] for m in ('baseline', 'real', 'proposal', 'best') if m in means}
        figures.teaser(path(name, 'unseen'), {plain: test} | before, shown, row=len(test.images())//2)
    if any(t.startswith('noise-') for tests in found.values() for t in tests):
        figures.noise_curves(path(name, 'noise'), rows, name)
    curves = {}
    for method in (*found, 'unet'):
        history = plan.path(method) + '.history.json'
        if '-' not in method and os.path.exists(history):
            with open(history) as f:
                curves[method] = json.load(f)
    if curves:
        figures.curves(path(name, 'training'), curves)
    shown = backgrounds_over_epochs(plan.path('proposal') + '.backgrounds')
    if shown:
        figures.backgrounds(path(name, 'backgrounds'), shown)
    draw_networks(path, name, plan)


def backgrounds_over_epochs(folder):
    """{epoch: (k, h, w, c)} of the epochs that the paper shows, as train3.py --imsave left them."""
    paths = {t: os.path.join(folder, f'epoch-{t:03d}.npy') for t in EPOCHS_SHOWN}
    return {t: np.load(p, allow_pickle=False) for t, p in paths.items() if os.path.exists(p)}


def draw_networks(path, name, plan, count=8):
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
            model, _ = weightfiles.load(plan.path(method), 'classifier', data)
        except UserError:
            continue
        heat[method] = occlusion.occlusion(model, composed)
        predictions[method] = [data.classes[k] for k in np.argmax(model(composed), 1)]
    truth = [data.classes[k] for k in batch['y']]
    figures.masks(path(name, 'masks'), *(v.numpy() for v in (x, m, b, composed)), predictions, truth)
    if heat:
        figures.sensitivity(path(name, 'sensitivity'), composed.numpy(), heat)

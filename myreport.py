"""What a reproduction shows: tables out of recorded rows, figures out of rows, weights and histories."""
from mycommon import Key, UserError, whole_file  # first: it quietens TensorFlow

import json
import os
import re

import keras
import numpy as np

import myargs
import mybackgrounds
import mydatasets
import myfigures
import mymodels
import myrows
import mytables
import myunseen
import myweights
from mydatagen import spread, to_float

EPOCHS_SHOWN = 1, 10, 20, 30, 40       # the paper's t; a shorter run shows as many as it has


def tables(out, datasets):
    """Every table that the rows in `out` fill, printed and written to tables.md and tables.tex."""
    rows = myrows.read(os.path.join(out, 'accuracy.csv'))
    masks = myrows.read(os.path.join(out, 'masks.csv'))
    found = []
    names = [myargs.label(d) for d in datasets]
    for dataset in names:
        mine = myrows.find(rows, dataset=dataset)
        tests, methods = {r['test'] for r in mine}, {r['method'] for r in mine}
        if 'original' in tests:
            found.append(mytables.accuracy_table(rows, dataset, worst=True))
        elif mine:
            found.append(mytables.case_study_table(rows, dataset))
        for ending in ('', '-nohalo'):
            if any(t.startswith('unseen-') and t.endswith('-nohalo') == bool(ending) for t in tests):
                found.append(mytables.unseen_table(rows, dataset, halo=not ending))
        if 'original' in tests and any(m.startswith('best-') for m in methods):
            found.append(mytables.ablation_table(rows, dataset))
        differences = mytables.differences_table(rows, dataset)
        if differences.rows:
            found.append(differences)
    masks = [r for name in names for r in myrows.find(masks, dataset=name)]
    if masks:
        found.append(mytables.masks_table(masks))
    for table in found:
        mytables.show(table)
    text = '\n\n'.join(mytables.to_markdown(t) for t in found)
    latex = '\n\n'.join(mytables.to_latex(t) for t in found)
    for name, content in (('tables.md', text), ('tables.tex', latex)):
        with whole_file(os.path.join(out, name)) as temporary, open(temporary, 'w', encoding='utf-8') as f:
            f.write(content + '\n')
    return rows


def fill(page, tables):
    """Puts tables of a tables.md into a page, each between `<!-- table: its title -->` and `<!-- end -->`.

    Errors: UserError for a title that the tables do not have.
    """
    with open(tables, encoding='utf-8') as f:
        parts = re.split(r'(?m)^(?=\*\*)', f.read())
    found = {part.split('**')[1]: part.strip('\n') for part in parts if part}

    def place(match):
        title = match[1]
        if title not in found:
            raise UserError(f'{tables} has no table {title!r}; it has {", ".join(found)}')
        return f'<!-- table: {title} -->\n{found[title]}\n<!-- end -->'
    with open(page, encoding='utf-8') as f:
        text = re.sub(r'(?s)<!-- table: (.*?) -->\n.*?<!-- end -->', place, f.read())
    with whole_file(page) as temporary, open(temporary, 'w', encoding='utf-8') as f:
        f.write(text)


def figures(out, plans, rows):
    """Draws what can be drawn: from rows always, from weights and histories where this machine has them."""
    path = lambda *parts: os.path.join(out, 'figures', '-'.join(parts) + '.png')  # noqa: E731
    myfigures.method_diagram(path('method'))
    for plan in plans:
        try:
            draw(path, plan, rows)
        except UserError as e:   # data or weights are on another machine; the figures drawn there stay
            print(f'not drawn again: {e}')


def draw(path, plan, rows):
    name = myargs.label(plan.dataset)
    found = mytables.select(rows, name)[0]
    means = {m: {t: np.mean(list(s.values())) for t, s in tests.items()} for m, tests in found.items()}
    if plan.monochrome and 'original' in found.get('baseline', {}):
        shown = {m: means[m] for m in ('baseline', 'proposal', 'best') if m in means}
        myfigures.teaser(path(name, 'teaser'), plan.load().tests, shown)
    if not plan.monochrome and any('unseen' in t for tests in found.values() for t in tests):
        data = plan.load()
        plain, test = mydatasets.with_truth(data)
        before = {t: test for t, test in myunseen.tests(data).items() if t.endswith('-nohalo')}
        shown = {m: means[m] for m in ('baseline', 'real', 'proposal', 'best') if m in means}
        myfigures.teaser(path(name, 'unseen'), {plain: test} | before, shown, row=len(test.images())//2)
    if any(t.startswith('noise-') for tests in found.values() for t in tests):
        myfigures.noise_curves(path(name, 'noise'), rows, name)
    curves = {}
    for method in (*found, 'unet'):
        history = plan.path(method) + '.history.json'
        if '-' not in method and os.path.exists(history):
            with open(history) as f:
                curves[method] = json.load(f)
    if curves:
        myfigures.curves(path(name, 'training'), curves)
    shown = backgrounds_over_epochs(plan.path('proposal') + '.backgrounds')
    if shown:
        myfigures.backgrounds(path(name, 'backgrounds'), shown)
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
    unet, _ = myweights.load(plan.path('unet'), 'unet', data.shape, fit=data.fit)
    m = unet(x)
    b = mymodels.binarizer(plan.binarize)(m, x)
    back = mybackgrounds.textures if plan.monochrome else myunseen.scenes(data.shape[0])
    composed = mybackgrounds.compose(x, b, back(x, Key.of(0)))
    heat, predictions = {}, {}
    for method in ('baseline', 'proposal', 'best'):
        try:
            model, _ = myweights.load(plan.path(method), 'classifier', data.shape, data.classes, data.fit)
        except UserError:
            continue
        heat[method] = myfigures.occlusion(model, composed)
        predictions[method] = [data.classes[k] for k in np.argmax(model(composed), 1)]
    truth = [data.classes[k] for k in batch['y']]
    myfigures.masks(path(name, 'masks'), *(v.numpy() for v in (x, m, b, composed)), predictions, truth)
    if heat:
        myfigures.sensitivity(path(name, 'sensitivity'), composed.numpy(), heat)

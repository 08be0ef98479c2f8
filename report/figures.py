"""Figures as PNG files. Every function takes a path and what is to be seen; none trains or evaluates."""
import itertools

import numpy as np

from common.errors import UserError
from common.files import whole_file
from common.quiet import tf
from report import naming, selection, statistics

GAP = 2                  # pixels between the pictures of a grid
SMALL = 64               # pictures of a smaller side are enlarged by a whole factor
COLOURS = {'Baseline': 'tab:red', 'Attention': 'tab:orange', 'Proposal': 'tab:blue', 'Best': 'tab:green',
           'Best (textures)': 'tab:green', 'Textures': 'tab:purple', 'Black': 'black', 'Noise': 'tab:gray',
           'Real': 'tab:brown'}   # of lines and numbers, by the names of rows
MARKERS = 'osD^v<>P*Xh'   # of points that stand side by side; as there are ten colours, no pair comes twice
LOSSES = 'ce', 'huber', 'mask_loss', 'excess', 'tv', 'bright'   # of a history; others are shares or errors
NOT_DRAWN = 'epoch', 'seconds', 'gradient_back'
DPI = 150


def save_grid(path, rows):
    """Pictures as one PNG, quickly. rows: arrays (k, h, w, 1 or 3) in [0, 1], all of one h and w."""
    rows = [np.asarray(r, np.float32) for r in rows]
    channels, (h, w) = max(r.shape[-1] for r in rows), rows[0].shape[1:3]
    times = max(1, SMALL//h)
    k = max(len(r) for r in rows)
    canvas = np.ones((len(rows), times*h + GAP, k, times*w + GAP, channels), np.float32)
    for i, row in enumerate(rows):
        big = row.repeat(times, 1).repeat(times, 2)
        canvas[i, GAP:, :len(row), GAP:] = big.transpose(1, 0, 2, 3)
    picture = canvas.reshape(canvas.shape[0]*canvas.shape[1], -1, channels).clip(0, 1)
    with whole_file(path) as temporary, open(temporary, 'wb') as f:
        f.write(tf.io.encode_png(np.round(picture*255).astype(np.uint8)).numpy())


# Drawn with matplotlib, without its global state

def _figure(width, height, **options):
    from matplotlib.figure import Figure   # late: half a second that trainers need not wait
    return Figure((width, height), layout='constrained', **options)


def _save(figure, path):
    with whole_file(path) as temporary:
        figure.savefig(temporary, format='png', dpi=DPI, bbox_inches='tight', pad_inches=0.05)


def _picture(axes, image, **options):
    """One image (h, w, c) in [0, 1] in a frame without ticks."""
    image = np.asarray(image)
    image = image[..., 0] if image.shape[-1] == 1 else image
    drawn = axes.imshow(image, **{'cmap': 'gray', 'vmin': 0, 'vmax': 1, **options})
    axes.set(xticks=[], yticks=[])
    return drawn


def _pictures(rows, names, scale=1.1):
    """(figure, axes) of labelled rows of pictures. rows: list of arrays (k, h, w, c) in [0, 1]."""
    k = max(len(r) for r in rows)
    longest = max(len(line) for n in names for line in n.split('\n'))
    figure = _figure(scale*k + 0.3 + 0.09*longest, scale*len(rows) + 0.1)
    axes = figure.subplots(len(rows), k, squeeze=False)
    for line, row, name in zip(axes, rows, names):
        line[0].set_ylabel(name, rotation=0, ha='right', va='center', fontsize=11)
        for one, image in zip(line, row):
            _picture(one, image)
        for one in line[len(row):]:
            one.set_axis_off()
    return figure, axes


def teaser(path, tests, accuracies, row=0):
    """One image on the background of every test, the accuracies of some rows under each picture.

    tests: {name: mydatasets.Test} of the same images. accuracies: {name of a row: {test: share}}.
    """
    images = [test.one(row)[0] for test in tests.values()]
    figure, axes = _pictures([np.stack(images)], [''], 1.35)
    figure.set_size_inches(1.35*len(images) + 1.3, 1.6 + 0.24*len(accuracies))
    for i, (one, test) in enumerate(zip(axes[0], tests)):
        title = naming.plain_test(test)
        one.set_title(title, fontsize=11 if len(title) < 12 else 8)
        for j, (name, found) in enumerate(accuracies.items()):
            colour, y = COLOURS.get(name, 'black'), -0.16 - 0.19*j
            value = f'{100*found[test]:.1f} %' if test in found else naming.MISSING
            style = {'transform': one.transAxes, 'va': 'center', 'color': colour, 'fontsize': 11}
            one.text(0.5, y, value, ha='center', **style)
            if i == 0:
                one.text(-0.1, y, name, ha='right', **style)
    _save(figure, path)


def masks(path, rows, predictions=None):
    """rows: images, masks, binarised masks and compositions, arrays (k, h, w, c) in [0, 1].

    predictions: {name of a network: k pairs of a text and whether it is right}, written below the
    compositions, red where they are not.
    """
    figure, axes = _pictures(rows, ['image', 'mask', 'binarised', 'composed'])
    for j, (network, said) in enumerate((predictions or {}).items()):
        def write(one, x, text, y=-0.14 - 0.19*j, **style):
            one.text(x, y, text, va='center', fontsize=10, transform=one.transAxes, **style)
        write(axes[-1, 0], -0.06, network, ha='right')
        for one, (text, right) in zip(axes[-1], said):
            write(one, 0.5, text, ha='center', color='tab:green' if right else 'tab:red')
    _save(figure, path)


def pictures(path, rows):
    """Labelled rows of pictures. rows: {name: (k, h, w, c) in [0, 1]}."""
    _save(_pictures(list(rows.values()), list(rows))[0], path)


def answers(path, titles, images, lines):
    """Images in a row, and under each what is said of it, red where it is wrong.

    images: (k, h, w, c) in [0, 1]; lines: {name: k pairs of a text and whether it is right, or
    None}.
    """
    figure, axes = _pictures([images], [''], 1.35)
    figure.set_size_inches(1.35*len(images) + 1.3, 1.6 + 0.24*len(lines))
    for j, (name, said) in enumerate(lines.items()):
        y = -0.16 - 0.19*j
        axes[0, 0].text(-0.1, y, name, ha='right', va='center', transform=axes[0, 0].transAxes)
        for one, (text, right) in zip(axes[0], said):
            one.text(0.5, y, text, ha='center', va='center', transform=one.transAxes,
                     color={True: 'tab:green', False: 'tab:red'}.get(right, 'black'))
    for one, title in zip(axes[0], titles):
        one.set_title(title, fontsize=11 if len(title) < 12 else 8)
    _save(figure, path)


def worst_cases(path, rows):
    """Rows of the same images, what each network takes them for below: red and framed where it is wrong.

    rows: {name: (pictures (k, h, w, c) in [0, 1], k class names)}; the first has the true classes.
    """
    figure, axes = _pictures([pictures for pictures, _ in rows.values()], list(rows), 1.25)
    truth = next(iter(rows.values()))[1]
    for line, (_, names) in zip(axes, rows.values()):
        for one, name, true in zip(line, names, truth):
            wrong = name != true
            one.set_xlabel(name, fontsize=9, labelpad=2, color='tab:red' if wrong else 'black')
            if wrong:
                one.spines[:].set(color='tab:red', linewidth=2)
    _save(figure, path)


def backgrounds(path, by_epoch):
    """A row of generated backgrounds for each epoch. by_epoch: {t: (k, h, w, c) in [0, 1]}."""
    _save(_pictures(list(by_epoch.values()), [f't = {t}' for t in by_epoch])[0], path)


def method_diagram(path):
    """z -> f_b -> b and x -> f_m -> m, their composition, the classifier and the loss."""
    from matplotlib.patches import FancyBboxPatch
    figure = _figure(9, 3.4)
    axes = figure.subplots()
    axes.set(xlim=(0, 18), ylim=(0, 6.8))
    axes.set_axis_off()
    style = {'ha': 'center', 'va': 'center', 'fontsize': 12}

    def box(x, y, text, colour, wide=2.3, high=1.25):
        axes.text(x, y, text, **style, zorder=3)
        axes.add_patch(FancyBboxPatch((x - wide/2, y - high/2), wide, high, boxstyle='round,pad=0.08',
                                      fc=colour, ec='black', zorder=2))

    def arrow(start, end, text='', dy=0.35):
        axes.annotate('', end, start, arrowprops={'arrowstyle': '-|>', 'color': 'black', 'lw': 1.3})
        axes.text((start[0] + end[0])/2, (start[1] + end[1])/2 + dy, text, **style)
    axes.text(0.7, 5.1, 'noise\n$z$', **style)
    axes.text(0.7, 1.9, 'image\n$x$', **style)
    box(4, 5.1, 'backgrounds\n$f_b$', '#f6c7c0')
    box(4, 1.9, 'masks\n$f_m$', '#cfe3f7')
    box(9, 3.5, '$m\\,x + (1-m)\\,b$', '#eeeeee', 4.1)
    box(13.4, 3.5, 'classifier\n$f$', '#cfe3f7', 2.1)
    box(16.6, 3.5, '$L(f, y)$', '#eeeeee', 1.9)
    arrow((1.4, 5.1), (2.75, 5.1))
    arrow((1.4, 1.9), (2.75, 1.9))
    arrow((5.25, 5.1), (8.1, 4.25), '$b$')
    arrow((5.25, 1.9), (8.1, 2.75), '$m$', -0.42)
    axes.plot((0.7, 0.7, 9.6), (1.15, 0.7, 0.7), color='black', lw=1.3)
    arrow((9.6, 0.68), (9.6, 2.75))
    axes.text(7, 0.35, '$x$', **style)
    arrow((11.15, 3.5), (12.25, 3.5))
    arrow((14.55, 3.5), (15.55, 3.5))
    axes.text(4, 6.3, '$\\max_{f_b}\\ L$', **style, color='#b03020')
    axes.text(13.4, 4.75, '$\\min_{f}\\ L$', **style, color='#1f4e9c')
    axes.text(4, 0.2, '$\\min_{f_m}\\ L$ (first, $f$ frozen)', **style, color='#1f4e9c')
    _save(figure, path)


def curves(path, histories):
    """Training curves: a line of panels for each phase, losses left and shares right, on one scale each.

    histories: {name of a phase: [{'epoch': 1, 'ce': ..., 'accuracy': ..., 'val_accuracy': ...}, ...]};
    figures that are missing in some epochs are drawn at the others.
    """
    figure = _figure(9.5, 2.6*len(histories))
    axes = figure.subplots(len(histories), 2, squeeze=False)
    losses = [line[k] for history in histories.values() for line in history for k in LOSSES if k in line]
    high = 1.05*max(losses, default=1.) or 1.
    for (left, right), (name, history) in zip(axes, histories.items()):
        keys = dict.fromkeys(k for line in history for k in line if k not in NOT_DRAWN)
        errors = [k for k in keys if k.endswith('error')]
        for key in keys:
            points = [(line['epoch'], line[key]) for line in history if key in line]
            if errors and key not in (*errors, *LOSSES):   # a share, beside errors in a unit of their own
                continue
            one = left if key in LOSSES else right
            one.plot(*zip(*points), label=key, marker='.' if len(points) < 30 else '')
        left.set(title=name, xlabel='epoch', ylabel='loss', ylim=(-0.02*high, high))
        if errors:
            right.set(title=name, xlabel='epoch', ylabel='error')
            right.set_ylim(bottom=0)
        else:
            right.set(title=name, xlabel='epoch', ylabel='share', ylim=(-0.03, 1.03))
        for one in (left, right):
            one.grid(alpha=0.3)
            if one.lines:
                one.legend(fontsize=8, loc='best')
    _save(figure, path)


def noise_curves(path, rows, dataset, methods=('baseline', 'proposal', 'best')):
    """Accuracy over the rate of salt and pepper, a line for each method with a band of its 95 % interval.

    rows: of rowfile.read. Errors: UserError when there is nothing to draw.
    """
    found = selection.select(rows, dataset).methods
    figure = _figure(6.4, 4)
    axes = figure.subplots()
    for method in (m for m in methods if m in found):
        tests = [t for t in found[method] if t.startswith('noise-')]
        by_rate = {float(t.removeprefix('noise-')): found[method][t].values() for t in tests}
        rates = sorted(by_rate)
        mean, half = np.array([statistics.interval(by_rate[r]) for r in rates]).reshape(-1, 2).T*100
        name = naming.name_of(method)
        line, = axes.plot(rates, mean, marker='.', color=COLOURS.get(name), label=name)
        half = np.nan_to_num(half)
        axes.fill_between(rates, (mean - half).clip(0), (mean + half).clip(0, 100), color=line.get_color(),
                          alpha=0.2, lw=0)
    if not any(len(line.get_xdata()) for line in axes.lines):
        raise UserError(f'no rows noise-<rate> of {dataset} to draw; evaluate {dataset}_noises first')
    axes.set_xscale('symlog', linthresh=0.01, linscale=0.3)
    ticks = 0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1
    axes.set_xticks(ticks, [f'{t:g}' for t in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel='share of white pixels in the background', ylabel='accuracy (%)', ylim=(0, 102),
             xlim=(0, 1.05), title=f'{naming.title_of(dataset)}: salt-and-pepper backgrounds')
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def price(path, dataset, found):
    """What it costs to stand the worst background. found: {name of a row: (accuracy on plain images, behind
    the worst background of each), shares}."""
    figure = _figure(8, 4)
    axes = figure.subplots()
    for (name, (plain, least)), marker in zip(found.items(), itertools.cycle(MARKERS)):
        axes.plot(100*plain, 100*least, marker, color=COLOURS.get(name), label=name, markersize=8)
    axes.legend(loc='center left', bbox_to_anchor=(1, 0.5), fontsize=9)
    axes.set(xlabel='accuracy on plain images (%)', ylim=(-4, 104), title=naming.title_of(dataset),
             ylabel='accuracy behind the worst\nbackground of each image (%)')
    axes.grid(alpha=0.3)
    _save(figure, path)


def sensitivity(path, images, heatmaps):
    """Where models look: images, and under them heatmaps in [0, 1]. heatmaps: {network: (k, h, w)}."""
    names = ['image', *heatmaps]
    blank = [np.zeros((len(h), *np.shape(h)[1:], 1)) for h in heatmaps.values()]
    figure, axes = _pictures([images, *blank], names)
    figure.set_size_inches(figure.get_figwidth() + 1, figure.get_figheight())
    for line, heat in zip(axes[1:], heatmaps.values()):
        for one, h, image in zip(line, heat, images):
            one.clear()
            _picture(one, np.asarray(image).mean(-1, keepdims=True), alpha=0.35)
            drawn = _picture(one, np.asarray(h)[..., None], cmap='inferno', vmin=0, vmax=1, alpha=0.8)
    for line, name in zip(axes[1:], names[1:]):
        line[0].set_ylabel(name, rotation=0, ha='right', va='center', fontsize=11)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8)
    bar.set_label('change of the logits where covered,\nshare of the largest', fontsize=9)
    _save(figure, path)

"""Pictures that a phase draws of itself, epoch by epoch, of some validation images."""
import numpy as np

from common.files import whole_file
from common.keys import Key
from common.quiet import tf
from mybackgrounds import compose
from mydatagen import spread, to_float
from report.figures import save_grid

COUNT = 10   # images in a row


def of_masks(job, unet, binarize, fill):
    """each_epoch(epoch) of phase 2: image, mask, binarised mask, and what the classifier sees."""
    x = to_float(spread(job.data.validation, COUNT)['x'])

    def draw(epoch):
        m = unet(x)
        b = binarize(m, x)
        save_grid(f'{job.args.output}.masks/epoch-{epoch:03d}.png', [x, m, b, compose(x, b, fill(x))])
    return draw


def of_backgrounds(job, mask, sources, grow):
    """each_epoch(epoch) of phase 3: the backgrounds now, and the first of them behind the objects.

    mask: x -> m, or None where masks travel with the images. sources: (x, key) -> b. grow: m -> m.
    """
    batch = spread(job.data.validation, COUNT)
    x = to_float(batch['x'])
    m = grow(mask(x) if mask else to_float(batch['m']))

    @tf.function
    def look():
        key = Key.of(job.args.seed)   # the same noise every time: what changes is the generator
        rows = [source(x, key) for source in sources]
        return [*rows, compose(x, m, rows[0])]

    def draw(epoch):
        rows, path = look(), f'{job.args.output}.backgrounds/epoch-{epoch:03d}'
        save_grid(path + '.png', rows)
        with whole_file(path + '.npy') as temporary, open(temporary, 'wb') as f:   # for figures
            np.save(f, rows[0].numpy())
    return draw

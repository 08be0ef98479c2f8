"""Photographs with transparent ground, as PNG files of their own size."""
import os

import numpy as np
from PIL import Image

from common.errors import UserError
from common.files import printable, whole_file
from readers import photographs


def places(folder, paths):
    """{photograph: its PNG file in the folder}. Errors: UserError where one would be written twice, or over a
    photograph."""
    found, taken = {}, {os.path.realpath(p) for p in paths}
    for path in paths:
        place = os.path.join(folder, os.path.splitext(os.path.basename(path))[0] + '.png')
        if os.path.realpath(place) in taken:
            raise UserError(f'{printable(place)} would be written twice, or over a photograph; give another '
                            '--cutout, or photographs of other names')
        taken.add(os.path.realpath(place))
        found[path] = place
    return found


def save(place, path, frame, mask):
    """Writes a photograph with a mask as its alpha. mask: (side, side) in [0, 1], of what `frame` read."""
    pixels = photographs.whole(path)
    alpha = frame.back(mask, pixels.shape[1::-1])
    with whole_file(place) as temporary:
        Image.fromarray(np.dstack([pixels, alpha])).save(temporary, format='PNG')

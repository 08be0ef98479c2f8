"""Where a model looks, as numbers and as pictures."""
import numpy as np

from common.quiet import tf

OCCLUDED_VALUES = 2**24  # of pixels in the covered images that a network sees at once


def occlusion(model, x, patch=None, stride=None):
    """Where a model looks: how much its logits move when a grey square covers a pixel. (n, h, w) in [0, 1].

    Mean over all squares that cover the pixel (Zeiler and Fergus 2014) of the change of the centred logits,
    a share of the image's largest: probabilities would hide what a sure model looks at.
    x: (n, h, w, c) in [0, 1]. patch, stride: pixels; None: an eighth and a thirty-second of the side.
    """
    h, w = x.shape[1:3]
    patch, stride = patch or max(2, h//8), stride or max(1, h//32)
    corners = [(r, c) for r in range(0, h - patch + 1, stride) for c in range(0, w - patch + 1, stride)]
    covers = np.zeros((len(corners), h, w, 1), np.float32)
    for cover, (r, c) in zip(covers, corners):
        cover[r:r + patch, c:c + patch] = 1
    times, many = np.maximum(covers.sum(0)[..., 0], 1), max(1, OCCLUDED_VALUES//np.prod(x.shape[1:]))
    parts = [tf.constant(covers[i:i + many]) for i in range(0, len(covers), many)]

    @tf.function(reduce_retracing=True)
    def changes(image, covers):
        seen = tf.concat([image[None], image*(1 - covers) + 0.5*covers], 0)
        logits = tf.cast(model(seen, training=False), tf.float32)
        if logits.shape[1] > 1:   # a single number has no others to be told from
            logits -= tf.reduce_mean(logits, 1, keepdims=True)
        return tf.tensordot(tf.reduce_sum(tf.abs(logits[1:] - logits[0]), 1), covers[..., 0], 1)
    heat = np.stack([sum(changes(tf.constant(image, tf.float32), part).numpy() for part in parts)
                     for image in np.asarray(x)])/times
    return heat/np.maximum(heat.max((1, 2), keepdims=True), 1e-9)


def coloured(x, heat):
    """Heat (n, h, w) in [0, 1] over images (n, h, w, c) in [0, 1] -> uint8 (n, h, w, 3)."""
    from matplotlib import colormaps   # late: half a second
    colours = colormaps['inferno'](heat)[..., :3]
    return np.round(255*(0.3*x.mean(-1, keepdims=True) + 0.7*colours)).astype(np.uint8)


def explain(model, mask, x):
    """What there is to say and to show of each image: ([{figure: share}], [[picture, uint8 (h, w, 1 or 3)]]).

    mask: images -> masks (n, h, w, 1), or None; with it the figures are `mask`, its share of the image, and
    `look_inside`, the share of the look that falls inside it. x: (n, h, w, c) in [0, 1].
    """
    heat = occlusion(model, x)
    rows, pictures = [{} for _ in x], [[h] for h in coloured(x, heat)]
    if mask is not None:
        for row, shown, m, h in zip(rows, pictures, mask(x).numpy(), heat):
            row['mask'] = round(float(m.mean()), 4)
            row['look_inside'] = round(float((h*m[..., 0]).sum()/max(h.sum(), 1e-9)), 4)
            shown.insert(0, np.round(m*255).astype(np.uint8))
    return rows, pictures

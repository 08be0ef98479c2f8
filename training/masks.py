"""The masks of phase 2 beside the training images, made once and shared by the rows of a table."""
import dataclasses
import functools

import numpy as np

from common.quiet import tf
from mydatagen import in_order, to_float
from readers.reading import Reading


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All that masks depend on, and how they are made: masks of equal recipes are equal."""
    digest: str             # of the weights of phase 2, or the rule that needs none
    binarize: str
    area: float             # for quantile masks
    dataset: str
    reading: Reading
    limit: int | None
    precision: str
    # how they are made, and of what: these follow from the others and do not count when recipes are compared
    mask: object = dataclasses.field(compare=False)     # x -> m
    images: object = dataclasses.field(compare=False)   # mydatagen.Images

    @classmethod
    def of(cls, job, mask, digest):
        args = job.args
        return cls(digest, args.binarize, args.area, args.dataset, Reading.of(args), args.limit,
                   args.precision, mask, job.data.train)


@functools.lru_cache(maxsize=1)   # a set's masks are as large as its images
def _made(recipe):
    """uint8 (n, h, w, 1)."""
    make = tf.function(lambda x: tf.round(255*recipe.mask(to_float(x))), reduce_retracing=True)
    return np.concatenate([make(b['x']).numpy().astype(np.uint8) for b in in_order(recipe.images)])


def beside(recipe):
    """The training images with their masks beside them, where both fit in memory; else as they are."""
    if isinstance(recipe.images.x, list):
        return recipe.images
    return dataclasses.replace(recipe.images, m=_made(recipe))

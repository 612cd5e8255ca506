"""One batch as plain arrays, and the forms of ISDA by the shapes that choose them, for the tests of `losses.apply`."""

import functools

import numpy as np

from jaxaug import losses
from jaxaug.core.registry import list_names, resolve

B, K, D = 8, 5, 6


@functools.cache
def arrays(rows=B, classes=K, depth=D, seed=0):
    """The keyword arguments of one batch, without a bias."""
    rng = np.random.default_rng(seed)
    features, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((rows, depth), (depth, classes)))
    return {
        "features": features,
        "logits": features @ kernel,
        "kernel": kernel,
        "labels": rng.integers(0, classes, rows).astype(np.int32),
        "progress": 0.5,
    }


# The losses of jaxaug that take any examples; those of label maps have a suite of their own.
MEMBERS = tuple(
    name
    for name in list_names("loss")
    if resolve("loss", name).__module__.startswith("jaxaug.losses.")
    and resolve("loss", name).__module__ != "jaxaug.losses._segmentation"
)
ISDA = {
    f"{kind}, K={classes}": (losses.isda(2.0, covariance=kind), classes)
    for kind in ("full", "diagonal")
    for classes in (3, 20)
}

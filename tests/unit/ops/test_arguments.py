"""Images, values and keys for single operations: what is taken, and what is told with its remedy."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import ops
from jaxaug.core.errors import UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 6, 3)).astype(np.uint8)
FIRST = IMAGES.transpose(0, 3, 1, 2)


class Tensor:
    """What a tensor of torch looks like."""

    __module__ = "torch"
    shape, ndim, dtype = (4, 8, 10, 3), 4, "torch.uint8"


MISTAKES = {
    "channels first": (
        lambda: ops.rotate(FIRST, 30),
        r"Rotate: .*channels last, \[B H W C\].*\(2, 3, 8, 6\).*\(0, 2, 3, 1\)",
    ),
    "one image, channels first": (lambda: ops.flip(FIRST[0]), r"Flip: .*channels last, \[H W C\].*\(1, 2, 0\)"),
    "floats, channels first": (lambda: ops.flip(FIRST * 1.0, exact=False), "channels last"),
    "NumPy alone, channels first": (lambda: ops.apply_numpy(["Flip"], FIRST[0]), "apply_numpy: .*channels last"),
    "a tensor": (lambda: ops.flip(Tensor()), "Flip: images is a torch.Tensor: pass images.numpy"),
    "a list": (lambda: ops.flip(IMAGES.tolist()), r"Flip: images must be uint8 .* \(or exact=False\), got list"),
    "whole numbers": (lambda: ops.flip(IMAGES.astype(int)), "images must be uint8 .*, got int64 of shape"),
    "exact floats": (lambda: ops.flip(IMAGES * 1.0), r"images must be uint8 .*\(or exact=False\), got float64"),
    "another number of values": (
        lambda: ops.rotate(IMAGES, [1, 2, 3]),
        r"Rotate: value must have one number per image",
    ),
    "a value that is none": (lambda: ops.rotate(IMAGES, "left"), "Rotate: value must be numbers .degrees.*, got str"),
    "nan": (lambda: ops.rotate(IMAGES, np.nan), "Rotate: value must be finite, got nan"),
    "nan on a device": (lambda: ops.rotate(IMAGES, jnp.array([0.0, jnp.nan])), "Rotate: value must be finite"),
    "no value": (lambda: ops.apply_op("Rotate", IMAGES), "Rotate: needs a value: degrees"),
    "no key": (lambda: ops.rand_flip(IMAGES, key=0.5), "RandFlip: key must be a key"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    call, message = MISTAKES[name]
    with pytest.raises(UsageError, match=message):
        call()


def test_seeds_are_keys():
    keys = [3, jnp.asarray(3)]
    first, second = (ops.cutout_abs(IMAGES, 4, key=key) for key in keys)
    np.testing.assert_array_equal(first, second)

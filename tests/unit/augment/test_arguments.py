"""Keys, images, labels and policies of a user: what is taken, and what is told with its remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import augment
from jaxaug.augment.arguments import as_key
from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import make_policy

POLICY = make_policy([[[("Invert", 0.0, 0.5), ("Identity", 0.0, 0.5)]]])
IMAGES = np.zeros((4, 8, 10, 3), np.uint8)


@pytest.mark.parametrize("key", [3, np.int64(3), jnp.asarray(3), jax.random.key(3), jax.random.PRNGKey(3)])
def test_keys(key):
    """A seed is the key made of it, also a traced one; keys of both kinds are taken."""
    expected = jax.random.key_data(jax.random.key(3))
    for found in (as_key("f", key), jax.jit(lambda key: as_key("f", key))(key)):
        data = jax.random.key_data(found) if jnp.issubdtype(found.dtype, jax.dtypes.prng_key) else found
        np.testing.assert_array_equal(data, expected)


class Tensor:
    """What a tensor of torch looks like."""

    __module__ = "torch"
    shape, ndim, dtype = (4, 8, 10, 3), 4, "torch.uint8"


PIPELINE = augment.compose(augment.flip())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, IMAGES), r"key must be a key, such as jax.random.key\(0\), or a whole number, got float"),
        ((None, IMAGES), "got NoneType"),
        ((True, IMAGES), "got bool"),
        ((jax.random.split(jax.random.key(0)), IMAGES), r"must be one key, got \(2,\) of them"),
        ((0, Tensor()), "images is a torch.Tensor: pass images.numpy"),
        ((0, IMAGES.transpose(0, 3, 1, 2)), r"channels last, \[B H W C\].*transpose\(0, 2, 3, 1\)"),
        ((0, IMAGES[0]), "images must be uint8 or float32"),
        ((0, IMAGES.astype(int)), "images must be uint8 or float32"),
        ((0, IMAGES, np.zeros(3, int)), r"labels must be whole numbers of shape \(4,\), or maps \(4, 8, 10\)"),
        ((0, IMAGES, np.zeros((4, 5))), "keep soft labels and others beside"),
        ((0, IMAGES, Tensor()), "labels is a torch.Tensor"),
    ],
)
def test_pipelines_tell_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=message):
        PIPELINE(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, IMAGES, "randaugment"), r"got a name: use policies.get\('randaugment'\)"),
        ((0, IMAGES, augment.flip()), "policy must be a Policy, as policies.get and Policy.load give it"),
        ((0, IMAGES.transpose(0, 3, 1, 2), POLICY), "channels last"),
        ((0, Tensor(), POLICY), "augment.Collate, which takes tensors"),
        (("0", IMAGES, POLICY), "key must be a key"),
    ],
)
def test_policies_tell_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=f"^apply_policy: .*{message}"):
        augment.apply_policy(*arguments)

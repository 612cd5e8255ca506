"""Keys and progress of a user: what is taken, and what is told with its remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.arguments import as_key, as_progress
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Progress


@pytest.mark.parametrize("key", [3, np.int64(3), jnp.asarray(3), jax.random.key(3), jax.random.PRNGKey(3)])
def test_keys(key):
    """A seed is the key made of it, also a traced one; keys of both kinds are taken."""
    expected = jax.random.key_data(jax.random.key(3))
    for found in (as_key("f", key), jax.jit(lambda key: as_key("f", key))(key)):
        data = jax.random.key_data(found) if jnp.issubdtype(found.dtype, jax.dtypes.prng_key) else found
        np.testing.assert_array_equal(data, expected)


@pytest.mark.parametrize("seed", [2**63, 2**32, -1])
def test_seeds_that_would_share_a_key(seed):
    with pytest.raises(UsageError, match=rf"f: a seed must be at least 0 and below 2\*\*32, got {seed}"):
        as_key("f", seed)


def test_the_largest_seed():
    np.testing.assert_array_equal(jax.random.key_data(as_key("f", 2**32 - 1)), [0, 2**32 - 1])


@pytest.mark.parametrize(
    ("progress", "message"),
    [
        (5, r"the share of the training that is done, in 0\.\.1, got 5"),
        (Progress(0.5, 1.5), r"in 0\.\.1, got 1\.5"),
        (np.ones(3), r"one number, got an array \[3\]"),
        ("half", "one number, got str"),
    ],
)
def test_progress(progress, message):
    with pytest.raises(UsageError, match=f"f: progress .*{message}"):
        as_progress("f", progress)


def test_progress_is_kept():
    given = Progress(0.25, jnp.asarray(0.5), epochs=7)
    found = as_progress("f", given)
    assert (float(found.step), float(found.epoch), found.epochs) == (0.25, 0.5, 7)
    assert jax.jit(lambda x: as_progress("f", x).epoch)(0.5) == 0.5

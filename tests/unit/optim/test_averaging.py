"""The average of a network's weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.optim.averaging import average, copied


@pytest.mark.parametrize("decay", [0.0, 0.6, 0.99])
def test_the_beginning_is_soon_forgotten(decay):
    """A plain mean of all but the start until the decay is reached, in float64."""
    values = np.random.default_rng(0).normal(size=(6, 3))
    kept, expected = {"w": jnp.asarray(values[0], jnp.float32)}, values[0]
    for step, value in enumerate(values[1:], start=1):
        share = min(1 - 1 / (step + 1), decay)
        expected = share * expected + (1 - share) * value
        kept = average(kept, {"w": jnp.asarray(value, jnp.float32)}, jnp.asarray(step), decay)
        np.testing.assert_allclose(kept["w"], expected, rtol=1e-6, atol=1e-6)
    if decay == 0.99:
        np.testing.assert_allclose(expected, values.mean(0), rtol=1e-12)


def test_of_a_counter_the_newest_is_kept():
    kept = average({"count": jnp.asarray(3)}, {"count": jnp.asarray(8)}, jnp.asarray(5), 0.9)
    assert int(kept["count"]) == 8
    assert kept["count"].dtype == jnp.int32


def test_a_copy_has_arrays_of_its_own():
    array = jnp.ones(3)
    found = copied({"w": array})["w"]
    assert found is not array
    assert found.unsafe_buffer_pointer() != array.unsafe_buffer_pointer()

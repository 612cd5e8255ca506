"""Maps at another size: the corners stay corners, in every precision."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.maps import resize_bilinear, resize_nearest


@pytest.mark.parametrize(("old", "new"), [(6, 97), (97, 193), (256, 512), (64, 33), (1, 5), (5, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.01)])
def test_a_ramp_stays_one(old, new, dtype, tolerance):
    """Row i is i / (rows - 1); in bfloat16 to its three digits, however wide."""
    ramp = np.linspace(0, 1, old, dtype=np.float32) if old > 1 else np.zeros(1, np.float32)
    expected = np.linspace(0, 1, new) if min(old, new) > 1 else np.zeros(new)
    for axis in (1, 2):
        shape = [1, 1, 1, 1]
        shape[axis] = old
        maps = jnp.asarray(ramp.reshape(shape), dtype)
        found = resize_bilinear(maps, (new, 1) if axis == 1 else (1, new))
        assert found.dtype == maps.dtype
        np.testing.assert_allclose(np.asarray(found, np.float64).ravel(), expected, atol=tolerance)


def test_labels_take_the_nearest():
    label = jnp.arange(12).reshape(1, 3, 4)
    np.testing.assert_array_equal(resize_nearest(label, (6, 2))[0], [[0, 2], [0, 2], [4, 6], [4, 6], [8, 10], [8, 10]])

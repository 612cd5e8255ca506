"""Tables of levels: what is computed for TPUs, without gathers and scatters, is what is computed elsewhere."""

import jax
import numpy as np
import pytest

from jaxaug.core.target import Target
from jaxaug.ops import lut

PLANES, SIDE = 600, 16


def planes():
    """[PLANES 16 16] uint8: all levels of ranges of every width, random ones, and planes of one level."""
    random = np.random.default_rng(0)
    low, high = np.sort(random.integers(0, 256, (2, PLANES)), axis=0)
    image = np.clip(np.arange(256)[None], low[:, None], high[:, None])
    image[PLANES // 2 :] = random.integers(low[PLANES // 2 :, None], high[PLANES // 2 :, None] + 1, (PLANES // 2, 256))
    return image.astype(np.uint8).reshape(PLANES, SIDE, SIDE)


@pytest.mark.parametrize("name", ["stretch", "equalize"])
def test_for_tpus_and_elsewhere(name, monkeypatch):
    function, image = getattr(lut, name), planes()
    expected = np.asarray(jax.jit(lambda image: function(image))(image))
    monkeypatch.setattr(lut, "target", lambda: Target("tpu"))
    for_tpus = jax.jit(lambda image: function(image)).lower(image)
    assert "scatter" not in for_tpus.as_text()
    np.testing.assert_array_equal(for_tpus.compile()(image), expected)
    assert (expected != image).any()

"""Every transform at the edges of its sizes, numbers of channels and precisions: pixels keep their type and meaning."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import double_precision

from jaxaug import augment
from jaxaug.core.registry import list_names, resolve

# Policies and AutoDO's map go through the matrix of operations; scaling gives images of another size.
NAMES = [name for name in list_names("augment") if name not in ("policy", "affine", "random_scale_and_crop")]
CHANNELS = {"grayscale": (1, 3), "color_jitter": (1, 3), "lighting": (3,)}
OPTIONS = {
    "pad_and_crop": {"padding": 1},
    "cutout": {"length": 2},
    "soft_crop": {"sigma": 2.0, "fill": "mean"},
    **{name: {"probability": 1.0} for name in ("grayscale", "color_jitter", "gaussian_blur", "random_erasing")},
}
SIZES = {"one image": (1, 7, 5, 3), "gray": (2, 6, 9, 1), "RGBA": (3, 5, 5, 4)}


@functools.cache
def results(size, dtype):
    """{name: augmented images}, all in one compilation."""
    given = np.random.default_rng(0).integers(0, 256, SIZES[size]).astype(np.uint8)
    names = [name for name in NAMES if SIZES[size][3] in CHANNELS.get(name, (1, 3, 4))]
    pipelines = {name: augment.compose(resolve("augment", name)(**OPTIONS.get(name, {}))) for name in names}

    @jax.jit
    def run(images):
        return {name: pipeline(3, images, progress=0.5).images for name, pipeline in pipelines.items()}

    if dtype != "x64":
        return jax.device_get(run(jnp.asarray(given, dtype)))
    with double_precision():
        return jax.device_get(run(jnp.asarray(given)))


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_precisions(dtype):
    """uint8 rounds what float32 gives, half precision holds it as well as it can."""
    tolerance, single = {"uint8": 0.51, "float16": 0.13}[dtype], results("one image", "float32")
    for name, found in results("one image", dtype).items():
        assert found.dtype == dtype, name
        assert found.shape == SIZES["one image"], name
        assert np.isfinite(single[name]).all(), name
        expected = np.clip(single[name], 0, 255) if dtype == "uint8" else single[name]
        # Pillow rounds and clips between the two passes of a resized crop.
        most = 10 if (name, dtype) == ("random_resized_crop", "uint8") else tolerance
        np.testing.assert_allclose(found.astype(np.float32), expected, rtol=0, atol=most, err_msg=name)


@pytest.mark.parametrize(("size", "dtype"), [("gray", "bfloat16"), ("RGBA", "x64")])
def test_types(size, dtype):
    """Images keep theirs: also with x64, where random numbers have other ones."""
    for name, found in results(size, dtype).items():
        assert found.dtype == ("uint8" if dtype == "x64" else dtype), name
        assert found.shape == SIZES[size], name
        assert np.isfinite(found.astype(np.float32)).all(), name

"""Transforms on label maps, which move with their images, and the options that they refuse."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.augment import basic, color, crops, mixing
from jaxaug.augment.soft_crop import soft_crop
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, Progress

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))


def mapped(rows=64):
    """A batch whose label maps say what the images show: every pixel its own level, 1 to 72."""
    level = np.broadcast_to(np.arange(1, 73).reshape(9, 8), (rows, 9, 8))
    return Batch(jnp.asarray(level[..., None], jnp.uint8), jnp.asarray(level, jnp.int32), jnp.arange(rows))


def after(part, batch):
    return jax.jit(part)(jax.random.key(0), batch, {}, HALF)


@pytest.mark.parametrize(
    "part",
    [
        basic.flip(),
        basic.pad_and_crop(3, "zero"),
        basic.pad_and_crop(3, "zero", soften=True),
        soft_crop(2.0, fill="zero"),
        soft_crop(2.0, fill="zero", soften=False),
    ],
)
def test_label_maps_move_with_the_pixels(part):
    """-1 where the image shows nothing; each row moves on its own."""
    found = after(part, mapped())
    level = np.asarray(found.image[..., 0], np.int32)
    np.testing.assert_array_equal(found.label, np.where(level == 0, -1, level))
    assert len(np.unique(np.asarray(found.label), axis=0)) >= 2
    assert found.label.dtype == jnp.int32


@pytest.mark.parametrize("fill", ["reflect", "edge"])
def test_what_the_padding_repeats_has_no_label(fill):
    found = after(basic.pad_and_crop(3, fill), mapped())
    np.testing.assert_array_equal(found.label, after(basic.pad_and_crop(3, "zero"), mapped()).label)
    assert (np.asarray(found.image) > 0).all()


@pytest.mark.parametrize(
    "part",
    [
        basic.cutout(4),
        crops.random_erasing(1.0),
        color.gaussian_blur(1.0, (1.0, 2.0)),
        color.color_jitter(probability=1.0),
    ],
)
def test_label_maps_stay(part):
    batch = mapped()
    found = after(part, batch)
    np.testing.assert_array_equal(found.label, batch.label)
    assert (np.asarray(found.image) != np.asarray(batch.image)).any(axis=(1, 2, 3)).mean() > 0.9


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (crops.random_resized_crop(), "use the operation RandResizeCrop"),
        (mixing.mixup(), "^mixup: label maps are not supported"),
        (mixing.cutmix(), "^cutmix: label maps are not supported"),
    ],
)
def test_label_maps_are_refused(part, message):
    with pytest.raises(UsageError, match=message):
        part(jax.random.key(0), mapped(), {}, HALF)


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        *((basic.flip, {"probability": value}, "probability must be in 0..1") for value in (-0.1, 1.1, math.nan)),
        (basic.cutout, {"length": -1}, "length must be a whole number"),
        *((basic.cutout, {"value": value}, "value in 0..255") for value in (-1.0, 256.0, math.nan)),
        (basic.pad_and_crop, {"padding": -1}, "padding at least 0"),
    ],
)
def test_mistakes(part, options, message):
    with pytest.raises(UsageError, match=f"^{part.__name__}: .*{message}"):
        part(**options)

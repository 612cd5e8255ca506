"""Another scale and a window: against plain NumPy, image and label map together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.augment import random_scale_and_crop
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch

GRID = np.add.outer(20 * np.arange(8), np.arange(10)).astype(np.uint8)


def applied(key=0, visibility=None, **options):
    image = jnp.broadcast_to(jnp.asarray(GRID)[None, ..., None], (6, 8, 10, 1))
    label = jnp.broadcast_to(jnp.asarray(GRID, jnp.int32), (6, 8, 10))
    batch = Batch(image, label, jnp.arange(6), visibility=visibility)
    transform = random_scale_and_crop(**options)
    return jax.jit(lambda batch: transform(jax.random.key(key), batch, {}, None))(batch)


def test_a_window_at_scale_one_is_a_crop():
    found = applied(size=(5, 7), scale=(1.0, 1.0))
    corners = set()
    for image, label in zip(found.image[..., 0], found.label, strict=True):
        top, left = divmod(int(image[0, 0]), 20)
        corners.add((top, left))
        np.testing.assert_array_equal(image, GRID[top : top + 5, left : left + 7])
        np.testing.assert_array_equal(label, image)
    assert len(corners) > 1


def test_a_doubled_image_is_nearest_in_labels_and_bilinear_in_pixels():
    found = applied(size=(16, 20), scale=(2.0, 2.0))
    np.testing.assert_array_equal(found.label[0], GRID.repeat(2, 0).repeat(2, 1))
    # A quarter of the way between two pixels' centres; 20 levels apart in rows.
    np.testing.assert_array_equal(found.image[0, 1:5, 0, 0], [5, 15, 25, 35])


def test_ties_between_pixels_fall_to_the_second():
    """The middle of the fourth of pixels 1 / 0.7 apart lies between two, whatever a compiler makes of 1 / 0.7."""
    rows, columns = ((10 * (2 * np.arange(side) + 1)) // 14 for side in (6, 7))
    assert (10 * (2 * 3 + 1)) % 14 == 0
    found = applied(size=(6, 7), scale=(0.7, 0.7))
    np.testing.assert_array_equal(found.label[0], GRID[np.ix_(np.minimum(rows, 7), columns)])


def test_a_shrunk_image_is_padded_with_color_and_void():
    ones = jnp.ones((6, 8, 10))
    found = applied(size=(8, 10), scale=(0.5, 0.5), fill=(90,), visibility=ones)
    assert (found.label[:, 4:] == -1).all()
    assert (found.label[:, :, 5:] == -1).all()
    assert (found.label[:, :4, :5] >= 0).all()
    assert (found.image[:, 4:] == 90).all()
    np.testing.assert_allclose(found.visible_fraction, 1.0)  # all of the image is there, smaller


def test_steps_of_the_scale():
    from jaxaug.augment.scale_and_crop import _factors

    found = np.unique(_factors(jax.random.key(0), 2000, 0.7, 2.1, 0.1))
    np.testing.assert_allclose(found, np.arange(7, 22) / 10, rtol=1e-6)


def test_refusals():
    for options in ({"size": (0, 3)}, {"scale": (2.0, 1.0)}, {"step": -1.0}, {"fill": (300,)}):
        with pytest.raises(UsageError, match="random_scale_and_crop: size must be two sides"):
            random_scale_and_crop(**options)

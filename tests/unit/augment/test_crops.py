"""random_resized_crop and random_erasing against Pillow and a NumPy transcription of torchvision's drawing."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from PIL import Image

from jaxaug.augment import crops
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, Progress

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))
RNG = np.random.default_rng(0)


def batch_of(count=64, height=14, width=20, dtype=np.uint8):
    image = RNG.integers(1, 255, (count, height, width, 3)).astype(dtype)
    return Batch(jnp.asarray(image), jnp.zeros(count, jnp.int32), jnp.arange(count))


def after(part, batch, seed=0):
    return jax.jit(part)(jax.random.key(seed), batch, {}, HALF)


def torchvision_box(rng, height, width, scale, ratio, attempts=10, smaller=False):
    """(rows, columns) of RandomResizedCrop.get_params and, with `smaller`, of RandomErasing.get_params, or None."""
    for _ in range(attempts):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < columns <= width - smaller and 0 < rows <= height - smaller:
            return rows, columns
    return None


def boxes_of(key, count, scale):
    """[count] of (fits, rows, columns, top, left): what random_resized_crop draws for images of 14 x 20."""
    draw = jax.jit(jax.vmap(lambda key: crops.draw_box(key, 14, 20, scale, (3 / 4, 4 / 3), 10)))
    return np.stack(draw(jax.random.split(key, count)), axis=1)


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio", "smaller"),
    [
        (32, 32, (0.08, 1.0), (3 / 4, 4 / 3), False),
        (14, 20, (0.5, 1.0), (1 / 2, 3.0), False),
        (24, 30, (0.02, 0.33), (1 / 3.3, 1 / 0.3), True),
    ],
)
def test_boxes_are_drawn_as_torchvision_does(height, width, scale, ratio, smaller):
    keys = jax.random.split(jax.random.key(0), 3000)
    draw = jax.jit(jax.vmap(lambda key: crops.draw_box(key, height, width, scale, ratio, 10, smaller=smaller)))
    fits, rows, columns, top, left = map(np.asarray, draw(keys))
    rng = np.random.default_rng(1)
    drawn = [torchvision_box(rng, height, width, scale, ratio, smaller=smaller) for _ in range(3000)]
    expected = np.array([box for box in drawn if box is not None])
    assert abs(fits.mean() - len(expected) / 3000) < 0.01
    for side, found in ((0, rows), (1, columns)):
        assert scipy.stats.ks_2samp(found[fits], expected[:, side]).pvalue > 1e-3
    assert scipy.stats.ks_2samp((rows * columns)[fits], expected.prod(axis=1)).pvalue > 1e-3
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + rows <= height).all()
    assert (left + columns <= width).all()
    # The corner of the boxes that leave four places is uniform over them.
    places = top[fits & (rows == height - 3)]
    if len(places) > 40:
        assert scipy.stats.chisquare(np.bincount(places, minlength=4)).pvalue > 1e-3


def test_crop_is_pillows():
    """Each image is Pillow's bicubic resize of its box to one level, and its visible share is the box's."""
    batch, key = batch_of(count=24), jax.random.key(3)
    found = jax.jit(crops.random_resized_crop(scale=(0.2, 1.0), soften=True))(key, batch, {}, HALF)
    boxes = boxes_of(key, 24, (0.2, 1.0))
    shares = []
    for image, original, (fits, *box) in zip(np.asarray(found.image), np.asarray(batch.image), boxes, strict=True):
        rows, columns, top, left = map(int, box)
        if not fits:
            top, left, rows, columns = crops.largest_in_the_middle(14, 20, (3 / 4, 4 / 3))
        # `crop` and then `resize`, as torchvision does; `resize(box=...)` also looks at pixels outside of the box.
        box = Image.fromarray(original).crop((left, top, left + columns, top + rows))
        expected = box.resize((20, 14), Image.Resampling.BICUBIC)
        assert np.abs(image.astype(int) - np.asarray(expected)).max() <= 1
        shares.append(rows * columns / 280)
    np.testing.assert_allclose(found.visible_fraction, shares, atol=1e-5)
    assert found.image.dtype == np.uint8
    # All of a pixel is in the image's visibility: each shows the same amount of the original.
    np.testing.assert_allclose(
        found.visibility, np.broadcast_to(found.visible_fraction[:, None, None], (24, 14, 20)), atol=1e-5
    )


def test_crop_after_a_hole():
    """The visibility of the box, whatever was hidden before: of the upper left quarter here."""
    batch = batch_of(count=8)
    quarter = jnp.zeros((8, 14, 20)).at[:, :7, :10].set(1.0)
    part, key = crops.random_resized_crop(soften=True), jax.random.key(5)
    found = jax.jit(part)(key, batch.replace(visibility=quarter), {}, HALF)
    for i, (fits, rows, columns, top, left) in enumerate(boxes_of(key, 8, (0.08, 1.0))):
        assert fits
        seen = quarter[i, top : top + rows, left : left + columns].sum() / 280
        np.testing.assert_allclose(found.visible_fraction[i], seen, atol=1e-5)
    unsoftened = jax.jit(crops.random_resized_crop())(key, batch.replace(visibility=quarter), {}, HALF)
    for i, (_, rows, columns, top, left) in enumerate(boxes_of(key, 8, (0.08, 1.0))):
        seen = quarter[i, top : top + rows, left : left + columns].mean()
        np.testing.assert_allclose(unsoftened.visible_fraction[i], seen, atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "box"),
    [(14, 20, (0, 0, 14, 19)), (20, 14, (0, 0, 19, 14)), (16, 16, (0, 0, 16, 16)), (12, 30, (0, 7, 12, 16))],
)
def test_largest_box_in_the_middle(height, width, box):
    assert crops.largest_in_the_middle(height, width, (3 / 4, 4 / 3)) == box


def test_fallback_is_taken_where_nothing_fits():
    """The whole area of a wide image at a ratio of 1 never fits: the square in the middle is enlarged."""
    batch = batch_of(count=2, height=6, width=12, dtype=np.float32)
    found = after(crops.random_resized_crop((1.0, 1.0), (1.0, 1.0), soften=True), batch)
    np.testing.assert_allclose(found.visible_fraction, 0.5, atol=1e-6)
    middle = Image.fromarray(np.asarray(batch.image[0, ..., 0])).crop((3, 0, 9, 6)).resize((12, 6), Image.BICUBIC)
    np.testing.assert_allclose(found.image[0, ..., 0], np.clip(middle, 0, 255), atol=1e-2)


@pytest.mark.parametrize(
    ("fill", "dtype"), [("zero", np.uint8), ("noise", np.uint8), ("noise", np.float32), ("mean", np.uint8)]
)
def test_erasing(fill, dtype):
    """One box of each chosen image, within the ranges up to rounding, and nothing else; visible is the rest."""
    batch = batch_of(count=600, height=24, width=30, dtype=dtype)
    found = after(crops.random_erasing(fill=fill, soften=True), batch)
    assert found.image.dtype == dtype
    before, image, visibility = (np.asarray(x) for x in (batch.image, found.image, found.visibility))
    hidden = visibility == 0
    assert set(np.unique(visibility)) == {0.0, 1.0}
    np.testing.assert_array_equal(image[~hidden], before[~hidden])
    erased = hidden.any(axis=(1, 2))
    assert scipy.stats.binomtest(int(erased.sum()), 600, 0.5).pvalue > 1e-3
    rows, columns = hidden.any(axis=2).sum(axis=1)[erased], hidden.any(axis=1).sum(axis=1)[erased]
    np.testing.assert_array_equal(rows * columns, hidden.sum(axis=(1, 2))[erased])
    assert ((rows < 24) & (columns < 30)).all()
    assert ((rows + 0.5) * (columns + 0.5) >= 0.02 * 720).all()
    assert ((rows - 0.5) * (columns - 0.5) <= 0.33 * 720).all()
    assert ((rows + 0.5) / (columns - 0.5) >= 0.3).all()
    assert ((rows - 0.5) / (columns + 0.5) <= 3.3).all()
    inside = image[hidden].astype(np.float64)
    if fill == "zero":
        assert not inside.any()
    elif fill == "noise":
        assert scipy.stats.kstest(inside[:3000].ravel() + (dtype == np.uint8) * 0.5, "uniform", (0, 256)).pvalue > 1e-4
    else:
        means = before.mean(axis=(1, 2), dtype=np.float64)
        colors = np.repeat(means, hidden.sum(axis=(1, 2)), axis=0)
        np.testing.assert_allclose(inside, colors, atol=0.51 if dtype == np.uint8 else 1e-3)


def test_erasing_keeps_what_was_hidden_before():
    batch = batch_of(count=4)
    left = jnp.ones((4, 14, 20)).at[:, :, 10:].set(0.0)
    found = after(crops.random_erasing(1.0, soften=True), batch.replace(visibility=left))
    assert (np.asarray(found.visibility) <= np.asarray(left)).all()
    unsoftened = after(crops.random_erasing(1.0), batch.replace(visibility=left))
    np.testing.assert_array_equal(unsoftened.visibility, left)
    assert after(crops.random_erasing(1.0), batch).visibility is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: crops.random_resized_crop(scale=(0.0, 1.0)), "scale must be two numbers"),
        (lambda: crops.random_resized_crop(scale=(0.5, 1.5)), "high <= 1"),
        (lambda: crops.random_resized_crop(ratio=(2.0, 1.0)), "ratio must be two numbers"),
        (lambda: crops.random_resized_crop(attempts=0), "attempts must be at least 1"),
        (lambda: crops.random_erasing(area=(0.5,)), "area must be two numbers"),
        (lambda: crops.random_erasing(fill="black"), "fill must be one of"),
        (lambda: crops.random_erasing(probability=-0.1), "probability must be in 0..1"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(UsageError, match=message):
        make()

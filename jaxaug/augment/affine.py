"""AutoDO's affine augmentation: about the image's center, or as it was released, for results that are comparable.

The released code takes kornia's map on an image that it enlarged before, with a center and a pixel convention that are
not those of the image.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaug.augment.learned_transform import learned_policy_transform
from jaxaug.augment.policy_transform import augment_batch, execution_settings
from jaxaug.augment.transform import IMAGE, MOVES, VISIBILITY, BatchTransform, refuse_label_map
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import float32
from jaxaug.policies import autodo
from jaxaug.policies.policy import Policy
from jaxaug.policies.sampling import sample

CENTER = "center"
LEAST_DETERMINANT = 1e-3  # of a map: a smaller one would show an image less than a thousandth in size


@register("augment")
def affine(
    learned: str = "per_row",
    geometry: str = "center",
    upscale: int = 1,
    probability: float = 0.2,
    magnitude: float = 0.5,
) -> BatchTransform:
    """AutoDO's affine map (Gudovskiy et al. 2021): one map of `autodo.affine`, drawn with derivatives for each row.

    The geometries of kornia leave the visibility as it was, and refuse label maps.

    Args:
      learned: what a search may change: "per_row", one map for each training row; "shared", one for all; "", nothing.
      geometry: "center", the policy "affine" as any other, with repeated edges; or as released, "kornia_0.4.1"
        (published) or "kornia_0.9.0".
      upscale: of kornia's geometries: the map is made for the image and works on one enlarged by this factor, so that
        translations are that much smaller and its center is that of the upper left part; 4 in the released code, 1 on
        ImageNet.
      probability: of each of the seven operations where a search begins, in 0..1.
      magnitude: of each of them there, as a share of its range, in 0..1.

    Raises:
      UsageError: other words or numbers; and, when called with a geometry of kornia, label maps.
    """
    valid = isinstance(upscale, int) and (upscale == 1 or (upscale > 1 and geometry in READINGS))
    if geometry not in (CENTER, *READINGS) or not valid:
        raise UsageError(
            f"affine: geometry must be one of {(CENTER, *READINGS)} and upscale a whole number of at least 1, of "
            f"kornia's alone, got {geometry!r} and {upscale!r}"
        )
    policy = autodo.affine(probability, magnitude)
    settings = execution_settings(policy, exact=False, scheduler="auto", border="edge")

    def moved(key: jax.Array, batch: Batch, policy: Policy, rows: jax.Array) -> Batch:
        if geometry == CENTER:
            return augment_batch(key, batch, policy, settings, (), rows)
        refuse_label_map("affine", batch, 'use "policy" with the preset "affine" and exact=False')
        values = sample(key, policy, rows, relaxed=True).value
        height, width = batch.image.shape[1:3]
        image = warped(batch.image, matrices(values, height, width, geometry), geometry, upscale)
        return batch.replace(image=image)

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        return moved(key, batch, policy, batch.index)

    writes = MOVES if geometry == CENTER else IMAGE
    reads = MOVES | VISIBILITY if geometry == CENTER else IMAGE
    if learned:
        return learned_policy_transform("affine", policy, learned, moved, reads=reads, writes=writes)
    return BatchTransform(apply, "affine", reads=reads, writes=writes, keeps_shares=False)


def matrices(values: jax.Array, height: int, width: int, geometry: str) -> jax.Array:
    """The maps source (x, y, 1) -> destination, in pixels from the first one's center.

    M = S T R: R scales by (sx, sy), then turns by the angle, about (W // 2, H // 2), which the released code mixes up
    where the two differ; T shifts by (tx W, ty H); S shears along both axes at once about the first pixel. kornia 0.4.1
    takes the shift that keeps the center from the first row of R alone, so that the center moves where sx != sy (kornia
    issue 1337).

    Args:
      values: [B 7], physical, in the order of `autodo.AFFINE`.
      height: of the images, in pixels.
      width: of the images, in pixels.
      geometry: one of kornia's.

    Returns:
      [B 2 3].
    """
    sx, sy, degrees, across, down, shear_x, shear_y = jnp.moveaxis(values, -1, 0)
    cosine, sine = float32.turn(degrees)
    (a, b), (c, d) = (cosine * sx, sine * sy), (-sine * sx, cosine * sy)
    x, y = width // 2, height // 2
    if geometry == "kornia_0.4.1":
        e, f = (1 - a) * x - b * y, b * x + (1 - a) * y
    else:
        e, f = x - a * x - b * y, y - c * x - d * y
    e, f = e + across * width, f + down * height
    upper = (a + shear_x * c, b + shear_x * d, e + shear_x * f)
    lower = (shear_y * a + c, shear_y * b + d, shear_y * e + f)
    return jnp.stack([jnp.stack(upper, -1), jnp.stack(lower, -1)], axis=-2)


def warped(images: jax.Array, matrix: jax.Array, geometry: str, upscale: int = 1) -> jax.Array:
    """Images through maps, enlarged before and reduced after, both bilinear.

    What the map uncovers repeats the nearest pixel. A determinant nearer to 0 than `LEAST_DETERMINANT` is taken for
    that, where the released code stops.

    Args:
      images: [B H W C], uint8 or float.
      matrix: [B 2 3], as `matrices` gives it.
      geometry: one of kornia's.
      upscale: how many times the images are enlarged.

    Returns:
      [B H W C], float32 or the images' own float type.
    """
    images = images if jnp.issubdtype(images.dtype, jnp.floating) else images.astype(jnp.float32)

    def one(image: jax.Array, matrix: jax.Array) -> jax.Array:
        height, width, channels = image.shape
        large = jax.image.resize(image.transpose(2, 0, 1), (channels, height * upscale, width * upscale), "bilinear")
        # Reducing reads but the middle pixels of each block: nothing else has to be computed.
        x, y = (_middle(side, upscale).astype(matrix.dtype) for side in (width, height))
        column, row = READINGS[geometry](*_inverse(matrix, x[None, :, None, :], y[:, None, :, None]), *large.shape[1:])
        found = float32.clamped((column, row), *large.shape[1:])
        seen = jax.vmap(float32.take, (0, None, None))(large, found, 0.0)
        return jnp.mean(seen, axis=(-2, -1)).transpose(1, 2, 0).astype(image.dtype)

    return jax.vmap(one)(images, matrix)


def _middle(side: int, upscale: int) -> jax.Array:
    """[side 1 or 2]: the enlarged pixels whose mean each reduced one is, bilinear about the middle of its block."""
    first, last = (upscale - 1) // 2, upscale // 2
    return jnp.arange(side)[:, None] * upscale + jnp.arange(first, last + 1)


def _inverse(matrix: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(column, row): where the map [2 3] takes x, y from."""
    (a, b, e), (c, d, f) = matrix
    determinant = a * d - b * c
    smallest = jnp.where(determinant < 0, -LEAST_DETERMINANT, LEAST_DETERMINANT)
    determinant = jnp.where(jnp.abs(determinant) < LEAST_DETERMINANT, smallest, determinant)
    return (d * (x - e) - b * (y - f)) / determinant, (a * (y - f) - c * (x - e)) / determinant


def _stretched(column: jax.Array, row: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    """kornia 0.4.1: places normalised by corner pixels' centers, read as normalised by their edges (issue 747)."""
    return column * (width / (width - 1)) - 0.5, row * (height / (height - 1)) - 0.5


def _as_they_are(column: jax.Array, row: jax.Array, height: int, width: int) -> tuple[jax.Array, jax.Array]:
    return column, row


READINGS: dict[str, Callable] = {"kornia_0.4.1": _stretched, "kornia_0.9.0": _as_they_are}

"""Changes of color and sharpness, image by image: torchvision's RandomGrayscale, GaussianBlur and ColorJitter.

From DM-PIX come the luma and the turn of the hue, which mean what torchvision means. Its adjust_brightness adds instead
of scaling, its adjust_contrast takes the mean of each channel instead of that of the gray image, and its
adjust_saturation scales the S of HSV instead of blending with the gray image: these are blends of `ops.float32` here.
Arithmetic is float32, rounded once at the end of a transform if the images are uint8.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.transform import BatchTransform, check_probability
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched, float32


@register("augment")
def grayscale(probability: float = 0.2) -> BatchTransform:
    """Replace images by their luma in three channels; gray images stay.

    Args:
      probability: of each image to be replaced, in 0..1.

    Raises:
      UsageError: another probability; and, when called, images with other than 1 or 3 channels.
    """
    check_probability("grayscale", probability)

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        if _channels("grayscale", batch) == 1:
            return batch
        import dm_pix  # with chex, which `import jaxaug` need not wait for

        # TF32 and bfloat16, the usual products of floats on accelerators, lose gray levels.
        with jax.default_matmul_precision("highest"):
            luma = dm_pix.rgb_to_grayscale(batch.image.astype(jnp.float32), keep_dims=True)
        return _where(jax.random.bernoulli(key, probability, (len(batch.label),)), luma, batch)

    return BatchTransform(apply, "grayscale", "levels")


@register("augment")
def gaussian_blur(
    probability: float = 0.5, sigma: tuple[float, float] = (0.1, 2.0), kernel_size: int = 0
) -> BatchTransform:
    """Gaussian blur, the border mirrored as torchvision does it.

    Args:
      probability: of each image to be blurred, in 0..1.
      sigma: the least and greatest standard deviation in pixels; each image has its own, uniform between them.
      kernel_size: odd, in pixels; 0 is a tenth of the shorter side, at least 3 (SimCLR, Chen et al. 2020, appendix A).

    Raises:
      UsageError: other options; and, when called, images smaller than half of the kernel.
    """
    check_probability("gaussian_blur", probability)
    low, high = _pair("gaussian_blur", "sigma", sigma)
    if low <= 0 or not (kernel_size == 0 or kernel_size % 2 == 1) or kernel_size < 0:
        raise UsageError(
            f"gaussian_blur: sigma must be above 0 and kernel_size odd or 0, got {sigma} and {kernel_size}"
        )

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        chance_key, sigma_key = jax.random.split(key)
        shorter = min(batch.image.shape[1:3])
        size = kernel_size or 2 * max(round(shorter / 10) // 2, 1) + 1
        if size // 2 >= shorter:
            raise UsageError(f"gaussian_blur: a kernel of {size} pixels is too large for {shorter} pixels")
        border = (size // 2, size // 2)
        mirrored = jnp.pad(batch.image.astype(jnp.float32), ((0, 0), border, border, (0, 0)), mode="reflect")
        widths = jax.random.uniform(sigma_key, (len(batch.label),), jnp.float32, low, high)
        down, across = (
            jax.vmap(functools.partial(_gaussian, side, size // 2))(widths) for side in batch.image.shape[1:3]
        )
        blurred = jnp.einsum("byi,bijc,bxj->byxc", down, mirrored, across, precision="highest")
        return _where(jax.random.bernoulli(chance_key, probability, (len(batch.label),)), blurred, batch)

    return BatchTransform(apply, "gaussian_blur", "levels")


def _gaussian(side: int, radius: int, sigma: jax.Array) -> jax.Array:
    """[side, side + 2 * radius]: what each pixel takes from those of the padded image."""
    # Matrices, because a convolution with a kernel for each image, DM-PIX's gaussian_blur under vmap, takes ten times
    # as long on a CPU (41 ms against 4 for 128 images of 32 x 32).
    distance = jnp.arange(side + 2 * radius)[None] - jnp.arange(side)[:, None] - radius
    weights = jnp.where(jnp.abs(distance) <= radius, jnp.exp(-0.5 * (distance / sigma) ** 2), 0.0)
    return weights / jnp.sum(weights, axis=1, keepdims=True)


@register("augment")
def color_jitter(
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
    probability: float = 0.8,
) -> BatchTransform:
    """torchvision's ColorJitter: up to four changes of each image, in random order.

    The first three scale something by a factor uniform in max(0, 1 - x)..1 + x. Gray images have brightness and
    contrast only. The defaults are those of MoCo v2 and half of SimCLR's.

    Args:
      brightness: at least 0; its factor scales the image.
      contrast: at least 0; its factor scales the distance from the mean of the gray image.
      saturation: at least 0; its factor scales the distance from the gray image.
      hue: in 0..1/2; the shift is uniform in -hue..hue turns.
      probability: of each image to be changed at all, in 0..1.

    Raises:
      UsageError: other options; and, when called, images with other than 1 or 3 channels.
    """
    check_probability("color_jitter", probability)
    strengths = (brightness, contrast, saturation)
    if min(strengths) < 0 or not 0 <= hue <= 0.5:
        raise UsageError(
            "color_jitter: brightness, contrast and saturation must be at least 0 and hue in 0..0.5, got "
            f"{strengths} and {hue}"
        )

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        channels = _channels("color_jitter", batch)
        names = [name for name, most in zip(CHANGES, (*strengths, hue), strict=True) if most > 0]
        names = names if channels == 3 else [name for name in names if name in ("brightness", "contrast")]
        if not names:
            return batch
        least = {name: max(0.0, 1.0 - most) for name, most in zip(CHANGES, strengths, strict=False)} | {"hue": -hue}
        most = {name: 1.0 + most for name, most in zip(CHANGES, strengths, strict=False)} | {"hue": hue}
        low, high = (jnp.asarray([side[name] for name in names], jnp.float32) for side in (least, most))
        chance_key, order_key, amount_key = jax.random.split(key, 3)
        count = len(batch.label)
        amount = jax.random.uniform(amount_key, (count, len(names)), jnp.float32, low, high)
        order = jax.vmap(lambda k: jax.random.permutation(k, len(names)))(jax.random.split(order_key, count))
        image = batch.image.astype(jnp.float32).transpose(0, 3, 1, 2)
        changed = jax.vmap(functools.partial(_changed, names))(image, order, amount)
        chosen = jax.random.bernoulli(chance_key, probability, (count,))
        return _where(chosen, batched.channels_last(changed), batch)

    return BatchTransform(apply, "color_jitter", "levels")


# Eigenvalues and eigenvectors (columns) of the colors of ImageNet's pixels, red green blue on the 0..1 scale, as in
# Torch's recipes since 2015.
_COLOR_VALUES = (0.2175, 0.0188, 0.0045)
_COLOR_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


@register("augment")
def lighting(deviation: float = 0.1) -> BatchTransform:
    """Add to all pixels of an image one color along the principal ones of ImageNet (Krizhevsky et al. 2012).

    color = 255 sum_k a_k value_k vector_k, a_k from N(0, deviation^2) for each image. uint8 images are rounded.

    Args:
      deviation: of the three numbers, at least 0.

    Raises:
      UsageError: a negative deviation; and, when called, images without 3 channels.
    """
    if not deviation >= 0:
        raise UsageError(f"lighting: deviation must be at least 0, got {deviation}")

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        if batch.image.shape[-1] != 3:
            raise UsageError(f"lighting: images must have 3 channels, got {batch.image.shape[-1]}")
        along = deviation * jax.random.normal(key, (len(batch.label), 1, 3)) * jnp.asarray(_COLOR_VALUES)
        # Sums of three products rather than a matrix product, which accelerators round to bfloat16.
        color = 255.0 * jnp.sum(along * jnp.asarray(_COLOR_VECTORS), axis=-1)
        image = batch.image.astype(jnp.float32) + color[:, None, None, :]
        return batch.replace(image=batched.cast(image, batch.image.dtype))

    return BatchTransform(apply, "lighting", "levels")


def adjust_brightness(image: jax.Array, factor: jax.Array) -> jax.Array:
    """The image [C H W] times `factor` [], within 0..255."""
    return float32.blend(jnp.zeros((), image.dtype), image, factor)


def adjust_contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    """The distance from the mean of the gray image times `factor` []; image [C H W] in 0..255."""
    return float32.blend(float32.mean(float32.grayscale(image)), image, factor)


def adjust_saturation(image: jax.Array, factor: jax.Array) -> jax.Array:
    """The distance from the gray image times `factor` []; image [3 H W] in 0..255."""
    return float32.blend(float32.grayscale(image), image, factor)


def adjust_hue(image: jax.Array, turns: jax.Array) -> jax.Array:
    """The hue shifted by `turns` [] (1 is once around the circle); image [3 H W] in 0..255."""
    import dm_pix

    return 255.0 * dm_pix.adjust_hue(image / 255.0, turns, channel_axis=0)


CHANGES = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def _changed(names: list[str], image: jax.Array, order: jax.Array, amount: jax.Array) -> jax.Array:
    """image [C H W] after all changes, in that order."""
    changes = [CHANGES[name] for name in names]

    def one(image: jax.Array, which: jax.Array) -> tuple[jax.Array, None]:
        return jax.lax.switch(which, changes, image, amount[which]), None

    return jax.lax.scan(one, image, order)[0]


def _where(chosen: jax.Array, image: jax.Array, batch: Batch) -> Batch:
    """The batch with `image`, cast to its dtype, where chosen [B]."""
    changed = batched.cast(image, batch.image.dtype)
    return batch.replace(image=jnp.where(chosen[:, None, None, None], changed, batch.image))


def _channels(name: str, batch: Batch) -> int:
    channels = batch.image.shape[-1]
    if channels not in (1, 3):
        raise UsageError(f"{name}: images must have 1 or 3 channels, got {channels}")
    return channels


def _pair(name: str, option: str, pair: tuple[float, float]) -> tuple[float, float]:
    if np.shape(pair) != (2,) or not pair[0] <= pair[1]:
        raise UsageError(f"{name}: {option} must be two numbers, the smaller one first, got {pair}")
    return pair

"""Parts that change colours and sharpness, image by image: torchvision's RandomGrayscale, GaussianBlur, ColorJitter.

From DM-PIX come the luma and the turn of the hue, which mean what torchvision means. Its adjust_brightness adds instead
of scaling, its adjust_contrast takes the mean of each channel instead of that of the grey image, and its
adjust_saturation scales the S of HSV instead of blending with the grey image: these are blends of `smooth` here.
Arithmetic is float32, rounded once at the end of a part if the images are uint8.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import BatchTransform
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched, float32


@register("augment")
def grayscale(probability: float = 0.2) -> BatchTransform:
    """Replace each image by its luma in three channels, with the given probability in 0..1; grey images stay.

    Raises UsageError for another probability, and for images with other than 1 or 3 channels.
    """
    _check_probability("colour.grey", probability)

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        if _channels("colour.grey", batch) == 1:
            return batch
        import dm_pix  # with chex, which `import jaxaug` need not wait for

        # TF32 and bfloat16, the usual products of floats on accelerators, lose grey levels.
        with jax.default_matmul_precision("highest"):
            luma = dm_pix.rgb_to_grayscale(batch.image.astype(jnp.float32), keep_dims=True)
        return _where(jax.random.bernoulli(key, probability, (len(batch.label),)), luma, batch)

    return part


@register("augment")
def gaussian_blur(
    probability: float = 0.5, sigma: tuple[float, float] = (0.1, 2.0), kernel_size: int = 0
) -> BatchTransform:
    """Gaussian blur of each image with the given probability in 0..1, the border mirrored as torchvision does it.

    sigma: the least and greatest standard deviation, in pixels; each image has its own, uniform between them.
    kernel_size: odd, in pixels; 0 is a tenth of the shorter side, at least 3 (SimCLR, Chen et al. 2020, appendix A).
    Raises UsageError for other options and for images smaller than half of the kernel.
    """
    _check_probability("colour.blur", probability)
    low, high = _pair("colour.blur", "sigma", sigma)
    if low <= 0 or not (kernel_size == 0 or kernel_size % 2 == 1) or kernel_size < 0:
        raise UsageError(
            f"augment 'colour.blur': sigma must be above 0 and kernel_size odd or 0, got {sigma} and {kernel_size}"
        )

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        chance_key, sigma_key = jax.random.split(key)
        shorter = min(batch.image.shape[1:3])
        size = kernel_size or 2 * max(round(shorter / 10) // 2, 1) + 1
        if size // 2 >= shorter:
            raise UsageError(f"augment 'colour.blur': a kernel of {size} pixels is too large for {shorter} pixels")
        border = (size // 2, size // 2)
        mirrored = jnp.pad(batch.image.astype(jnp.float32), ((0, 0), border, border, (0, 0)), mode="reflect")
        widths = jax.random.uniform(sigma_key, (len(batch.label),), jnp.float32, low, high)
        down, across = (
            jax.vmap(functools.partial(_gaussian, side, size // 2))(widths) for side in batch.image.shape[1:3]
        )
        blurred = jnp.einsum("byi,bijc,bxj->byxc", down, mirrored, across, precision="highest")
        return _where(jax.random.bernoulli(chance_key, probability, (len(batch.label),)), blurred, batch)

    return part


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
    """torchvision's ColorJitter with the given probability in 0..1: four changes of each image, in random order.

    brightness, contrast, saturation: at least 0; the factor is uniform in max(0, 1 - x)..1 + x and scales the image,
    its distance from the mean of its grey image, and its distance from its grey image. hue: in 0..1/2; the shift is
    uniform in -hue..hue turns. Grey images have brightness and contrast only. The defaults are those of MoCo v2 and
    half of SimCLR's. Raises UsageError for other options, and for images with other than 1 or 3 channels.
    """
    _check_probability("colour.jitter", probability)
    strengths = (brightness, contrast, saturation)
    if min(strengths) < 0 or not 0 <= hue <= 0.5:
        raise UsageError(
            "augment 'colour.jitter': brightness, contrast and saturation must be at least 0 and hue in 0..0.5, got "
            f"{strengths} and {hue}"
        )

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        channels = _channels("colour.jitter", batch)
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
        return _where(chosen, changed.transpose(0, 2, 3, 1), batch)

    return part


def brighter(image: jax.Array, factor: jax.Array) -> jax.Array:
    """The image [C H W] times `factor` [], within 0..255."""
    return float32.blend(jnp.zeros((), image.dtype), image, factor)


def more_contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    """The distance from the mean of the grey image times `factor` []; image [C H W] in 0..255."""
    return float32.blend(float32.mean(float32.grey(image)), image, factor)


def more_colour(image: jax.Array, factor: jax.Array) -> jax.Array:
    """The distance from the grey image times `factor` []; image [3 H W] in 0..255."""
    return float32.blend(float32.grey(image), image, factor)


def turned_hue(image: jax.Array, turns: jax.Array) -> jax.Array:
    """The hue shifted by `turns` [] (1 is once around the circle); image [3 H W] in 0..255."""
    import dm_pix

    return 255.0 * dm_pix.adjust_hue(image / 255.0, turns, channel_axis=0)


CHANGES = {"brightness": brighter, "contrast": more_contrast, "saturation": more_colour, "hue": turned_hue}


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


def _channels(what: str, batch: Batch) -> int:
    channels = batch.image.shape[-1]
    if channels not in (1, 3):
        raise UsageError(f"augment {what!r}: images must have 1 or 3 channels, got {channels}")
    return channels


def _check_probability(what: str, probability: float) -> None:
    if not 0 <= probability <= 1:
        raise UsageError(f"augment {what!r}: probability must be in 0..1, got {probability}")


def _pair(what: str, name: str, pair: tuple[float, float]) -> tuple[float, float]:
    if len(pair) != 2 or pair[0] > pair[1]:
        raise UsageError(f"augment {what!r}: {name} must be two numbers, the smaller one first, got {pair}")
    return pair

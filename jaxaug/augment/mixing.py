"""Transforms that mix each row with the one before it (row 0 with the last); `losses.mixed_targets` mixes the targets.

They come last in the pipeline, cutmix after any crop, and only one of them: a third image would need a third share. On
the 0..255 scale and after normalisation they do the same, up to the rounding of uint8 images. Label maps cannot be
mixed.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import (
    IMAGE,
    BatchTransform,
    check_closing,
    check_probability,
    closing_phase,
    refuse_label_map,
)
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched

_WRITES = IMAGE | {"mix_ratio"}


@register("augment")
def mixup(alpha: float = 1.0, per: str = "batch", probability: float = 1.0, closing: float = 0.0) -> BatchTransform:
    """image = mix * image + (1 - mix) * the one before, mix from Beta(alpha, alpha) (Zhang et al. 2018, section 2).

    Args:
      alpha: of the Beta distribution, above 0.
      per: "batch", one mix for all rows (the papers' code), or "example", one for each.
      probability: of mixing at all, in 0..1; drawn as often as the mix.
      closing: no mixing in the last epochs: below 1 their share, else their number (Soft Augmentation's code: 20).

    Raises:
      UsageError: other options; and, when called, label maps or rows that were mixed before.
    """
    _check("mixup", alpha, per, probability, closing)

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        _check_batch("mixup", batch)
        mix = _draw_mix(key, batch, progress, alpha, per, probability, closing)
        return batch.replace(image=batched.blend(batch.image, jnp.roll(batch.image, 1, axis=0), mix), mix_ratio=mix)

    return BatchTransform(apply, "mixup", writes=_WRITES)


@register("augment")
def cutmix(alpha: float = 1.0, per: str = "batch", probability: float = 1.0, closing: float = 0.0) -> BatchTransform:
    """Paste a box of the image before into each image; mix is the share that stays (Yun et al. 2019, equation 2).

    The box has the image's sides times sqrt(1 - lambda), rounded down, lambda from Beta(alpha, alpha); its center is
    uniform over the pixels, and what falls outside is cut off.

    Args:
      alpha: of the Beta distribution, above 0.
      per: "batch", one box for all rows (the paper's code), or "example", one for each.
      probability: of pasting at all, in 0..1; drawn as often as the box.
      closing: no pasting in the last epochs: below 1 their share, else their number.

    Raises:
      UsageError: other options; and, when called, label maps or rows that were mixed before.
    """
    _check("cutmix", alpha, per, probability, closing)

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        _check_batch("cutmix", batch)
        mix_key, row_key, column_key = jax.random.split(key, 3)
        count, height, width = batch.image.shape[:3]
        side = jnp.sqrt(1.0 - _draw_mix(mix_key, batch, progress, alpha, per, probability, closing))

        def center(key: jax.Array, size: int) -> jax.Array:
            return jnp.broadcast_to(jax.random.randint(key, _draws(per, count), 0, size), (count,))

        pasted = batched.boxes(
            (height, width),
            center(row_key, height),
            center(column_key, width),
            (height * side).astype(jnp.int32),
            (width * side).astype(jnp.int32),
        )
        image = jnp.where(pasted[..., None], jnp.roll(batch.image, 1, axis=0), batch.image)
        return batch.replace(image=image, mix_ratio=1.0 - jnp.mean(pasted, axis=(1, 2), dtype=jnp.float32))

    return BatchTransform(apply, "cutmix", writes=_WRITES, pastes=True)


def symmetric_beta(key: jax.Array, alpha: float, shape: tuple[int, ...]) -> jax.Array:
    """Beta(alpha, alpha), alpha > 0, float32 of the given shape, from two uniform numbers and without rejection.

    With u, v uniform, t = sqrt(n (u^(-2/n) - 1)) cos(2 pi v) is Student's t with n degrees of freedom (Bailey 1994),
    and (1 + t / sqrt(n + t^2)) / 2 is Beta(n / 2, n / 2).
    """
    # `jax.random.beta` takes six times as long to compile.
    u_key, v_key = jax.random.split(key)
    log_power = jnp.log(jax.random.uniform(u_key, shape, jnp.float32)) / alpha
    cosine = jnp.cos(2.0 * math.pi * jax.random.uniform(v_key, shape, jnp.float32))
    # n / t^2 = odds / cosine^2 with n = 2 alpha; in this form nothing overflows for small alpha.
    odds = jnp.exp(log_power) / -jnp.expm1(log_power)
    return 0.5 + 0.5 * cosine / jnp.sqrt(odds + cosine**2)


def _draws(per: str, count: int) -> tuple[int]:
    return (1,) if per == "batch" else (count,)


def _draw_mix(
    key: jax.Array, batch: Batch, progress: Progress, alpha: float, per: str, probability: float, closing: float
) -> jax.Array:
    """[B] float32: Beta(alpha, alpha), or 1 where nothing is to be mixed."""
    mix_key, chance_key = jax.random.split(key)
    count = len(batch.label)
    mix = symmetric_beta(mix_key, alpha, _draws(per, count))
    applied = jax.random.bernoulli(chance_key, probability, mix.shape) & ~closing_phase(progress, closing)
    return jnp.broadcast_to(jnp.where(applied, mix, 1.0), (count,))


def _check_batch(name: str, batch: Batch) -> None:
    refuse_label_map(name, batch, "leave it out")
    if batch.mix_ratio is not None:
        raise UsageError(f"{name}: the rows are mixed already: keep one of mixup and cutmix")


def _check(name: str, alpha: float, per: str, probability: float, closing: float) -> None:
    check_probability(name, probability)
    check_closing(name, closing)
    if not alpha > 0 or per not in ("batch", "example"):
        raise UsageError(f"{name}: alpha must be above 0 and per 'batch' or 'example', got {alpha} and {per!r}")

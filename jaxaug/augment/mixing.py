"""Parts that mix each row with the one before it (row 0 with the last); `losses.targets.mixed` mixes their targets.

They come last in the pipeline, and only one of them: a third image in a row would need a third share. On the 0..255
scale and after normalisation they do the same, up to the rounding of uint8 images. Label maps cannot be mixed.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaug.augment.transform import BatchTransform, closing_phase, refuse_label_map
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops import batched


@register("augment")
def mixup(alpha: float = 1.0, per: str = "batch", probability: float = 1.0, closing: float = 0.0) -> BatchTransform:
    """image = mix * image + (1 - mix) * the one before, mix from Beta(alpha, alpha) (Zhang et al. 2018, section 2).

    alpha > 0. per: "batch", one mix for all rows (the papers' code), or "example", one for each. probability in 0..1:
    of mixing at all, drawn as often as mix. closing: no mixing in that last share of the epochs (Soft Augmentation's
    code: the last 20 of 500), 0..1. Raises UsageError for other options, for label maps and for rows mixed before.
    """
    _check("mixing.mixup", alpha, per, probability, closing)

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        _check_batch("mixing.mixup", batch)
        mix = _draw_mix(key, batch, progress, alpha, per, probability, closing)
        return batch.replace(image=batched.blend(batch.image, jnp.roll(batch.image, 1, axis=0), mix), mix_ratio=mix)

    return part


@register("augment")
def cutmix(alpha: float = 1.0, per: str = "batch", probability: float = 1.0, closing: float = 0.0) -> BatchTransform:
    """Paste a box of the image before into each image; mix is the share that stays (Yun et al. 2019, equation 2).

    The box has the image's sides times sqrt(1 - lambda), rounded down, lambda from Beta(alpha, alpha); its centre is
    uniform over the pixels, and what falls outside is cut off. Options as for `mixup`; "batch" draws one box for
    all rows.
    """
    _check("mixing.cutmix", alpha, per, probability, closing)

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        _check_batch("mixing.cutmix", batch)
        mix_key, row_key, column_key = jax.random.split(key, 3)
        count, height, width = batch.image.shape[:3]
        side = jnp.sqrt(1.0 - _draw_mix(mix_key, batch, progress, alpha, per, probability, closing))

        def centre(key: jax.Array, size: int) -> jax.Array:
            return jnp.broadcast_to(jax.random.randint(key, _draws(per, count), 0, size), (count,))

        pasted = batched.boxes(
            (height, width),
            centre(row_key, height),
            centre(column_key, width),
            (height * side).astype(jnp.int32),
            (width * side).astype(jnp.int32),
        )
        image = jnp.where(pasted[..., None], jnp.roll(batch.image, 1, axis=0), batch.image)
        return batch.replace(image=image, mix_ratio=1.0 - jnp.mean(pasted, axis=(1, 2), dtype=jnp.float32))

    return part


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


def _draw_mix(key, batch, progress, alpha, per, probability, closing) -> jax.Array:
    """[B] float32: Beta(alpha, alpha), or 1 where nothing is to be mixed."""
    mix_key, chance_key = jax.random.split(key)
    count = len(batch.label)
    mix = symmetric_beta(mix_key, alpha, _draws(per, count))
    applied = jax.random.bernoulli(chance_key, probability, mix.shape) & ~closing_phase(progress, closing)
    return jnp.broadcast_to(jnp.where(applied, mix, 1.0), (count,))


def _check_batch(what: str, batch: Batch) -> None:
    refuse_label_map(what, batch, "leave it out of config.augment")
    if batch.mix_ratio is not None:
        raise UsageError("the rows are mixed already: keep one part of `mixing` in config.augment.train and .after")


def _check(what: str, alpha: float, per: str, probability: float, closing: float) -> None:
    if not alpha > 0 or per not in ("batch", "example") or not 0 <= probability <= 1 or not 0 <= closing <= 1:
        raise UsageError(
            f"augment {what!r}: alpha must be above 0, per 'batch' or 'example', probability in 0..1 and closing in "
            f"0..1 (a share of the training, not epochs), got {alpha}, {per!r}, {probability} and {closing}"
        )

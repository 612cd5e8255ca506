"""Tables of 256 levels [C 256] uint8, one per channel of an image [C H W] uint8, as PIL computes them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np


def stretched(image: jax.Array) -> jax.Array:
    """Each channel's range to 0..255: int(i * scale + offset), as float64 gives it."""
    low, high = jnp.min(image, axis=(1, 2)), jnp.max(image, axis=(1, 2))
    width = (high - low).astype(jnp.float32)[:, None]
    level = jnp.arange(256, dtype=jnp.int32)
    above = jnp.clip(level - low.astype(jnp.int32)[:, None], 0, 255)
    # The half keeps the quotient of integers away from whole numbers: compilers divide through a reciprocal.
    table = jnp.floor((above * 255 + 0.5) / jnp.maximum(width, 1.0)).astype(jnp.int32)
    words = jnp.asarray(_short_of_floor())[low.astype(jnp.int32), high.astype(jnp.int32)]
    short = (words[:, level // 32] >> (level % 32).astype(jnp.uint32)) & 1
    table = jnp.clip(table - short.astype(jnp.int32), 0, 255)
    table = jnp.where(width > 0, table, level)
    return table.astype(jnp.uint8)


def equalized(image: jax.Array) -> jax.Array:
    """Equal counts per channel, through the integer steps of Pillow."""
    count, height, width = image.shape
    counts = _histograms(image.reshape(count, -1))
    highest = 255 - jnp.argmax(counts[:, ::-1] > 0, axis=1)
    step = (height * width - jnp.take_along_axis(counts, highest[:, None], axis=1)) // 255
    before = jnp.cumsum(counts, axis=1) - counts
    levels = jnp.minimum((step // 2 + before) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, levels, jnp.arange(256)).astype(jnp.uint8)


@jax.custom_batching.custom_vmap
def _histograms(planes: jax.Array) -> jax.Array:
    """[C 256] int32: how often each level is in each of the planes [C P] uint8."""
    at = jnp.arange(len(planes))[:, None] * 256 + planes.astype(jnp.int32)
    counts = jnp.zeros(len(planes) * 256, jnp.int32).at[at.reshape(-1)].add(1, mode="promise_in_bounds")
    return counts.reshape(len(planes), 256)


@_histograms.def_vmap
def _histograms_of_batch(size: int, batched: list[bool], planes: jax.Array) -> tuple[jax.Array, bool]:
    # One scatter, because checkify has no rule for those that vmap makes.
    counts = _histograms(planes.reshape(-1, planes.shape[-1]))
    return counts.reshape(*planes.shape[:-1], 256), True


def look_up(tables: jax.Array, image: jax.Array) -> jax.Array:
    """tables [C 256] applied channel by channel."""
    # Written out by a scatter, which XLA's CPU backend does not repeat for each pixel as it does arithmetic.
    tables = jnp.zeros_like(tables).at[:, jnp.arange(256)].set(tables, unique_indices=True, mode="promise_in_bounds")
    look = jax.vmap(lambda table, plane: table.at[plane.astype(jnp.int32)].get(mode="promise_in_bounds"))
    return look(tables, image)


@functools.lru_cache(maxsize=1)
def _short_of_floor() -> np.ndarray:
    """[256 256 8] uint32: bit i of (low, high) tells that Pillow's float64 stretch of i is one below the exact floor.

    That happens where the exact value is an integer and float64 falls short of it: 12,094 of 2.8 million cases.
    """
    level, high = np.arange(256)[None], np.arange(256)[:, None]
    bits = np.zeros((256, 256, 256), bool)
    for low in range(255):
        width = np.maximum(high - low, 1)
        scale = 255.0 / width
        exact = (level - low) * 255 // width
        bits[low] = (level >= low) & (level <= high) & ((level * scale - low * scale).astype(np.int64) < exact)
    return np.packbits(bits.reshape(256, 256, 8, 32), axis=-1, bitorder="little").view(np.uint32)[..., 0]

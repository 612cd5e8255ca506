"""Tables of 256 levels [C 256] uint8, one per channel of an image [C H W] uint8, as PIL computes them.

On TPUs, whose gathers and scatters cost hundreds of times the memory traffic, levels are compared with all 256 instead,
in one pass over the image; the numbers are the same.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.target import target


def stretch(image: jax.Array) -> jax.Array:
    """Each channel's range to 0..255: int(i * scale + offset), as float64 gives it."""
    low, high = jnp.min(image, axis=(1, 2)), jnp.max(image, axis=(1, 2))
    words = jnp.asarray(_short_of_floor())[low.astype(jnp.int32), high.astype(jnp.int32)]
    if target().platform != "tpu":
        level = jnp.arange(256, dtype=jnp.int32)
        return look_up(_stretched(low, high, level, words[:, level // 32]), image)
    level = image.reshape(len(image), -1).astype(jnp.int32)
    parts = [jnp.where(level // 32 == i, words[:, i, None], 0) for i in range(8)]
    return _stretched(low, high, level, functools.reduce(jnp.bitwise_or, parts)).reshape(image.shape)


def _stretched(low: jax.Array, high: jax.Array, level: jax.Array, word: jax.Array) -> jax.Array:
    """Levels [.. n] int32 of channels with the range low..high [C]; word [C n] of `_short_of_floor` for each."""
    width = (high - low).astype(jnp.float32)[:, None]
    above = jnp.clip(level - low.astype(jnp.int32)[:, None], 0, 255)
    # The half keeps the quotient of integers away from whole numbers: compilers divide through a reciprocal.
    table = jnp.floor((above * 255 + 0.5) / jnp.maximum(width, 1.0)).astype(jnp.int32)
    short = (word >> (level % 32).astype(jnp.uint32)) & 1
    table = jnp.clip(table - short.astype(jnp.int32), 0, 255)
    table = jnp.where(width > 0, table, level)
    return table.astype(jnp.uint8)


def equalize(image: jax.Array) -> jax.Array:
    """Equal counts per channel, through the integer steps of Pillow."""
    return look_up(_equalized(image), image)


def _equalized(image: jax.Array) -> jax.Array:
    count, height, width = image.shape
    planes = image.reshape(count, -1)
    counts = _counted(planes) if target().platform == "tpu" else _histograms(planes)
    highest = 255 - jnp.argmax(counts[:, ::-1] > 0, axis=1)
    step = (height * width - jnp.take_along_axis(counts, highest[:, None], axis=1)) // 255
    before = jnp.cumsum(counts, axis=1) - counts
    levels = jnp.minimum((step // 2 + before) // jnp.maximum(step, 1), 255)
    return jnp.where(step > 0, levels, jnp.arange(256)).astype(jnp.uint8)


def _counted(planes: jax.Array) -> jax.Array:
    """As `_histograms`."""
    return jnp.sum(planes[:, None] == jnp.arange(256, dtype=jnp.uint8)[:, None], axis=2, dtype=jnp.int32)


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
    if target().platform == "tpu":
        same = image.reshape(len(image), 1, -1) == jnp.arange(256, dtype=jnp.uint8)[:, None]
        found = jnp.sum(jnp.where(same, tables[:, :, None].astype(jnp.int32), 0), axis=1)
        return found.reshape(image.shape).astype(jnp.uint8)
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

"""Pixels looked up on TPUs by a kernel in their fast memory; XLA's gather goes through the slow one pixel by pixel.

The kernel takes one image at a time: its channels as the bytes of one word a pixel, in rows of 128 lanes. A block of
8 x 128 pixels of the result meets the rows of the source that it shows some pixel of, eight at a time, and picks from
each by the hardware's permutation of lanes. So the work is that of the rows met, few for a shear, most for a rotation,
and the traffic is that of the images and the places, whatever they are. An image that stays as it is is copied.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from jaxaug.core.sharding import sharded_along
from jaxaug.core.target import target

ROWS, LANES = 8, 128  # of a register
CHANNELS = 4  # bytes of a word
# Above, the image, its places, what is made of both and the next image would not lie in 16 MiB of fast memory.
PIXELS = 384 * 1024


@jax.custom_batching.custom_vmap
def look_up(planes: jax.Array, index: jax.Array) -> jax.Array:
    """Pixels by their places: planes.reshape(C, -1)[:, index], as a kernel where that is possible.

    It is on TPUs for a batch (`vmap`) of uint8 images that fit and, of several devices, are spread over those of
    `traced_for`; elsewhere, and inside of shard_map, which asks of kernels what differs between JAX's releases, this is
    XLA's gather.

    Args:
      planes: [C H W] of any dtype.
      index: [H W] int32 in 0..H*W-1.

    Returns:
      [C H W].
    """
    return _gathered(planes, index)


@look_up.def_vmap
def _of_batch(size: int, batched: list[bool], planes: jax.Array, index: jax.Array) -> tuple[jax.Array, bool]:
    if not batched[1]:
        # The same places in all: more channels of one image, of which a batch may be made yet.
        return look_up(planes.reshape(-1, *index.shape), index).reshape(planes.shape), True
    if not batched[0]:
        planes = jnp.broadcast_to(planes, (size, *planes.shape))
    channels, height, width = planes.shape[1:]
    fits = _up(height, ROWS) * _up(width, LANES) <= PIXELS and channels <= CHANNELS and planes.dtype == jnp.uint8
    spread = _spread(size) if fits else None
    if spread is None:
        return jax.vmap(_gathered)(planes, index), True
    return spread(jax.vmap(by_kernel))(planes, index), True


def _gathered(planes: jax.Array, index: jax.Array) -> jax.Array:
    return planes.reshape(len(planes), -1).at[:, index].get(mode="promise_in_bounds")


def _spread(size: int) -> Any:
    """What gives each device its share of a batch of that size; None where a kernel cannot be."""
    found = target()
    inside_shard_map = bool(jax.sharding.get_abstract_mesh().manual_axes)
    if found.platform != "tpu" or inside_shard_map:
        return None
    if found.mesh is None:
        return (lambda function: function) if jax.device_count() == 1 else None
    if size % found.devices:
        return None
    rows = sharded_along(found.mesh, 0).spec
    # XLA divides no kernel among devices; and of a mesh the kernel's compiler learns for which chip it is.
    return functools.partial(jax.shard_map, mesh=found.mesh, in_specs=(rows, rows), out_specs=rows, check_vma=False)


def by_kernel(planes: jax.Array, index: jax.Array, interpret: bool = False) -> jax.Array:
    """As `look_up`, of at most four planes uint8; with `interpret` on any platform, slowly."""
    height, width = index.shape
    in_lanes = pltpu.VMEM((pl.cdiv(width, LANES), _up(height, ROWS), LANES), jnp.int32)
    return pl.pallas_call(
        _kernel,
        out_shape=jax.ShapeDtypeStruct(planes.shape, planes.dtype),
        scratch_shapes=[in_lanes, in_lanes, in_lanes],
        interpret=interpret,
        cost_estimate=pl.CostEstimate(
            flops=64 * index.size, transcendentals=0, bytes_accessed=2 * planes.size + 4 * index.size
        ),
    )(planes, index)


def _kernel(planes: Any, index: Any, seen: Any, words: Any, rows: Any, columns: Any) -> None:
    """seen [C H W] of planes [C H W] and index [H W]; the others [width/128 H 128] int32 are for what comes between."""
    channels, height, width = planes.shape
    place = index[...]
    still = jnp.all(place == _numbers((height, width), 0) * width + _numbers((height, width), 1))

    @pl.when(still)
    def _() -> None:
        seen[...] = planes[...]

    @pl.when(jnp.logical_not(still))
    def _() -> None:
        row = jax.lax.div(place, width)  # `//` would ask for signs
        column = place - row * width
        for tile, part in _tiles(width):
            bytes_of = [planes[c, :, part].astype(jnp.int32) << (8 * c) for c in range(channels)]
            lanes = part.stop - part.start
            words[tile, :height, :lanes] = functools.reduce(jnp.bitwise_or, bytes_of)
            rows[tile, :height, :lanes], columns[tile, :height, :lanes] = row[:, part], column[:, part]
        _blocks(words, rows, columns, height, width)
        for tile, part in _tiles(width):
            word = rows[tile, :height, : part.stop - part.start]
            for c in range(channels):
                seen[c, :, part] = ((word >> (8 * c)) & 255).astype(jnp.uint8)


def _blocks(words: Any, rows: Any, columns: Any, height: int, width: int) -> None:
    """Put the words at (rows, columns) into `rows`, block by block."""
    tiles = words.shape[0]

    def block(number: jax.Array, nothing: int) -> int:
        tile, top = jax.lax.rem(number, tiles), pl.multiple_of(jax.lax.div(number, tiles) * ROWS, ROWS)
        here = (tile, pl.ds(top, ROWS), slice(None))
        real = (_numbers((ROWS, LANES), 0) + top < height) & (_numbers((ROWS, LANES), 1) + tile * LANES < width)
        row, column = rows[here], jnp.where(real, columns[here], 0)
        first, last = jnp.min(jnp.where(real, row, height)), jnp.max(jnp.where(real, row, 0))
        lane, tile_of = jax.lax.rem(column, LANES), jax.lax.div(column, LANES)

        def eight(group: jax.Array, found: jax.Array) -> jax.Array:
            start = pl.multiple_of(group * ROWS, ROWS)
            for other in range(tiles):
                source, in_tile = words[other, pl.ds(start, ROWS), :], tile_of == other
                for i in range(ROWS):
                    line = jnp.broadcast_to(source[i : i + 1], (ROWS, LANES))
                    permuted = jnp.take_along_axis(line, lane, axis=1, mode="promise_in_bounds")
                    found = jnp.where(in_tile & (row - start == i), permuted, found)
            return found

        # The rows of this block are read, and nobody asks for them again.
        nothing_yet = jnp.zeros((ROWS, LANES), jnp.int32)
        rows[here] = jax.lax.fori_loop(jax.lax.div(first, ROWS), jax.lax.div(last, ROWS) + 1, eight, nothing_yet)
        return nothing

    jax.lax.fori_loop(0, words.shape[1] // ROWS * tiles, block, 0)


def _tiles(width: int) -> list[tuple[int, slice]]:
    """(number, columns) of the parts that 128 lanes hold."""
    return [(i, slice(i * LANES, min((i + 1) * LANES, width))) for i in range(pl.cdiv(width, LANES))]


def _numbers(shape: tuple[int, int], axis: int) -> jax.Array:
    return jax.lax.broadcasted_iota(jnp.int32, shape, axis)


def _up(length: int, unit: int) -> int:
    return pl.cdiv(length, unit) * unit

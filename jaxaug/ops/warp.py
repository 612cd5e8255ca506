"""Where the pixels of an image come from under a draw: one form for every op, and what it leaves to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.ops import float32
from jaxaug.ops.backend import Box, Six
from jaxaug.ops.field import field_area
from jaxaug.ops.records import ExecutionSettings, SampledOps
from jaxaug.ops.registry import IDENTITY, Op


class Geometry(NamedTuple):
    """coefficients [6] of `backend.source`; fill [C] of what that uncovers; box [4] of what is then erased."""

    coefficients: jax.Array
    fill: jax.Array
    box: jax.Array


class Field(NamedTuple):
    """A warp at every pixel [H W]: the places (columns, rows) that are seen, and the area of the source seen there."""

    columns: jax.Array
    rows: jax.Array
    area: jax.Array


def six_of(place: Geometry) -> Six:
    """The coefficients one by one."""
    ax, bx, cx, ay, by, cy = place.coefficients
    return ax, bx, cx, ay, by, cy


def box_of(place: Geometry) -> Box:
    """The edges of the box one by one."""
    top, bottom, left, right = place.box
    return top, bottom, left, right


def coefficients_of(settings: ExecutionSettings, op: Op, drawn: SampledOps, height: int, width: int) -> Six:
    """What `source` takes for a displacement; coefficients that do not depend on the draw are Python numbers."""
    backend = settings.backend
    coefficients = backend.fixed(op.apply(backend, drawn.value, drawn.random, height, width))
    if drawn.fixed is None or not op.of_value_alone:
        return coefficients
    a, b, c, d, e, f = (c if isinstance(c, int) else drawn.fixed[i] for i, c in enumerate(coefficients))
    return a, b, c, d, e, f


def enlarged(settings: ExecutionSettings, op: Op, drawn: SampledOps, height: int, width: int) -> Six:
    """What `source` takes for a resized crop, which shows a box (top, left, rows, columns) as the whole image."""
    top, left, rows, columns = op.apply(settings.backend, drawn.value, drawn.random, height, width)
    return settings.backend.fixed((columns / width - 1.0, 0.0, left, 0.0, rows / height - 1.0, top))


def fill_of(settings: ExecutionSettings, op: Op, channels: int) -> np.ndarray:
    """[C] float32: what a displacement uncovers."""
    return settings.color(channels) if op.fill == "cover" else np.zeros(channels, np.float32)


def geometry(
    settings: ExecutionSettings, drawn: SampledOps, shape: tuple[int, ...], counts: Callable[[Op], bool]
) -> Geometry:
    """Of the op that was drawn for one image [C H W], if `counts(op)`; else of nothing. A warp counts as nothing."""
    channels, height, width = shape
    dtype = jnp.int32 if settings.exact else drawn.value.dtype

    def of_op(op: Op) -> Geometry:
        coefficients, fill, box = settings.backend.fixed((0,) * 6), np.zeros(channels), (1.0, 0.0, 1.0, 0.0)
        if counts(op) and op.kind == "geometric":
            coefficients, fill = coefficients_of(settings, op, drawn, height, width), fill_of(settings, op, channels)
        elif counts(op) and op.kind == "crop_resize":
            coefficients = enlarged(settings, op, drawn, height, width)
        elif counts(op) and op.kind == "erase":
            box = op.apply(settings.backend, drawn.value, drawn.random, height, width)
        return Geometry(_stack(coefficients, dtype), jnp.asarray(fill, jnp.float32), _stack(box, jnp.float32))

    branches = [lambda op=op: _as_drawn(of_op(op), drawn.op) for op in settings.ops]
    return jax.lax.switch(drawn.op, branches) if len(branches) > 1 else branches[0]()


def _as_drawn(tree: Any, op: jax.Array) -> Any:
    """The tree as it is, with the type of what follows from `op`: inside shard_map a constant is of another one."""
    return jax.tree.map(lambda leaf: jnp.where(op < 0, leaf, leaf), tree)


def folds(settings: ExecutionSettings, draw: SampledOps) -> bool:
    """Whether all layers of a draw make one affine map.

    They do in float32, without gates, if all ops are displacements that uncover one color.
    """
    moving = [op for op in settings.ops if op.name != IDENTITY]
    one_color = settings.border == "edge" or len({op.fill for op in moving}) == 1
    return not settings.exact and draw.gate is None and one_color and all(op.kind == "geometric" for op in moving)


def composed(settings: ExecutionSettings, drawn: SampledOps, shape: tuple[int, ...]) -> Six:
    """What `source` takes for all layers [L] of one image's draw at once, if it `folds`."""
    layers = _places(settings, drawn, shape).coefficients.T

    def follow(done: Six, layer: Six) -> tuple[Six, None]:
        return float32.chained(done, layer), None

    # Unrolled, its derivative takes twice as long to compile.
    nothing = _as_drawn(jnp.zeros_like(layers[:, 0]), drawn.op[0])
    return jax.lax.scan(follow, tuple(nothing), tuple(layers))[0]


def visibility_after(
    settings: ExecutionSettings,
    draw: SampledOps,
    softens: tuple[str, ...],
    shape: tuple[int, ...],
    before: jax.Array | None = None,
) -> jax.Array:
    """How much of the original area each pixel shows after a draw, of what it showed before.

    Each pixel is followed back through the layers. If an op named in `softens` uncovered or erased it on its way it
    shows nothing; what other ops uncover or erase goes on showing what is nearest to it. Layers that fold into one map
    lose nothing on the way: what one of them moves out of the image another may bring back.

    Args:
      settings: with which the draw was carried out.
      draw: [B L].
      softens: names of the ops that hide.
      shape: (channels, height, width) of the images.
      before: [B H W], or None for 1 everywhere.

    Returns:
      [B H W] float32.
    """
    draw = draw.replace(score=None)
    return jax.vmap(lambda drawn, before: _visibility(settings, drawn, softens, shape, before))(draw, before)


def _visibility(
    settings: ExecutionSettings,
    draw: SampledOps,
    softens: tuple[str, ...],
    shape: tuple[int, ...],
    before: jax.Array | None,
) -> jax.Array:
    """[H W]: `visibility_after` of one image, draw [L]."""
    backend, (height, width) = settings.backend, shape[1:]
    hiding = [op for op in settings.ops if op.name in softens]
    erases = any(op.kind == "erase" for op in hiding)
    resizes = any(op.kind == "crop_resize" or not op.keeps_area for op in hiding)
    counted = jnp.asarray([name in softens for name in settings.names])
    places = _places(settings, draw, shape)
    start = x, y = backend.grid(height, width)
    visibility, area = jnp.ones((height, width), jnp.float32), jnp.ones((), jnp.float32)
    for layer in reversed(range(len(draw.op))):
        drawn, place = (jax.tree.map(lambda leaf, i=layer: leaf[i], tree) for tree in (draw, places))
        counts, here = counted[drawn.op], (x, y)
        shown = 1.0 - backend.covered(box_of(place), x, y) if erases else 1.0
        shrunk = backend.area(six_of(place)) if resizes else area
        x, y = backend.source(six_of(place), x, y)
        if any(op.kind == "warp" for op in settings.ops):
            x, y, shrunk = _through_field(settings, drawn, here, (x, y, shrunk), (height, width))
        visibility = visibility * jnp.where(counts, shown * backend.inside(x, y, height, width), 1.0)
        area = area * jnp.where(counts, shrunk, 1.0) if resizes else area
        x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    if folds(settings, draw):
        column, row = backend.source(composed(settings, draw, shape), *start)
        seen = backend.inside(column, row, height, width)
        x, y = jnp.where(seen > 0, column, x), jnp.where(seen > 0, row, y)
        everything = all(name in softens or name == IDENTITY for name in settings.names)
        visibility = seen if everything else jnp.maximum(visibility, seen)
    if before is not None:
        at = jnp.clip(jnp.round(y), 0, height - 1), jnp.clip(jnp.round(x), 0, width - 1)
        visibility = visibility * before[at[0].astype(jnp.int32), at[1].astype(jnp.int32)]
    return visibility * area


def _through_field(
    settings: ExecutionSettings,
    drawn: SampledOps,
    here: tuple[jax.Array, jax.Array],
    otherwise: tuple[jax.Array, jax.Array, jax.Array],
    size: tuple[int, int],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(columns, rows, area) of what the warp drawn for one image shows at the places `here`, or else `otherwise`."""
    backend = settings.backend
    x, y = (jnp.broadcast_to(place, size) for place in here)
    found = backend.located(x, y, *size)
    columns, rows, area = (backend.take(plane, found, 0.0) for plane in _field(settings, drawn, size))
    chosen = jnp.asarray([op.kind == "warp" for op in settings.ops])[drawn.op]
    if drawn.gate is not None:
        chosen = chosen & (drawn.gate > 0.5)
    places = *backend.stepped(columns, rows), area
    column, row, shrunk = (jnp.where(chosen, new, old) for new, old in zip(places, otherwise, strict=True))
    return column, row, shrunk


def _field(settings: ExecutionSettings, drawn: SampledOps, size: tuple[int, int]) -> Field:
    """The field of the op that was drawn for one image; zeros if it is no warp."""

    def of_op(op: Op) -> Field:
        if op.kind != "warp":
            return Field(*(jnp.zeros(size, drawn.value.dtype) for _ in range(3)))
        places = op.apply(settings.backend, drawn.value, drawn.random, *size)
        columns, rows = (jnp.broadcast_to(place, size).astype(drawn.value.dtype) for place in places)
        return Field(columns, rows, jnp.ones_like(columns) if op.keeps_area else field_area(columns, rows, jnp))

    branches = [lambda op=op: _as_drawn(of_op(op), drawn.op) for op in settings.ops]
    return jax.lax.switch(drawn.op, branches) if len(branches) > 1 else branches[0]()


def _places(settings: ExecutionSettings, draw: SampledOps, shape: tuple[int, ...]) -> Geometry:
    """The geometry of each layer [L]; that of nothing where the gate is closed."""
    places, gate = jax.vmap(lambda drawn: geometry(settings, drawn, shape, lambda op: True))(draw), draw.gate
    if gate is None:
        return places
    nothing = geometry(settings, jax.tree.map(lambda x: x[0], draw), shape, lambda op: False)
    return jax.tree.map(lambda a, b: jnp.where(gate[:, None] > 0.5, a, b), places, nothing)


def _stack(entries: tuple[Any, ...], dtype: Any) -> jax.Array:
    return jnp.stack([jnp.asarray(entry, dtype) for entry in entries])

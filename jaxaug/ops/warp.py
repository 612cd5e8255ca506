"""Where the pixels of an image go under a draw: one form for every op, and what it leaves of the image to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.ops.records import ExecutionSettings, SampledOps
from jaxaug.ops.registry import Op


class Geometry(NamedTuple):
    """coefficients [6] of `backend.source`; fill [C] of what that uncovers; box [4] of what is then hidden."""

    coefficients: jax.Array
    fill: jax.Array
    box: jax.Array


def coefficients_of(settings: ExecutionSettings, op: Op, drawn: SampledOps, height: int, width: int) -> tuple:
    """The backend that `source` takes for a move; those that do not depend on the draw are Python backend."""
    backend = settings.backend
    coefficients = backend.fixed(op.apply(backend, drawn.value, drawn.random, height, width))
    if drawn.fixed is None or not op.of_value_alone:
        return coefficients
    return tuple(c if isinstance(c, int) else drawn.fixed[i] for i, c in enumerate(coefficients))


def enlarged(settings: ExecutionSettings, op: Op, drawn: SampledOps, height: int, width: int) -> tuple:
    """The same for a resample, which shows a box (top, left, rows, columns) as the whole image."""
    top, left, rows, columns = op.apply(settings.backend, drawn.value, drawn.random, height, width)
    return settings.backend.fixed((columns / width - 1.0, 0.0, left, 0.0, rows / height - 1.0, top))


def fill_of(settings: ExecutionSettings, op: Op, channels: int) -> np.ndarray:
    """[C] float32: what a move uncovers."""
    return settings.colour(channels) if op.fill == "cover" else np.zeros(channels, np.float32)


def geometry(
    settings: ExecutionSettings, drawn: SampledOps, shape: tuple[int, ...], counts: Callable[[Op], bool]
) -> Geometry:
    """That of the op that was drawn for one image [C H W], if `counts(op)`; else that of nothing."""
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

    branches = [lambda op=op: of_op(op) for op in settings.ops]
    return jax.lax.switch(drawn.op, branches) if len(branches) > 1 else branches[0]()


def _stack(entries: tuple[Any, ...], dtype: Any) -> jax.Array:
    return jnp.stack([jnp.asarray(entry, dtype) for entry in entries])


def folds(settings: ExecutionSettings, draw: SampledOps) -> bool:
    """Whether all layers of a draw make one affine map: smooth backend, no gate, moves only, one colour uncovered."""
    moves = [op for op in settings.ops if op.name != "Identity"]
    one_colour = settings.border == "edge" or len({op.fill for op in moves}) == 1
    return not settings.exact and draw.gate is None and one_colour and all(op.kind == "geometric" for op in moves)


def composed(settings: ExecutionSettings, drawn: SampledOps, shape: tuple[int, ...]) -> tuple:
    """The backend that `source` takes for all layers [L] of one image's draw at once, if it `folds`."""
    layers = _places(settings, drawn, shape).coefficients.T

    def follow(done: tuple, layer: tuple) -> tuple[tuple, None]:
        return settings.backend.chained(done, layer), None

    # Unrolled, its derivative takes twice as long to compile.
    return jax.lax.scan(follow, tuple(jnp.zeros_like(layers[:, 0])), tuple(layers))[0]


def visibility_after(
    settings: ExecutionSettings,
    draw: SampledOps,
    softens: tuple[str, ...],
    shape: tuple[int, ...],
    before: jax.Array | None = None,
) -> jax.Array:
    """[B H W] float32: how much of the original area each pixel shows after the draw, of what it showed before [B H W].

    Each pixel is followed back through the layers. If an op named in `softens` uncovered or hid it on its way it shows
    nothing; what other ops uncover or hide goes on showing what is nearest to it. Layers that fold into one map lose
    nothing on the way: what one of them moves out of the image another may bring back.
    """
    backend, (height, width), draw = settings.backend, shape[1:], draw.replace(score=None)
    kinds = {op.kind for op in settings.ops if op.name in softens}
    resizes = any(op.kind == "crop_resize" or not op.keeps_area for op in settings.ops if op.name in softens)
    counted = jnp.asarray([name in softens for name in settings.names])
    everything = all(name in softens or name == "Identity" for name in settings.names)

    def one(draw: SampledOps, before: jax.Array | None) -> jax.Array:
        places = _places(settings, draw, shape)
        start = x, y = backend.grid(height, width)
        visibility, area = jnp.ones((height, width), jnp.float32), jnp.ones((), jnp.float32)
        for layer in reversed(range(len(draw.op))):
            coefficients, box, counts = tuple(places.coefficients[layer]), places.box[layer], counted[draw.op[layer]]
            shown = 1.0 - backend.covered(tuple(box), x, y) if "erase" in kinds else 1.0
            x, y = backend.source(coefficients, x, y)
            visibility = visibility * jnp.where(counts, shown * backend.inside(x, y, height, width), 1.0)
            area = area * jnp.where(counts, backend.area(coefficients), 1.0) if resizes else area
            x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
        if folds(settings, draw):
            column, row = backend.source(composed(settings, draw, shape), *start)
            seen = backend.inside(column, row, height, width)
            x, y = jnp.where(seen > 0, column, x), jnp.where(seen > 0, row, y)
            visibility = seen if everything else jnp.maximum(visibility, seen)
        if before is not None:
            at = jnp.clip(jnp.round(y), 0, height - 1), jnp.clip(jnp.round(x), 0, width - 1)
            visibility = visibility * before[at[0].astype(jnp.int32), at[1].astype(jnp.int32)]
        return visibility * area

    return jax.vmap(one)(draw, before)


def _places(settings: ExecutionSettings, draw: SampledOps, shape: tuple[int, ...]) -> Geometry:
    """That of each layer [L]; that of nothing where the gate is closed."""
    places, gate = jax.vmap(lambda drawn: geometry(settings, drawn, shape, lambda op: True))(draw), draw.gate
    if gate is None:
        return places
    nothing = geometry(settings, jax.tree.map(lambda x: x[0], draw), shape, lambda op: False)
    return jax.tree.map(lambda a, b: jnp.where(gate[:, None] > 0.5, a, b), places, nothing)

"""Where the pixels of an image go under a draw: one form for every op, and what it leaves of the image to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.kinds import Op
from jaxaug.augment.records import Draw, Settings


class Geometry(NamedTuple):
    """coefficients [6] of `numbers.source`; fill [C] of what that uncovers; box [4] of what is then hidden."""

    coefficients: jax.Array
    fill: jax.Array
    box: jax.Array


def coefficients_of(settings: Settings, op: Op, drawn: Draw, height: int, width: int) -> tuple:
    """The numbers that `source` takes for a move; those that do not depend on the draw are Python numbers."""
    numbers = settings.numbers
    coefficients = numbers.fixed(op.apply(numbers, drawn.value, drawn.random, height, width))
    if drawn.fixed is None or not op.signed:
        return coefficients
    return tuple(c if isinstance(c, int) else drawn.fixed[i] for i, c in enumerate(coefficients))


def enlarged(settings: Settings, op: Op, drawn: Draw, height: int, width: int) -> tuple:
    """The same for a resample, which shows a box (top, left, rows, columns) as the whole image."""
    top, left, rows, columns = op.apply(settings.numbers, drawn.value, drawn.random, height, width)
    return settings.numbers.fixed((columns / width - 1.0, 0.0, left, 0.0, rows / height - 1.0, top))


def fill_of(settings: Settings, op: Op, channels: int) -> np.ndarray:
    """[C] float32: what a move uncovers."""
    return settings.colour(channels) if op.fill == "cover" else np.zeros(channels, np.float32)


def geometry(settings: Settings, drawn: Draw, shape: tuple[int, ...], counts: Callable[[Op], bool]) -> Geometry:
    """That of the op that was drawn for one image [C H W], if `counts(op)`; else that of nothing."""
    channels, height, width = shape
    dtype = jnp.int32 if settings.exact else jnp.float32

    def of_op(op: Op) -> Geometry:
        coefficients, fill, box = settings.numbers.fixed((0,) * 6), np.zeros(channels), (1.0, 0.0, 1.0, 0.0)
        if counts(op) and op.kind == "move":
            coefficients, fill = coefficients_of(settings, op, drawn, height, width), fill_of(settings, op, channels)
        elif counts(op) and op.kind == "resample":
            coefficients = enlarged(settings, op, drawn, height, width)
        elif counts(op) and op.kind == "hide":
            box = op.apply(settings.numbers, drawn.value, drawn.random, height, width)
        return Geometry(_stack(coefficients, dtype), jnp.asarray(fill, jnp.float32), _stack(box, jnp.float32))

    branches = [lambda op=op: of_op(op) for op in settings.ops]
    return jax.lax.switch(drawn.op, branches) if len(branches) > 1 else branches[0]()


def _stack(entries: tuple[Any, ...], dtype: Any) -> jax.Array:
    return jnp.stack([jnp.asarray(entry, dtype) for entry in entries])


def mass_after(
    settings: Settings,
    draw: Draw,
    softens: tuple[str, ...],
    shape: tuple[int, ...],
    before: jax.Array | None = None,
) -> jax.Array:
    """[B H W] float32: how much of the original area each pixel shows after the draw, of what it showed before [B H W].

    Each pixel is followed back through the layers. If an op named in `softens` uncovered or hid it on its way it shows
    nothing; what other ops uncover or hide goes on showing what is nearest to it.
    """
    numbers = settings.numbers
    height, width = shape[1:]
    kinds = {op.kind for op in settings.ops if op.name in softens}
    counted = jnp.asarray([name in softens for name in settings.names])
    everything = all(name in softens for name in settings.names)

    def one(draw: Draw, before: jax.Array | None) -> jax.Array:
        places = jax.vmap(lambda drawn: geometry(settings, drawn, shape, lambda op: True))(draw)
        x, y = numbers.grid(height, width)
        mass = jnp.ones((height, width), jnp.float32)
        for layer in reversed(range(len(draw.op))):
            coefficients, box = tuple(places.coefficients[layer]), tuple(places.box[layer])
            shown = jnp.ones((), jnp.float32)
            if "hide" in kinds:
                shown = 1.0 - numbers.covered(box, x, y)
            x, y = numbers.source(coefficients, x, y)
            shown = shown * numbers.inside(x, y, height, width)
            if "resample" in kinds:  # every move keeps areas
                shown = shown * numbers.area(coefficients)
            mass = mass * (shown if everything else jnp.where(counted[draw.op[layer]], shown, 1.0))
            x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
        if before is not None:
            mass = mass * before[jnp.round(y).astype(jnp.int32), jnp.round(x).astype(jnp.int32)]
        return mass

    return jax.vmap(one)(draw.replace(gate=None), before)

"""One draw of operations, carried out in one of two ways that agree bit for bit.

`map`: image after image, a true branch for each op; the form for a CPU core, which then does no work twice.
`fused`: the whole batch at once and branch-free, in stages (one gather for all moves, one select for all tints, one
mask for all hides); the form for accelerators. Both take the ops from `ops` and the numbers from `exact` or `smooth`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.apply import apply_one, coefficients_of, gated, hidden, moved
from jaxaug.augment.kinds import Op
from jaxaug.augment.records import Draw, Sample, Settings


def execute(settings: Settings, draw: Draw, sample: Sample) -> Sample:
    """Carry out draw [B L] on sample [B ...], layer after layer."""
    return {"map": _by_image, "fused": _fused}[settings.scheduler](settings, draw, sample)


def _by_image(settings: Settings, draw: Draw, sample: Sample) -> Sample:
    branches = [functools.partial(apply_one, settings, op) for op in settings.ops]

    def one(args: tuple[Draw, Sample]) -> Sample:
        draw, sample = args

        def layer(i: jax.Array, sample: Sample) -> Sample:
            drawn = jax.tree.map(lambda x: x[i], draw)
            return (
                jax.lax.switch(drawn.op, branches, drawn, sample) if len(branches) > 1 else branches[0](drawn, sample)
            )

        return jax.lax.fori_loop(0, draw.op.shape[0], layer, sample)

    return jax.lax.map(one, (draw, sample))


def _fused(settings: Settings, draw: Draw, sample: Sample) -> Sample:
    stages = [
        jax.vmap(functools.partial(stage, settings))
        for kind, stage in (("move", _move_stage), ("tint", _tint_stage), ("hide", _hide_stage))
        if any(op.kind == kind for op in settings.ops)
    ]
    heavy = [(i, op) for i, op in enumerate(settings.ops) if op.heavy]

    def layer(before: Sample, drawn: Draw) -> tuple[Sample, None]:
        sample = before
        ungated = drawn.replace(gate=None)
        for stage in stages:
            sample = stage(ungated, sample)
        for i, op in heavy:
            sample = jax.lax.cond(
                jnp.any(drawn.op == i),
                functools.partial(_heavy, settings, op, drawn.op == i),
                lambda d, s: s,
                ungated,
                sample,
            )
        return (sample if drawn.gate is None else jax.vmap(gated)(drawn.gate, before, sample)), None

    return jax.lax.scan(layer, sample, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), draw))[0]


def _heavy(settings: Settings, op: Op, chosen: jax.Array, drawn: Draw, sample: Sample) -> Sample:
    after = jax.vmap(functools.partial(apply_one, settings, op))(drawn, sample)
    return jax.tree.map(lambda a, b: jnp.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b), after, sample)


def _select(settings: Settings, kind: str, position: jax.Array, of_op, otherwise):
    """of_op(op) for the op at `position` if it is of that kind, else otherwise(); a select under vmap."""
    branches = [functools.partial(of_op, op) if op.kind == kind and not op.heavy else otherwise for op in settings.ops]
    return jax.lax.switch(position, branches) if len(branches) > 1 else branches[0]()


def _move_stage(settings: Settings, drawn: Draw, sample: Sample) -> Sample:
    channels, height, width = sample.image.shape

    def stacked(coefficients: tuple) -> jax.Array:
        return jnp.stack([jnp.asarray(c, jnp.int32 if settings.exact else jnp.float32) for c in coefficients])

    def of_op(op: Op):
        fill = settings.colour(channels) if op.fill == "cover" else np.zeros(channels, np.float32)
        coefficients = coefficients_of(settings, op, drawn, height, width)
        return stacked(coefficients), jnp.asarray(fill), jnp.asarray(op.name in settings.softens)

    def still():
        return stacked(settings.numbers.fixed((0,) * 6)), jnp.zeros(channels), jnp.asarray(False)

    coefficients, fill, softens = _select(settings, "move", drawn.op, of_op, still)
    return moved(settings, sample, tuple(coefficients), fill, softens)


def _tint_stage(settings: Settings, drawn: Draw, sample: Sample) -> Sample:
    def of_op(op: Op) -> jax.Array:
        return op.apply(settings.numbers, sample.image, drawn.value).astype(sample.image.dtype)

    return sample.replace(image=_select(settings, "tint", drawn.op, of_op, lambda: sample.image))


def _hide_stage(settings: Settings, drawn: Draw, sample: Sample) -> Sample:
    height, width = sample.image.shape[1:]

    def of_op(op: Op):
        box = op.apply(settings.numbers, drawn.value, drawn.random, height, width)
        return jnp.stack([jnp.asarray(edge, jnp.float32) for edge in box]), jnp.asarray(op.name in settings.softens)

    def nothing():
        return jnp.asarray([1.0, 0.0, 1.0, 0.0]), jnp.asarray(False)

    box, softens = _select(settings, "hide", drawn.op, of_op, nothing)
    return hidden(settings, sample, settings.numbers.covered(tuple(box), height, width), softens)

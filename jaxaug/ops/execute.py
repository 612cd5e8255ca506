"""One draw of operations, carried out in one of two ways that agree bit for bit.

`map`: image after image, a true branch for each op; the form for a CPU core, which then does no work twice.
`fused`: the whole batch at once and branch-free, in stages (one gather for all displacements, one select for all color
ops, one mask for all that erase); the form for accelerators. Heavy ops and warps have a pass of their own there, left
out where no image drew them. Both take the backend from the settings: `uint8` or `float32`.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxaug.core.target import target
from jaxaug.ops.apply import apply_one, erased, gated, moved
from jaxaug.ops.backend import Six
from jaxaug.ops.records import ExecutionSettings, Sample, SampledOps
from jaxaug.ops.registry import IDENTITY, Kind, Op
from jaxaug.ops.warp import box_of, composed, fill_of, folds, geometry, six_of


def execute(settings: ExecutionSettings, draw: SampledOps, sample: Sample) -> Sample:
    """Carry out a draw, layer after layer; layers that `folds` allows, as one map.

    Args:
      settings: of the ops and how they are carried out.
      draw: [B L].
      sample: [B ...], see `records.begin_sample`.

    Returns:
      The sample after it, in the same dtype.
    """
    score, draw = draw.score, draw.replace(score=None)
    scheduler = settings.scheduler if settings.scheduler != "auto" else _scheduler()
    if folds(settings, draw):
        after = _folded(settings, draw, sample, scheduler)
    else:
        after = {"map": _by_image, "fused": _fused}[scheduler](settings, draw, sample)
    if score is None:
        return after
    # Of all layers at once: layer by layer, what two of them do together would count twice.
    return after.replace(image=after.image + score[:, None, None, None] * (after.image - sample.image))


def _scheduler() -> str:
    """For what is being traced for: a single CPU device, or others."""
    found = target()
    return "map" if found.platform == "cpu" and found.devices == 1 == jax.device_count() else "fused"


def _folded(settings: ExecutionSettings, draw: SampledOps, sample: Sample, scheduler: str) -> Sample:
    """One gather for all layers: nothing is blurred twice, and nothing is lost between two of them."""
    shape = sample.image.shape[1:]
    fill = fill_of(settings, next(op for op in settings.ops if op.name != IDENTITY), shape[0])

    def one(args: tuple[Six, Sample]) -> Sample:
        coefficients, before = args
        after = moved(settings, before, coefficients, fill)
        return after.replace(image=after.image.astype(before.image.dtype))

    pairs = jax.vmap(lambda drawn: composed(settings, drawn, shape))(draw), sample
    return jax.lax.map(one, pairs) if scheduler == "map" else jax.vmap(one)(pairs)


def _by_image(settings: ExecutionSettings, draw: SampledOps, sample: Sample) -> Sample:
    branches = [functools.partial(apply_one, settings, op) for op in settings.ops]

    def one(args: tuple[SampledOps, Sample]) -> Sample:
        draw, sample = args

        def layer(i: jax.Array, sample: Sample) -> Sample:
            drawn = jax.tree.map(lambda x: x[i], draw)
            if len(branches) == 1:
                return branches[0](drawn, sample)
            return jax.lax.switch(drawn.op, branches, drawn, sample)

        return jax.lax.fori_loop(0, draw.op.shape[0], layer, sample)

    return jax.lax.map(one, (draw, sample))


def _fused(settings: ExecutionSettings, draw: SampledOps, sample: Sample) -> Sample:
    kinds = {op.kind for op in settings.ops if not op.has_own_pass}
    stage = jax.vmap(functools.partial(_stage, settings, kinds))
    heavy = [(i, op) for i, op in enumerate(settings.ops) if op.has_own_pass]

    def layer(before: Sample, drawn: SampledOps) -> tuple[Sample, None]:
        ungated = drawn.replace(gate=None)
        sample = stage(ungated, before)
        for i, op in heavy:
            chosen = drawn.op == i
            carried_out = functools.partial(_heavy, settings, op, chosen)
            sample = jax.lax.cond(jnp.any(chosen), carried_out, lambda drawn, sample: sample, ungated, sample)
        return (sample if drawn.gate is None else jax.vmap(gated)(drawn.gate, before, sample)), None

    return jax.lax.scan(layer, sample, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), draw))[0]


def _stage(settings: ExecutionSettings, kinds: set[Kind], drawn: SampledOps, sample: Sample) -> Sample:
    """Every op without a pass of its own, for one image under vmap: a gather, a select among color ops, a mask."""
    dtype = sample.image.dtype
    place = geometry(settings, drawn, sample.image.shape, lambda op: not op.has_own_pass)
    if "geometric" in kinds:
        sample = moved(settings, sample, six_of(place), place.fill)
    if "color" in kinds:
        image = sample.image

        def colored(op: Op) -> jax.Array:
            here = op.kind == "color" and not op.has_own_pass
            return op.apply(settings.backend, image, drawn.value).astype(dtype) if here else image

        # What a switch becomes under vmap, but inside shard_map it fails where a branch holds a constant array.
        sample = sample.replace(image=jax.lax.select_n(drawn.op, *map(colored, settings.ops)))
    after = erased(settings, sample, box_of(place)) if "erase" in kinds else sample
    return after.replace(image=after.image.astype(dtype))


def _heavy(settings: ExecutionSettings, op: Op, chosen: jax.Array, drawn: SampledOps, sample: Sample) -> Sample:
    after = jax.vmap(functools.partial(apply_one, settings, op))(drawn, sample)
    return jax.tree.map(lambda a, b: jnp.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b), after, sample)

"""One operation on one image and its label map."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.ops import float32
from jaxaug.ops.backend import Box, Six
from jaxaug.ops.records import ExecutionSettings, Sample, SampledOps
from jaxaug.ops.registry import VOID, Op
from jaxaug.ops.resize import crop_and_resize
from jaxaug.ops.warp import coefficients_of, enlarged, fill_of


def apply_one(settings: ExecutionSettings, op: Op, drawn: SampledOps, sample: Sample) -> Sample:
    """One op on one image; `drawn` has no leading axes."""
    backend = settings.backend
    channels, height, width = sample.image.shape
    if op.kind == "color":
        after = sample.replace(image=op.apply(backend, sample.image, drawn.value))
    elif op.kind == "erase":
        after = erased(settings, sample, op.apply(backend, drawn.value, drawn.random, height, width))
    elif op.kind == "geometric":
        coefficients = coefficients_of(settings, op, drawn, height, width)
        after = moved(settings, sample, coefficients, fill_of(settings, op, channels))
    elif op.kind == "warp":
        columns, rows = op.apply(backend, drawn.value, drawn.random, height, width)
        found = backend.located(columns, rows, height, width)
        after = _seen_through(settings, sample, found, fill_of(settings, op, channels))
    else:
        # Bicubic with antialiasing; the label map by its nearest pixels.
        box = op.apply(backend, drawn.value, drawn.random, height, width)
        after = moved(settings, sample, enlarged(settings, op, drawn, height, width), np.zeros(channels))
        after = after.replace(image=backend.rounded(crop_and_resize(sample.image, box, backend.rounded)))
    after = after.replace(image=after.image.astype(sample.image.dtype))
    return gated(drawn.gate, sample, after)


def moved(settings: ExecutionSettings, sample: Sample, coefficients: Six, fill: np.ndarray | jax.Array) -> Sample:
    """The sample after a displacement; fill [C] where it uncovers nothing, unless the border says otherwise."""
    return _seen_through(settings, sample, settings.backend.where_from(coefficients, *sample.image.shape[1:]), fill)


def erased(settings: ExecutionSettings, sample: Sample, box: Box) -> Sample:
    """The image with the cover color in the box (top, bottom, left, right); the label map stays."""
    channels, height, width = sample.image.shape
    amount = settings.backend.covered(box, *settings.backend.grid(height, width))
    color = jnp.asarray(settings.color(channels))[:, None, None]
    return sample.replace(image=settings.backend.cover(sample.image, amount, color))


def gated(gate: jax.Array | None, before: Sample, after: Sample) -> Sample:
    """before + gate * (after - before), for float32 images; the label map of the nearer one."""
    if gate is None:
        return after
    label = jax.tree.map(functools.partial(jnp.where, gate > 0.5), after.label, before.label)
    return after.replace(image=before.image + gate * (after.image - before.image), label=label)


def _seen_through(
    settings: ExecutionSettings, sample: Sample, found: tuple[jax.Array, ...], fill: np.ndarray | jax.Array
) -> Sample:
    """The sample seen at the places `found` of `backend.take`."""
    backend, size = settings.backend, sample.image.shape[1:]
    seen = float32.clamped((found[0], found[1]), *size) if settings.border == "edge" else found
    take = functools.partial(jax.vmap(backend.take, (0, None, 0)), sample.image, seen)
    after = sample.replace(image=take(jnp.asarray(fill).astype(sample.image.dtype)))
    return after if sample.label is None else after.replace(label=backend.take(sample.label, found, VOID))

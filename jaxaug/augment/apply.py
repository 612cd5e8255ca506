"""One operation on one image, its mass and its label map."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.kinds import Op
from jaxaug.augment.records import Draw, Sample, Settings
from jaxaug.augment.resize import crop_and_resize

VOID = -1  # a label map's value where a move uncovers nothing


def apply_one(settings: Settings, op: Op, drawn: Draw, sample: Sample) -> Sample:
    """One op on one image; `drawn` has no leading axes."""
    numbers = settings.numbers
    channels, height, width = sample.image.shape
    if op.kind == "tint":
        after = sample.replace(image=op.apply(numbers, sample.image, drawn.value).astype(sample.image.dtype))
    elif op.kind == "hide":
        amount = numbers.covered(op.apply(numbers, drawn.value, drawn.random, height, width), height, width)
        after = hidden(settings, sample, amount, op.name in settings.softens)
    elif op.kind == "move":
        coefficients = coefficients_of(settings, op, drawn, height, width)
        fill = settings.colour(channels) if op.fill == "cover" else np.zeros(channels, np.float32)
        after = moved(settings, sample, coefficients, fill, op.name in settings.softens)
    else:
        after = _resampled(settings, op, drawn, sample)
    return gated(drawn.gate, sample, after)


def coefficients_of(settings: Settings, op: Op, drawn: Draw, height: int, width: int) -> tuple:
    """The numbers that `where_from` takes; those that do not depend on the draw are Python numbers."""
    numbers = settings.numbers
    coefficients = numbers.fixed(op.apply(numbers, drawn.value, drawn.random, height, width))
    if drawn.fixed is None or not op.signed:
        return coefficients
    return tuple(c if isinstance(c, int) else drawn.fixed[i] for i, c in enumerate(coefficients))


def moved(
    settings: Settings, sample: Sample, coefficients: tuple, fill: np.ndarray | jax.Array, softens: bool | jax.Array
) -> Sample:
    """The sample after a move; only a move that softens is counted in its mass."""
    numbers = settings.numbers
    height, width = sample.image.shape[1:]
    found = numbers.where_from(coefficients, height, width)
    take = functools.partial(jax.vmap(numbers.take, (0, None, 0)), sample.image, found)
    sample = sample.replace(image=take(jnp.asarray(fill).astype(sample.image.dtype)))
    before, scale = sample.mass, sample.scale
    if before is not None:
        mass, area = numbers.take(before, found, 0), numbers.area(coefficients)
        if scale is None:
            sample = sample.replace(mass=_counted(softens, mass * area, before))
        else:
            scale = _counted(softens, scale * area, scale)
            sample = sample.replace(mass=_counted(softens, mass, before), scale=scale)
    if sample.label is not None:
        sample = sample.replace(label=numbers.take(sample.label, found, VOID))
    return sample


def hidden(settings: Settings, sample: Sample, amount: jax.Array, softens: bool | jax.Array) -> Sample:
    """The sample under the cover colour, by amount [H W]."""
    colour = jnp.asarray(settings.colour(sample.image.shape[0]))[:, None, None]
    sample = sample.replace(image=settings.numbers.cover(sample.image, amount, colour))
    if sample.mass is not None:
        mass = (sample.mass * (1.0 - amount)).astype(sample.mass.dtype)
        sample = sample.replace(mass=_counted(softens, mass, sample.mass))
    return sample


def _counted(softens: bool | jax.Array, after: jax.Array, before: jax.Array) -> jax.Array:
    return (after if softens else before) if isinstance(softens, bool) else jnp.where(softens, after, before)


def _resampled(settings: Settings, op: Op, drawn: Draw, sample: Sample) -> Sample:
    """A crop resized to the whole image: bicubic with antialiasing; mass bilinear, label maps by the nearest pixel."""
    channels, height, width = sample.image.shape
    box = op.apply(settings.numbers, drawn.value, drawn.random, height, width)
    image = settings.numbers.rounded(crop_and_resize(sample.image, box))
    top, left, rows, columns = box
    displacement = (columns / width - 1.0, 0.0, left, 0.0, rows / height - 1.0, top)
    floats = dataclasses.replace(settings, exact=False)
    sample = moved(floats, sample, displacement, np.zeros(channels, np.float32), op.name in settings.softens)
    return sample.replace(image=image)


def gated(gate: jax.Array | None, before: Sample, after: Sample) -> Sample:
    """before + gate * (after - before), for float32 samples."""
    if gate is None:
        return after
    seen = jax.tree.map(lambda b, a: b + gate * (a - b), (before.image, before.mass), (after.image, after.mass))
    return after.replace(image=seen[0], mass=seen[1])

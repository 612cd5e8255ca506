"""A policy as a part of a pipeline."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.augment import presets
from jaxaug.augment.draws import draw, known
from jaxaug.augment.exact import rounded
from jaxaug.augment.executors import execute
from jaxaug.augment.ops import OPS, check, find_op
from jaxaug.augment.parts import Part, mass_of
from jaxaug.augment.policies import Policy
from jaxaug.augment.records import Sample, Settings
from jaxaug.errors import UsageError
from jaxaug.types import Batch, Progress, Tree

SCHEDULERS = ("auto", "map", "fused")
ALL = ("all",)


def policy(
    preset: str = "randaugment",
    layers: int = 2,
    magnitude: int = 9,
    file: str = "",
    exact: bool = True,
    softens: tuple[str, ...] = (),
    scheduler: str = "auto",
) -> Part:
    """Augment by a policy: a preset (`presets.every`), or one saved as JSON in `file`.

    layers, magnitude: of the presets that have them. exact: PIL's uint8 numbers, else differentiable float32. softens:
    names of the ops whose moves and cutouts count as hidden in Batch.mass, or ("all",). scheduler: "map" (image by
    image, the default on one CPU device), "fused" (the default elsewhere) or "auto".
    """
    found = Policy.load(file) if file else presets.named(preset, layers, magnitude)
    settings = settings_of(found, exact, softens, scheduler)

    def part(key: jax.Array, batch: Batch, hyper: Tree, progress: Progress) -> Batch:
        return augmented(key, batch, found, settings)

    return part


def settings_of(policy: Policy, exact: bool, softens: tuple[str, ...], scheduler: str) -> Settings:
    """The settings with which a policy is executed. Raises UsageError for unknown names."""
    if scheduler not in SCHEDULERS:
        raise UsageError(f"scheduler must be one of {SCHEDULERS}, got {scheduler!r}")
    names = tuple(OPS) if tuple(softens) == ALL else tuple(find_op(name).name for name in softens)
    if scheduler == "auto":
        scheduler = "map" if jax.default_backend() == "cpu" and jax.device_count() == 1 else "fused"
    return Settings(policy.names, names, policy.cover, exact, scheduler)


def augmented(key: jax.Array, batch: Batch, policy: Policy, settings: Settings) -> Batch:
    """The batch [B H W C] on the 0..255 scale after one draw of the policy for each row."""
    height, width, channels = batch.image.shape[1:]
    for name in policy.names:
        check(name, channels)
    table = known(policy, height, width) if settings.exact else None
    drawn = draw(key, policy, batch.index, table)
    label = batch.label if batch.label.ndim == 3 else None
    sample = begin(batch.image, settings, label)
    if settings.softens and batch.mass is not None:
        sample = sample.replace(mass=mass_of(batch), scale=None)
    sample = execute(settings, drawn, sample)
    batch = batch.replace(image=sample.image.transpose(0, 2, 3, 1))
    batch = batch if label is None else batch.replace(label=sample.label)
    return batch.replace(mass=shown(sample)) if settings.softens else batch


def begin(images: jax.Array, settings: Settings, label: jax.Array | None = None) -> Sample:
    """Images [B H W C] as a sample in the dtype that the numbers want, all of their mass in place if it counts."""
    if settings.exact and images.dtype != jnp.uint8:
        images = rounded(images)
    image = images.transpose(0, 3, 1, 2).astype(jnp.uint8 if settings.exact else jnp.float32)
    if not settings.softens:
        return Sample(image, label=label)
    mass = jnp.ones(images.shape[:3], image.dtype)
    return Sample(image, mass, jnp.ones(len(images)) if settings.exact else None, label)


def shown(sample: Sample) -> jax.Array:
    """[B H W] float32: the mass of a sample."""
    assert sample.mass is not None, "only where something softens"
    return sample.mass if sample.scale is None else sample.mass * sample.scale[:, None, None]

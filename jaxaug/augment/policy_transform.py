"""A policy as a part of a pipeline."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaug.augment.learned_transform import learned_policy_transform
from jaxaug.augment.transform import BatchTransform, visibility_of
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, Sample, SampledOps
from jaxaug.ops.registry import OPS, check_op, find_op
from jaxaug.ops.uint8 import rounded
from jaxaug.ops.warp import visibility_after
from jaxaug.policies import presets
from jaxaug.policies.policy import Array, Policy
from jaxaug.policies.sampling import sample, value_table

SCHEDULERS = ("auto", "map", "fused")
BORDERS = ("fill", "edge")
ALL = ("all",)


@register("augment")
def policy(
    preset: str = "randaugment",
    layers: int = 2,
    magnitude: int = 9,
    file: str = "",
    exact: bool = True,
    softens: tuple[str, ...] = (),
    scheduler: str = "auto",
    learned: str = "",
    border: str = "fill",
) -> BatchTransform:
    """Augment by a policy: a preset (`presets.every`), or one saved as JSON in `file`.

    layers, magnitude: of the presets that have them. exact: PIL's uint8 numbers, else differentiable float32. softens:
    names of the ops whose moves and cutouts count as hidden in Batch.visibility, or ("all",). scheduler: "map" (image by
    image, the default on one CPU device), "fused" (the default elsewhere) or "auto". learned: "shared" or "per_row", a
    `TunedPart` whose probabilities and levels a search may change (`learned.learned_policy`; exact=False). border:
    "fill" what moves uncover with the policy's colour, or repeat the nearest pixel ("edge"; exact=False).
    Raises UsageError for words that are none of these, and for what exact numbers cannot do.
    """
    found = Policy.load(file) if file else presets.named(preset, layers, magnitude)
    settings, counted = execution_settings(found, exact, scheduler, border), softening_ops(softens)
    if learned and exact:
        raise UsageError("augment 'policy.policy': exact numbers have no derivatives; set exact=False with learned")

    def part(key: jax.Array, batch: Batch, meta: Tree, progress: Progress) -> Batch:
        return augment_batch(key, batch, found, settings, counted)

    def relaxed(key: jax.Array, batch: Batch, policy: Policy, rows: jax.Array) -> Batch:
        return augment_batch(key, batch, policy, settings, counted, rows)

    if learned:
        return learned_policy_transform("policy.policy", found, learned, relaxed)
    return part


def execution_settings(policy: Policy, exact: bool, scheduler: str, border: str = "fill") -> ExecutionSettings:
    """The settings with which a policy is executed. Raises UsageError for an unknown scheduler or border, and for
    border="edge" with exact numbers."""
    if scheduler not in SCHEDULERS:
        raise UsageError(f"scheduler must be one of {SCHEDULERS}, got {scheduler!r}")
    if border not in BORDERS:
        raise UsageError(f"border must be one of {BORDERS}, got {border!r}")
    if border == "edge" and exact:
        raise UsageError('border "edge" needs exact=False: PIL fills what a move uncovers')
    if scheduler == "auto":
        scheduler = "map" if jax.default_backend() == "cpu" and jax.device_count() == 1 else "fused"
    return ExecutionSettings(policy.names, policy.cover, exact, scheduler, border)


def softening_ops(names: Sequence[str]) -> tuple[str, ...]:
    """The ops named, all of them for ("all",). Raises UsageError for unknown ones."""
    return tuple(OPS) if tuple(names) == ALL else tuple(find_op(name).name for name in names)


def augment_batch(
    key: jax.Array,
    batch: Batch,
    policy: Policy,
    settings: ExecutionSettings,
    softens: tuple[str, ...] = (),
    rows: jax.Array | None = None,
) -> Batch:
    """The batch [B H W C] on the 0..255 scale after one draw of the policy for each row.

    rows [B]: those of a policy that is learned, drawn with derivatives (None: one that is not).
    """
    height, width = batch.image.shape[1:3]
    if rows is None:
        drawn = sample(key, policy, batch.index, value_table(policy, height, width) if settings.exact else None)
    else:
        drawn = sample(key, policy, rows, relaxed=True)
    return apply_sampled(drawn, batch, settings, softens)


def apply_sampled(drawn: SampledOps, batch: Batch, settings: ExecutionSettings, softens: tuple[str, ...] = ()) -> Batch:
    """The batch [B H W C] after draw [B L]; softens: the ops that hide, for `Batch.visibility`."""
    height, width, channels = batch.image.shape[1:]
    for name in settings.names:
        check_op(name, (height, width, channels))
    label = batch.label if batch.label.ndim == 3 else None
    sample = execute(settings, drawn, begin_sample(batch.image, settings, label))
    if softens or (batch.visibility is not None and batch.mix_ratio is None):
        visibility = visibility_after(settings, drawn, softens, (channels, height, width), visibility_of(batch))
        batch = batch.replace(visibility=visibility)
    batch = batch if label is None else batch.replace(label=sample.label)
    return batch.replace(image=sample.image.transpose(0, 2, 3, 1))


def begin_sample(images: Array, settings: ExecutionSettings, label: jax.Array | None = None) -> Sample:
    """Images [B H W C] as a sample, in the dtype that the numbers want."""
    images = jnp.asarray(images)
    if settings.exact and images.dtype != jnp.uint8:
        images = rounded(images)
    images = images.astype(jnp.uint8 if settings.exact else jnp.float32)
    # Plane by plane: on CPUs half the time of a transpose.
    return Sample(jnp.stack([images[..., c] for c in range(images.shape[3])], axis=1), label)

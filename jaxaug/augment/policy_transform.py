"""A policy as a batch transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxaug.augment.learned_transform import learned_policy_transform
from jaxaug.augment.transform import MOVES, VISIBILITY, BatchTransform, visibility_of
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import Batch, Progress, Tree
from jaxaug.ops.batched import channels_last
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, SampledOps, begin_sample
from jaxaug.ops.registry import OPS, check_op, find_op
from jaxaug.ops.warp import visibility_after
from jaxaug.policies import presets
from jaxaug.policies.policy import Policy
from jaxaug.policies.sampling import sample, value_table

SCHEDULERS = ("auto", "map", "fused")
BORDERS = ("fill", "edge")
ALL = ("all",)
STAYING = ("color", "erase")  # kinds of ops that leave every pixel where it is


@register("augment")
def policy(
    preset: str | Policy = "randaugment",
    num_layers: int = 2,
    magnitude: int = 9,
    file: str = "",
    exact: bool = True,
    softens: tuple[str, ...] = (),
    scheduler: str = "auto",
    learned: str = "",
    border: str = "fill",
) -> BatchTransform:
    """Augment by a policy: a preset, one saved as JSON, or one at hand.

    Args:
      preset: the name of a preset (`policies.list()`), or a `Policy`.
      num_layers: of the presets that have a number of layers.
      magnitude: of the presets that have one.
      file: a policy that `Policy.save` or DeepAA's code (.npz) wrote, instead of a preset.
      exact: PIL's results in uint8, else differentiable float32.
      softens: names of the operations whose moves and holes count as hidden in `Batch.visibility`, or ("all",).
      scheduler: "map", image by image (the default on one CPU device), "fused", the whole batch at once (the default
        elsewhere), or "auto".
      learned: what a search may change: "shared", one policy for all rows; "per_row", one for each training row; or
        "", nothing. Needs exact=False.
      border: "fill" what moves uncover with the policy's color, or repeat the nearest pixel with "edge" (exact=False).

    Raises:
      UsageError: words that are none of these, and what exact results cannot do.
    """
    found = preset if isinstance(preset, Policy) else presets.get(preset, num_layers, magnitude)
    found = presets.load(file) if file else found
    settings, counted = execution_settings(found, exact, scheduler, border), softening_ops(softens)
    if learned and exact:
        raise UsageError("policy: exact results have no derivatives; set exact=False with learned")
    writes = MOVES | VISIBILITY if counted else MOVES
    stays = all(find_op(name).kind in STAYING for name in found.names)
    facts: dict[str, Any] = {"scale": "levels", "reads": MOVES | VISIBILITY, "writes": writes, "keeps_shares": stays}

    def apply(key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        return augment_batch(key, batch, found, settings, counted)

    def relaxed(key: jax.Array, batch: Batch, policy: Policy, rows: jax.Array) -> Batch:
        return augment_batch(key, batch, policy, settings, counted, rows)

    if learned:
        return learned_policy_transform("policy", found, learned, relaxed, **facts)
    return BatchTransform(apply, "policy", **facts)


def execution_settings(policy: Policy, exact: bool, scheduler: str, border: str = "fill") -> ExecutionSettings:
    """The settings with which a policy is executed.

    Raises:
      UsageError: an unknown scheduler or border, and border="edge" with exact results.
    """
    if scheduler not in SCHEDULERS:
        raise UsageError(f"policy: scheduler must be one of {SCHEDULERS}, got {scheduler!r}")
    if border not in BORDERS:
        raise UsageError(f"policy: border must be one of {BORDERS}, got {border!r}")
    if border == "edge" and exact:
        raise UsageError('policy: border "edge" needs exact=False: PIL fills what a move uncovers')
    return ExecutionSettings(policy.names, policy.cover, exact, scheduler, border)


def softening_ops(names: Sequence[str]) -> tuple[str, ...]:
    """The operations named, all of them for ("all",).

    Raises:
      UsageError: unknown ones.
    """
    return tuple(OPS) if tuple(names) == ALL else tuple(find_op(name).name for name in names)


def augment_batch(
    key: jax.Array,
    batch: Batch,
    policy: Policy,
    settings: ExecutionSettings,
    softens: tuple[str, ...] = (),
    rows: jax.Array | None = None,
) -> Batch:
    """The batch after one draw of the policy for each row.

    Args:
      key: of the draw.
      batch: images [B H W C] on the 0..255 scale.
      policy: one for all rows, or one for each.
      settings: with which it is executed.
      softens: the operations that count as hiding in `Batch.visibility`.
      rows: [B] of a learned policy, which is drawn with derivatives (None: of one that is not).
    """
    height, width = batch.image.shape[1:3]
    if rows is None:
        drawn = sample(key, policy, batch.index, value_table(policy, height, width) if settings.exact else None)
    else:
        drawn = sample(key, policy, rows, relaxed=True)
    return apply_sampled(drawn, batch, settings, softens)


def apply_sampled(drawn: SampledOps, batch: Batch, settings: ExecutionSettings, softens: tuple[str, ...] = ()) -> Batch:
    """The batch [B H W C] after what was drawn for it [B L]; softens: the operations that count as hiding."""
    height, width, channels = batch.image.shape[1:]
    for name in settings.names:
        check_op(name, (height, width, channels))
    label = batch.label if batch.label.ndim == 3 else None
    sample = execute(settings, drawn, begin_sample(batch.image, settings, label))
    if softens or (batch.visibility is not None and batch.mix_ratio is None):
        # Where nothing was hidden yet, ones are not looked up pixel by pixel.
        hidden = batch.visibility is not None or batch.mix_ratio is not None
        before = visibility_of(batch) if hidden else None
        visibility = visibility_after(settings, drawn, softens, (channels, height, width), before)
        batch = batch.replace(visibility=visibility)
    batch = batch if label is None else batch.replace(label=sample.label)
    return batch.replace(image=channels_last(sample.image))

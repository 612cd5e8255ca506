"""What a batch transform is, and what transforms share.

A transform sees images on the 0..255 scale, before normalization. One with `soften` writes down what it hid in
`Batch.visibility`, from which soft targets are made; those that move pixels carry a visibility along, and a label map
(`Batch.label` [B H W]) too: where a move uncovers nothing it gets -1, no label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import hint, is_factory
from jaxaug.core.types import Batch, MetaParams, Progress, Tree
from jaxaug.policies.policy import Policy

Apply = Callable[[jax.Array, Batch, Tree, Progress], Batch]
SCALES = ("any", "levels")
FIELDS = frozenset({"image", "visibility", "mix_ratio", "label_map"})
IMAGE = frozenset({"image"})
MOVES = IMAGE | {"label_map"}  # of a transform that takes label maps along
VISIBILITY = frozenset({"visibility"})
AFTER_MIXING = "transforms that soften targets come before those that mix rows: put this one before"


@dataclasses.dataclass(frozen=True, eq=False)  # hashed by identity, so that it may be jitted
class BatchTransform:
    """A change of a batch, with the facts that a pipeline and a trainer check before anything is computed.

    It is called as its function is: `transform(key, batch, shared, progress) -> Batch`.

    Attributes:
      apply: (key, batch, shared, progress) -> Batch, pure; shared: what a search may change for all rows by name
        (`MetaParams.shared`), progress: how far the training is.
      name: under which messages speak of it, and a config chooses it.
      scale: "levels" if its arithmetic is that of gray levels 0..255, so that it has no place after normalization,
        else "any".
      reads: fields of the batch it looks at or moves along, of "image", "visibility", "mix_ratio" and "label_map".
      writes: fields that it changes, or that exist from then on; "visibility" only where it writes down what it hid,
        not where it carries along what was there.
      keeps_shares: whether every part of an image takes up as much of it afterwards, so that the shares of rows that
        were pasted into one another (cutmix) stay true.
      pastes: whether it puts parts of one row into another.
    """

    apply: Apply
    name: str = ""
    scale: str = "any"
    reads: frozenset[str] = IMAGE
    writes: frozenset[str] = IMAGE
    keeps_shares: bool = True
    pastes: bool = False

    def __post_init__(self) -> None:
        name = self.name or "BatchTransform"
        if self.scale not in SCALES:
            raise UsageError(f"{name}: scale must be one of {SCALES}, got {self.scale!r}")
        for field in sorted({*self.reads, *self.writes} - FIELDS):
            raise UsageError(f"{name}: reads and writes name fields of a batch, {hint(field, sorted(FIELDS))}")

    def __call__(self, key: jax.Array, batch: Batch, shared: Tree, progress: Progress) -> Batch:
        return self.apply(key, batch, shared, progress)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LearnedTransform(BatchTransform):
    """A transform of which a search may change something.

    It finds what the search made of it in `batch.per_example` and in `shared`, by the names of `meta`.

    Attributes:
      meta: what a search may change, as it begins.
      policy: the policy that the offsets in meta belong to.
      results: (MetaParams of some rows, labels [B], num_classes) -> {name: [B ...]}, what was learned about each row;
        empty where all rows share it.
    """

    meta: MetaParams
    policy: Policy
    results: Callable[[MetaParams, jax.Array, int], dict[str, jax.Array]]


def as_transform(transform: Any) -> BatchTransform:
    """A BatchTransform as it is, a function (key, batch, shared, progress) -> Batch as one that may stand anywhere.

    Raises:
      UsageError: what cannot be called, or a function of `augment` that was not.
    """
    if isinstance(transform, BatchTransform):
        return transform
    if isinstance(transform, str):
        raise UsageError(
            f"a transform is what a function such as augment.flip() returns, or a policy, got a name: use "
            f"augment.{transform}() or policies.get({transform!r})"
        )
    if is_factory("augment", transform):
        raise UsageError(
            f"call what gives a transform: augment.{transform.__name__}(), not augment.{transform.__name__}"
        )
    if not callable(transform):
        raise UsageError(
            f"a transform is what a function such as augment.flip() returns, or a function (key, batch, shared, "
            f"progress) -> Batch, got {transform!r}"
        )
    return BatchTransform(transform, getattr(transform, "__name__", type(transform).__name__))


def check_scale(after: list[BatchTransform]) -> None:
    """Raises UsageError for a transform of gray levels among those that run after normalization."""
    for one in after:
        if one.scale == "levels":
            raise UsageError(f"{one.name}: works on the 0..255 scale: put it into `train`, not into `after`")


def check_order(transforms: Sequence[BatchTransform], after: Sequence[BatchTransform], size: int) -> None:
    """Check that what comes after a mixing of rows leaves its shares as they are.

    Args:
      transforms: in order, those before normalization.
      after: those after it.
      size: side of the square that is cut from the middle between them; 0: all.

    Raises:
      UsageError: rows are mixed twice, what is hidden of mixed rows is written down, or images are moved or cut after
        parts of others were pasted into them.
    """
    pasting = [one.name for one in transforms if one.pastes]
    if size and pasting:
        raise UsageError(
            f"{pasting[0]}: its shares would be wrong once the middle is cut out (size): put it into `after`"
        )
    mixing = pasted = ""
    for one in (*transforms, *after):
        if pasted and not one.keeps_shares:
            raise UsageError(f"{one.name}: moves what {pasted} has pasted, whose shares would be wrong: put it before")
        if mixing and "mix_ratio" in one.writes:
            raise UsageError(f"{one.name}: {mixing} has mixed the rows already: keep one of them")
        if mixing and "visibility" in one.writes:
            raise UsageError(f"{one.name}: {AFTER_MIXING} {mixing}")
        mixing = one.name if "mix_ratio" in one.writes else mixing
        pasted = one.name if one.pastes else pasted


def visibility_of(batch: Batch) -> jax.Array:
    """[B H W] float32: `batch.visibility`, one for every pixel if nothing was hidden yet; for transforms that hide.

    Raises:
      UsageError: rows were mixed before, so that their shares would no longer be known apart.
    """
    if batch.mix_ratio is not None:
        raise UsageError(f"{AFTER_MIXING} mixing")
    return jnp.ones(batch.image.shape[:3], jnp.float32) if batch.visibility is None else batch.visibility


def moved_label(batch: Batch, move: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """`batch.label`, moved if it is a label map: move takes and gives [B H W 1] int32."""
    return move(batch.label[..., None])[..., 0] if batch.label.ndim == 3 else batch.label


def refuse_label_map(name: str, batch: Batch, instead: str) -> None:
    """For transforms that make no sense for label maps.

    Args:
      name: of the transform.
      instead: what to do.

    Raises:
      UsageError: the batch has a label map.
    """
    if batch.label.ndim == 3:
        raise UsageError(f"{name}: label maps are not supported, {instead}")


def check_probability(name: str, probability: float) -> None:
    """Raises UsageError for a probability outside of 0..1."""
    if not 0 <= probability <= 1:
        raise UsageError(f"{name}: probability must be in 0..1, got {probability}")


def check_closing(name: str, closing: float) -> None:
    """Raises UsageError for what `closing_phase` has no meaning for."""
    if not (0 <= closing < 1 or (closing >= 1 and closing % 1 == 0)):
        raise UsageError(
            f"{name}: closing must be a share of the epochs in 0..1, or their number from 1, got {closing}"
        )


def closing_phase(progress: Progress, closing: float) -> jax.Array:
    """[] bool: is this one of the last epochs? closing: below 1 their share of the training, else their number.

    Raises:
      UsageError: their number where it is not known how many epochs there are.
    """
    if closing >= 1:
        if progress.epochs is None:
            raise UsageError(f"closing is {closing} epochs, but how many there are is not known: give a share below 1")
        closing = min(closing / progress.epochs, 1.0)
    # Less than one epoch of 100,000, more than the rounding of a float32 next to 1.
    return progress.epoch >= 1.0 - closing - 1e-6

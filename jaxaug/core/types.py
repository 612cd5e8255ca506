"""The records that travel between data, model and losses.

Shape letters, used in every docstring: B examples of a batch, N rows of the training set, H W C image,
K classes, D features. Every record is a pytree; none of them is ever changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

Tree = Any


class MetaParams(flax.struct.PyTreeNode):
    """The tunable description of the data: what a search may change, by name.

    per_example: {name: tree of [N ...]}, one entry for each training row ([B ...] for the rows of a batch; without that
    axis where a transform says with what every row begins). shared: {name: tree}, the same for all rows.
    """

    per_example: dict[str, Tree] = flax.struct.field(default_factory=dict)
    shared: dict[str, Tree] = flax.struct.field(default_factory=dict)


def merge_meta_params(parts: Iterable[MetaParams]) -> MetaParams:
    """One record of what several transforms let a search change; each name is one's own."""
    per_example: dict[str, Tree] = {}
    shared: dict[str, Tree] = {}
    for part in parts:
        per_example |= part.per_example
        shared |= part.shared
    return MetaParams(per_example, shared)


class Batch(flax.struct.PyTreeNode):
    """What the data stage hands over.

    image: [B H W C], uint8 (or float on the same 0..255 scale) until `augment` normalises it to float32.
    label: [B] int32, 0..K-1; -1 marks a row without a label (padding), which no loss, statistic or metric counts.
        Or a label map [B H W] with -1 for void pixels, which transforms that move pixels take along.
    index: [B] int32, the stable number of the row in its data set.
    visibility: [B H W] float32 or None: how much area of the original image each pixel still shows, in pixels.
        Transforms that soften targets transport it (None: nothing was hidden).
    mix_ratio: [B] float32 or None: the share of a row's own label where it was mixed with the row before it, as
        `jnp.roll(x, 1, axis=0)` brings them together (None: not mixed).
    per_example: {name: tree of [B ...]}: what a search may change about each row (None: nothing).
    """

    image: jax.Array
    label: jax.Array
    index: jax.Array
    visibility: jax.Array | None = None
    mix_ratio: jax.Array | None = None
    per_example: dict[str, Tree] | None = None

    @property
    def labelled(self) -> jax.Array:
        """[B] (or [B H W]) bool: whether a row has a label; what has none enters no loss, statistic or metric."""
        return self.label >= 0

    @property
    def visible_fraction(self) -> jax.Array:
        """[B] float32 in 0..1: the share of the original image that is still seen, the mean of `visibility`."""
        if self.visibility is None:
            return jnp.ones(self.label.shape[:1], jnp.float32)
        return jnp.clip(jnp.mean(self.visibility, axis=(1, 2)), 0.0, 1.0)


class ModelOutput(flax.struct.PyTreeNode):
    """What a model says of a batch: features [B D], logits [B K] = features @ kernel [D K] + bias [K].

    Of networks for label maps features and logits are maps [B h w D] and [B h w K], as coarse as the network makes
    them. auxiliary: what a second head says of the same batch in training, None where there is none.
    """

    features: jax.Array
    logits: jax.Array
    kernel: jax.Array
    bias: jax.Array
    auxiliary: ModelOutput | None = None


class Progress(flax.struct.PyTreeNode):
    """How far the training is, as fractions in [0, 1): `step` of all steps, `epoch` of all epochs, completed.

    epochs: how many there are, None where that is not known.
    """

    step: jax.Array
    epoch: jax.Array
    epochs: int | None = flax.struct.field(pytree_node=False, default=None)


class LossInputs(flax.struct.PyTreeNode):
    """One batch on its way to one number: sum(weight * (cross_entropy(targets, logits) + extra)) / rows with a label.

    A loss transform may replace logits [B K], targets [B K], weight [B] and extra [B], and may read the rest. meta:
    `MetaParams.shared`.
    """

    logits: jax.Array
    targets: jax.Array
    weight: jax.Array
    extra: jax.Array
    output: ModelOutput
    batch: Batch
    meta: Tree
    progress: Progress | None


class LossTransform(NamedTuple):
    """Pure functions that change a loss, as optax's GradientTransformationExtraArgs changes updates.

    init: (num_classes, num_features, **extras) -> state; every transform accepts extras it has no use for, such as
        class_counts [K], the training rows of each class.
    apply: (state, LossInputs) -> (state, LossInputs).
    meta: num_classes -> what a search may change of it, as it begins (None: nothing); apply finds it again in
        `Batch.per_example` and `LossInputs.meta`.
    name: under which its state stands in that of a chain.
    results: (meta of some rows, their labels [B], num_classes) -> {name: [B ...]}, what a search has learned about
        each row, for `per_example.npz` (None: nothing).
    reads, writes: what apply looks at and what it changes, by which parts that contradict each other are refused
        before anything is computed. Of "logits", "targets", "weight" and "extra", and of "dominant", the class of a
        row's largest target; reads also of "label", "visibility", "mix_ratio", "features", "kernel" and "progress". One
        that writes targets without reading them makes them anew. None: undeclared, so that nothing is concluded.
    """

    init: Callable[..., Tree]
    apply: Callable[[Tree, LossInputs], tuple[Tree, LossInputs]]
    meta: Callable[[int], MetaParams] | None = None
    name: str = ""
    results: Callable[[MetaParams, jax.Array, int], dict[str, jax.Array]] | None = None
    reads: frozenset[str] | None = None
    writes: frozenset[str] | None = None


class TrainState(flax.struct.PyTreeNode):
    """Everything a training needs to go on: all of it is checkpointed.

    step: [] int32, optimiser steps taken. params, model_state: the model's parameters, and what else it carries, such
    as BatchNorm statistics. opt_state: of optax. loss_state: of the loss transforms. meta: what a search may change,
    search_state: what the search keeps besides.
    key: typed PRNG key of the run; step t uses `fold_in(key, t)`, which is what makes a resumed run exact.
    task_state: what the task keeps, such as a teacher. average: {"params", "model_state"}, an average of both that is
        kept beside them, () where there is none.
    """

    step: jax.Array
    params: Tree
    model_state: Tree
    opt_state: Tree
    loss_state: Tree
    meta: MetaParams
    search_state: Tree
    key: jax.Array
    task_state: Tree = ()
    average: Tree = ()

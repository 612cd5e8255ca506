"""The one objective: `(params, meta, state, batch, key) -> (loss, aux)`, and the same cut in two for a search.

Training differentiates it in params, a search in meta.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.target import target
from jaxaug.core.types import Batch, LossInputs, LossTransform, MetaParams, ModelOutput, Progress, TrainState, Tree
from jaxaug.models.api import AUXILIARY_HEAD, apply_head, apply_model, get_subtree, replace_subtree
from jaxaug.models.nnx_model import kept_where_frozen
from jaxaug.search.base import BilevelProblem, PerExampleInputs
from jaxaug.tasks.base import Aux, Task

Objective = Callable[..., tuple[jax.Array, Aux]]
HEAD = "head"


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a training is made of.

    augment: of `augment.build_pipeline`. chain: of the losses. groups: in how many parts a batch is given to the model
    in training, each with BatchNorm statistics of its own, of which the mean is kept. strong: as augment, of a task's
    strong views. labelled: rows of a batch that come before those without a label. accumulate: in how many
    micro-batches the model is given a batch in training, one after the other.
    """

    task: Task
    model: Any
    augment: Callable[..., Batch]
    chain: LossTransform
    steps_per_epoch: int
    epochs: int
    groups: int = 1
    strong: Callable[..., Batch] | None = None
    labelled: int = 0
    frozen: Callable[[str], bool] | None = None
    accumulate: int = 1

    def progress(self, step: jax.Array) -> Progress:
        """How far the training is before step number `step` [] (from 0)."""
        share = step / (self.steps_per_epoch * self.epochs)
        return Progress(share, (step // self.steps_per_epoch) / self.epochs, self.epochs)

    def trained(self, params: Tree, model_state: Tree, image: jax.Array, key: jax.Array) -> tuple[ModelOutput, Tree]:
        """(what the model says of normalised images as it is trained, its state after it)."""
        output, state = self._in_micro_batches(params, model_state, image, key)
        # A mean of several equal numbers need not be that number.
        return output, kept_where_frozen(model_state, state, self.frozen)

    def _in_micro_batches(
        self, params: Tree, model_state: Tree, image: jax.Array, key: jax.Array
    ) -> tuple[ModelOutput, Tree]:
        """As `trained`.

        Micro-batches are given to the model in a scan that keeps none of what it computes inside: a derivative runs the
        model on each again. So the losses see what it says of the whole batch, whatever they compare across its rows,
        and their derivative is that of the whole batch, with the memory of a micro-batch. Of the states after each,
        such as BatchNorm's, which knows its own micro-batch alone, the mean is kept.
        """
        count = self.accumulate
        if count == 1:
            return self._in_groups(params, model_state, image, key)
        if len(image) % (count * self.groups):
            raise UsageError(f"config.accumulate: {len(image)} images cannot be divided into {count} micro-batches")

        # XLA's convolutions take ten times as long inside of a loop on a CPU. Outside of one no memory is saved there.
        unrolled = target().platform == "cpu"

        @functools.partial(jax.checkpoint, prevent_cse=False)  # nothing can be shared across a scan's steps anyway
        def one(params: Tree, image: jax.Array, key: jax.Array) -> tuple[ModelOutput, Tree]:
            output, state = self._in_groups(params, model_state, image, key)
            return _without_heads(output), state

        def step(carry: None, given: tuple[jax.Array, jax.Array]) -> tuple[None, tuple[ModelOutput, Tree]]:
            return carry, one(params, *given)

        parts = _divided(image, count, self.groups), jax.random.split(key, count)
        output, states = jax.lax.scan(step, None, parts, unroll=unrolled)[1]
        output = _with_heads(jax.tree.map(lambda x: _joined(x, self.groups), output), params)
        return output, jax.tree.map(_mean_or_last, states)

    def _in_groups(self, params: Tree, model_state: Tree, image: jax.Array, key: jax.Array) -> tuple[ModelOutput, Tree]:
        """As `trained`, of one micro-batch."""
        if self.groups == 1:
            return self._apply(params, model_state, image, key)
        image, keys = image.reshape(self.groups, -1, *image.shape[1:]), jax.random.split(key, self.groups)

        def of_groups(params: Tree, model_state: Tree, image: jax.Array, keys: jax.Array) -> tuple[ModelOutput, Tree]:
            def apply(image: jax.Array, key: jax.Array) -> tuple[ModelOutput, Tree]:
                output, state = self._apply(params, model_state, image, key)
                return _without_heads(output), state

            output, states = jax.vmap(apply)(image, keys)
            return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), output), jax.tree.map(_mean_or_last, states)

        mesh = target().mesh
        run = of_groups if mesh is None or self.groups % mesh.size else _by_device(of_groups, mesh)
        output, state = run(params, model_state, image, keys)
        return _with_heads(output, params), state

    def _apply(self, params: Tree, model_state: Tree, image: jax.Array, key: jax.Array) -> tuple[ModelOutput, Tree]:
        return apply_model(self.model, params, model_state, image, train=True, key=key, frozen=self.frozen)

    def evaluated(self, params: Tree, model_state: Tree, image: jax.Array) -> ModelOutput:
        """What the model says of normalised images, as it is evaluated."""
        return apply_model(self.model, params, model_state, image, train=False)[0]


def _by_device(of_groups: Callable, mesh: Mesh) -> Callable:
    """`of_groups` with each device's groups on that device alone, which sends no statistics while it computes.

    The derivative in the parameters is summed over the devices once, in the parameters' own precision: XLA sums what a
    convolution in bfloat16 gives in bfloat16.
    """
    whole, spread = PartitionSpec(), PartitionSpec(mesh.axis_names)

    def of_device(*given: Any) -> tuple[ModelOutput, Tree]:
        output, state = of_groups(*given)
        return output, jax.tree.map(lambda x: jax.lax.pmean(x, mesh.axis_names) if _is_real(x) else x, state)

    places = (whole, whole, spread, spread)
    # Unchecked, so that the sum is taken of what leaves, the parameters' gradient, and not of each cast copy.
    return jax.shard_map(of_device, mesh=mesh, in_specs=places, out_specs=(spread, whole), check_vma=False)


def _divided(rows: jax.Array, count: int, groups: int) -> jax.Array:
    """Rows [G n ...] as micro-batches [k, G n / k ...], with every k-th row of each group.

    Each device then has as many rows of every micro-batch, and none has to be moved.
    """
    rows = rows.reshape(groups, -1, count, *rows.shape[1:])
    return jnp.moveaxis(rows, 2, 0).reshape(count, -1, *rows.shape[3:])


def _joined(rows: jax.Array, groups: int) -> jax.Array:
    """The rows [G n ...] of micro-batches [k, G n / k ...], where they were before `_divided`."""
    rows = rows.reshape(len(rows), groups, -1, *rows.shape[2:])
    return jnp.moveaxis(rows, 0, 2).reshape(-1, *rows.shape[3:])


def _mean_or_last(states: jax.Array) -> jax.Array:
    return jnp.mean(states, axis=0) if _is_real(states) else states[-1]


def _is_real(values: jax.Array) -> bool:
    return jnp.issubdtype(values.dtype, jnp.inexact)


def _without_heads(output: ModelOutput) -> ModelOutput:
    """The output without the heads' parameters, of which a scan would make copies."""
    auxiliary = None if output.auxiliary is None else _without_heads(output.auxiliary)
    return output.replace(kernel=None, bias=None, auxiliary=auxiliary)


def _with_heads(output: ModelOutput, params: Tree, which: str = HEAD) -> ModelOutput:
    head = apply_head(params[which], output.features)
    auxiliary = None if output.auxiliary is None else _with_heads(output.auxiliary, params, AUXILIARY_HEAD)
    return output.replace(kernel=head.kernel, bias=head.bias, auxiliary=auxiliary)


def make_objective(parts: Parts) -> Objective:
    """objective(params, meta, state, batch, key): augment -> model -> loss chain -> one number.

    batch: a raw `Batch`; meta: that of its rows; key: of this step. Everything random in it comes from `key`. A task
    may have an objective of its own, which is given this one.
    """

    def objective(params: Tree, meta: MetaParams, state: TrainState, batch: Batch, key: jax.Array):
        progress = parts.progress(state.step)
        augment_key, model_key = jax.random.split(key)
        batch = batch.replace(per_example=meta.per_example)
        batch = parts.augment(batch, meta.shared, augment_key, progress, train=True)
        output, model_state = parts.trained(params, state.model_state, batch.image, model_key)
        inputs = parts.task.loss_inputs(output, batch, meta.shared, progress)
        loss_state, inputs = parts.chain.apply(state.loss_state, inputs)
        sums = parts.task.train_sums(output, batch)
        return losses.mean_loss(inputs), Aux(model_state, loss_state, sums, state.task_state)

    own = getattr(parts.task, "objective", None)
    return objective if own is None else own(parts, objective)


def make_per_example_inputs(parts: Parts, chain: LossTransform | None) -> PerExampleInputs:
    """(params, state, batch) -> LossInputs of a raw batch, for `losses.per_example_loss`.

    The model is as evaluated, and nothing is augmented but what was before. chain: None for the plain loss.
    """

    def per_example_inputs(params: Tree, state: TrainState, batch: Batch) -> LossInputs:
        progress = parts.progress(state.step)
        batch = parts.augment(batch, state.meta.shared, None, None, train=False)
        output = parts.evaluated(params, state.model_state, batch.image)
        inputs = parts.task.loss_inputs(output, batch, state.meta.shared, progress)
        return inputs if chain is None else chain.apply(state.loss_state, inputs)[1]

    return per_example_inputs


def make_bilevel_problem(parts: Parts, part: tuple[str, ...]) -> BilevelProblem:
    """The objective for a part of the parameters: a path such as ("head",) or ("head", "kernel"); () for all."""
    split = HeadSplit(parts, part)

    def own(state: TrainState) -> Tree:
        return get_subtree(state.params, part)

    def features(meta: MetaParams, state: TrainState, batch: Batch, key: jax.Array):
        progress = parts.progress(state.step)
        batch = batch.replace(per_example=meta.per_example)
        batch = parts.augment(batch, meta.shared, key, progress, train=True)
        arrays = {
            "seen": split.seen(state, batch),
            "per_example": batch.per_example,
            "visibility": batch.visibility,
            "mix_ratio": batch.mix_ratio,
        }
        return arrays, batch.replace(per_example=None, visibility=None, mix_ratio=None)

    def train_inputs(params: Tree, shared: Tree, arrays: dict[str, Any], rest: Batch, state: TrainState) -> LossInputs:
        batch = rest.replace(**{name: arrays[name] for name in ("per_example", "visibility", "mix_ratio")})
        output = split.output(params, state, arrays["seen"])
        inputs = parts.task.loss_inputs(output, batch, shared, parts.progress(state.step))
        return parts.chain.apply(state.loss_state, inputs)[1]

    def val_loss(state: TrainState, batch: Batch) -> Callable[[Tree], jax.Array]:
        batch = parts.augment(batch, state.meta.shared, None, None, train=False)
        # A barrier, or XLA writes out for both forward passes what they share, such as BatchNorm's factors for each
        # pixel: on a CPU the search step took half as long again.
        params, model_state = jax.lax.optimization_barrier((state.params, state.model_state))
        seen = split.seen(state.replace(params=params, model_state=model_state), batch)
        progress = parts.progress(state.step)

        def loss(params: Tree) -> jax.Array:
            output = split.output(params, state, seen)
            return losses.mean_loss(parts.task.loss_inputs(output, batch, {}, progress))

        return loss

    return BilevelProblem(own, features, train_inputs, val_loss)


class HeadSplit(NamedTuple):
    """A model, as evaluated, in two: what comes before a part of its parameters, and what that part makes of it."""

    parts: Parts
    part: tuple[str, ...]

    def seen(self, state: TrainState, batch: Batch) -> jax.Array:
        """What the part works on: features [B D], or images [B H W C]."""
        if self.part[:1] != (HEAD,):
            return batch.image
        return self.parts.evaluated(state.params, state.model_state, batch.image).features

    def output(self, params: Tree, state: TrainState, seen: jax.Array) -> ModelOutput:
        """What the model says with these parameters of the part."""
        params = replace_subtree(state.params, self.part, params)
        if self.part[:1] == (HEAD,):
            return apply_head(params[HEAD], seen)
        return self.parts.evaluated(params, state.model_state, seen)

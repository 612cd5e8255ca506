"""Losses: a chain of transforms on logits, targets and weights, then one cross-entropy.

The order is the chain's: transforms of targets first, then of logits, then of weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot, as_slots, instantiate, slot_name
from jaxaug.core.types import (
    Batch,
    LossInputs,
    LossTransform,
    MetaParams,
    ModelOutput,
    Progress,
    Tree,
    merge_meta_params,
)
from jaxaug.losses._order import check_order, joint_fields

UNNAMED = "transform"  # what a transform without a name is called in the state of a chain


def cross_entropy(targets: jax.Array, logits: jax.Array) -> jax.Array:
    """-sum_k targets_k log softmax(logits)_k, example by example.

    Args:
      targets: [B K] floats, not necessarily one-hot; an example of zeros gives 0.
      logits: [B K]; -inf rules a class out, which costs nothing where its target is 0.

    Returns:
      [B], float32 or better.
    """
    log_probability = jax.nn.log_softmax(at_least_float32(logits), axis=-1)
    return -jnp.sum(targets * finite_where_unused(log_probability, targets), axis=-1)


def finite_where_unused(log_probability: jax.Array, factor: jax.Array) -> jax.Array:
    """log_probability [B K], but 0 where it is -inf and its factor [B K] is 0: 0 log 0 = 0 in value and derivatives."""
    return jnp.where((factor == 0) & jnp.isneginf(log_probability), 0.0, log_probability)


def at_least_float32(tree: Tree) -> Tree:
    """A tree of floats in their common precision, which is float32 or better; half precision is for storage."""
    dtype = jnp.result_type(jnp.float32, *jax.tree.leaves(tree))
    return jax.tree.map(lambda x: x if x.dtype == dtype else x.astype(dtype), tree)


def cross_entropy_inputs(output: ModelOutput, batch: Batch, meta: Tree, progress: Progress | None) -> LossInputs:
    """The inputs of plain cross-entropy: one-hot targets and weight 1, both 0 without a label; extra 0.

    Args:
      output: of the model for the batch; half precision is promoted to float32, once for all transforms.
      batch: with labels [B]; those outside 0..K-1 become -1, which no loss, statistic or divisor counts.
      meta: what a search may change for all rows together, `MetaParams.shared`; {} or None without one.
      progress: how far the training is, None where that is not known.
    """
    output, num_classes = at_least_float32(output), output.logits.shape[-1]
    batch = batch.replace(label=jnp.where(has_class(batch.label, num_classes), batch.label, -1))
    targets = jax.nn.one_hot(batch.label, num_classes, dtype=output.logits.dtype)
    weight = batch.labelled.astype(output.logits.dtype)
    return LossInputs(output.logits, targets, weight, jnp.zeros_like(weight), output, batch, meta, progress)


def has_class(label: jax.Array, num_classes: int) -> jax.Array:
    """[...] bool: whether a label [...] int is one of 0..num_classes-1; any other number is no label."""
    return (label >= 0) & (label < num_classes)


def per_example_loss(inputs: LossInputs) -> jax.Array:
    """weight * (cross_entropy(targets, logits) + extra) -> [B]: what each adds to the loss, before the division."""
    return inputs.weight * (cross_entropy(inputs.targets, inputs.logits) + inputs.extra)


def mean_loss(inputs: LossInputs) -> jax.Array:
    """The sum of `per_example_loss` over the number of examples with a label -> []; 0 if there are none."""
    return jnp.sum(per_example_loss(inputs)) / jnp.maximum(jnp.sum(inputs.batch.labelled), 1)


def chain(*transforms: LossTransform | tuple[str, LossTransform], **named: LossTransform) -> LossTransform:
    """Apply transforms in order, as optax's named chain does. An empty chain is plain cross-entropy.

    Its state is a dict {name: state of that transform}; a second transform of the same name has "_1" added, and so on.

    Args:
      *transforms: each a LossTransform, or a pair (name, LossTransform) to call it so.
      **named: further transforms, by the names they are to have.

    Raises:
      UsageError: two transforms are given the same name, one of them is not a LossTransform, or one undoes or outdates
        what another did before it, as far as they declare what they read and write.
    """
    members = _named_members([*transforms, *named.items()])
    check_order(members)

    def init(num_classes: int, num_features: int = 0, *, class_counts: Any = None, **extras: Any) -> dict[str, Tree]:
        check_sizes("chain", num_classes, num_features)
        if class_counts is not None:
            if jnp.shape(class_counts) != (num_classes,):
                raise UsageError(f"chain: class_counts must be [{num_classes}], got {list(jnp.shape(class_counts))}")
            extras["class_counts"] = class_counts
        return {name: _init(name, t, num_classes, num_features, extras) for name, t in members.items()}

    def apply(state: Mapping[str, Tree], inputs: LossInputs) -> tuple[dict[str, Tree], LossInputs]:
        if not isinstance(state, Mapping) or set(state) != set(members):
            found = sorted(state) if isinstance(state, Mapping) else type(state).__name__
            raise UsageError(f"chain: its state must be that of its own init, with {sorted(members)}, got {found}")
        after = {}
        for name, transform in members.items():
            after[name], inputs = transform.apply(state[name], inputs)
        return after, inputs

    def meta(num_classes: int) -> MetaParams:
        return merge_meta_params([t.meta(num_classes) for t in members.values() if t.meta is not None])

    def results(meta: MetaParams, labels: jax.Array, num_classes: int) -> dict[str, jax.Array]:
        found: dict[str, jax.Array] = {}
        for transform in members.values():
            found |= transform.results(meta, labels, num_classes) if transform.results is not None else {}
        return found

    return LossTransform(init, apply, meta, "chain", results, *joint_fields(members.values()))


def stateless(
    apply: Callable[[LossInputs], LossInputs],
    meta: Callable[[int], MetaParams] | None = None,
    *,
    name: str = "",
    results: Callable[[MetaParams, jax.Array, int], dict[str, jax.Array]] | None = None,
    reads: Iterable[str] | None = None,
    writes: Iterable[str] | None = None,
) -> LossTransform:
    """A transform that keeps no state.

    Args:
      apply: LossInputs -> LossInputs.
      meta: see `LossTransform`, as are name and results.
      name: under which its empty state stands in that of a chain.
      results: what a search has learned about each row.
      reads: what apply looks at, see `LossTransform`; None says nothing of it.
      writes: what it changes.
    """
    fields = (None if given is None else frozenset(given) for given in (reads, writes))

    def init(num_classes: int, num_features: int = 0, **extras: Any) -> tuple[()]:
        return ()

    return LossTransform(init, lambda state, inputs: (state, apply(inputs)), meta, name, results, *fields)


def learned_or_initial(values: Mapping[str, Tree] | None, name: str, initial: Mapping[str, Tree]) -> Tree:
    """values[name] as a search left it, or initial[name] where none searches it.

    values is `Batch.per_example` or `LossInputs.meta`.
    """
    return (values or {}).get(name, initial[name])


def learned_factor(inputs: LossInputs, name: str) -> jax.Array:
    """exp of the number [] that all rows share under this name: what a search multiplies by, 1 without one."""
    return jnp.exp(learned_or_initial(inputs.meta, name, {name: jnp.zeros(())})).astype(inputs.weight.dtype)


def create(slots: Slot | Sequence[Slot]) -> LossTransform:
    """The chain of the transforms that slots name, in order, for example ("label_smoothing", {"name": "isda"}).

    A transform of one's own that has no name is called by the last word of its slot's.

    Raises:
      UsageError: an unknown name or option, with what is close.
    """
    transforms = []
    for slot in as_slots(slots):
        transform, name = instantiate("loss", slot), slot_name(slot)
        if not isinstance(transform, LossTransform):
            raise UsageError(f"loss {name!r} must return a LossTransform, got {type(transform).__name__}")
        transforms.append(transform if transform.name else transform._replace(name=name.rpartition(".")[2]))
    return chain(*transforms)


def check_choices(name: str, choices: Mapping[str, Sequence[str]], **given: str) -> None:
    """Raises UsageError for an option of a loss that is none of its choices."""
    for what, value in given.items():
        if value not in choices[what]:
            raise UsageError(f"{name}: {what} must be one of {choices[what]}, got {value!r}")


def check_sizes(what: str, num_classes: int, num_features: int, least_features: int = 0) -> None:
    """Raises UsageError unless both are whole numbers, num_classes from 1 and num_features from least_features."""
    for name, value, least in (("num_classes", num_classes, 1), ("num_features", num_features, least_features)):
        try:
            valid = int(value) == value >= least
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise UsageError(f"{what}: {name} must be a whole number of at least {least}, got {value!r}")


def _named_members(given: Sequence[Any]) -> dict[str, LossTransform]:
    """{name: transform} in order; the names given with a transform come first, the others make way."""
    pairs = [("", one) if isinstance(one, LossTransform) else one for one in given]
    taken: set[str] = set()
    for pair in pairs:
        if not isinstance(pair, tuple) or [type(x) for x in pair] != [str, LossTransform]:
            raise UsageError(f"chain: takes LossTransforms, alone or as pairs (name, LossTransform), got {pair!r}")
        if pair[0] and pair[0] in taken:
            raise UsageError(f"chain: two transforms are called {pair[0]!r}")
        taken.add(pair[0])
    members: dict[str, LossTransform] = {}
    for name, transform in pairs:
        if not name:
            own, number = transform.name or UNNAMED, 0
            name = own
            while name in taken:
                number += 1
                name = f"{own}_{number}"
            taken.add(name)
        members[name] = transform
    return members


def _init(name: str, transform: LossTransform, num_classes: int, num_features: int, extras: Mapping[str, Any]) -> Tree:
    """The state of a transform that is passed those extras that its init takes."""
    parameters = list(inspect.signature(transform.init).parameters.values())
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        further = [p for p in parameters[2:] if p.kind is not p.VAR_POSITIONAL]
        missing = [p.name for p in further if p.default is p.empty and p.name not in extras]
        if missing:
            raise UsageError(f"chain: {name!r} needs {', '.join(missing)}: init(..., {missing[0]}=...)")
        extras = {p.name: extras[p.name] for p in further if p.name in extras}
    return transform.init(num_classes, num_features, **extras)

"""Models: one file per family, each with a `class Model`; here is the one way to build, start and call them.

A model is Linen and returns (features [B D], logits [B K]), float32; its classifier is a Dense named `head`.
Parameters and BatchNorm statistics travel as explicit pytrees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.types import ModelOutput, Tree


def create(name: str, *, num_classes: int, **options: Any) -> nn.Module:
    """The network of a name (`list_names("model")`, or the dotted name of one's own) with these options.

    Raises:
      UsageError: an unknown name or option, with what is close; or an option out of range.
    """
    return instantiate("model", {"name": name, **options}, num_classes)


def init_model(model: nn.Module, key: jax.Array, image_shape: tuple[int, ...]) -> tuple[Tree, Tree]:
    """(params, stats) for images [H W C]. `jax.eval_shape` of it gives the shapes at no cost."""
    variables: Any = model.init({"params": key, "dropout": key}, jnp.zeros((1, *image_shape)), train=False)
    return variables["params"], variables.get("batch_stats", {})


def apply_model(
    model: nn.Module,
    params: Tree,
    stats: Tree,
    image: jax.Array,
    *,
    train: bool,
    key: jax.Array | None = None,
) -> tuple[ModelOutput, Tree]:
    """Outputs for normalised images [B H W C], and the statistics after them (the same ones if not `train`).

    key: needed for training a model with dropout or another random layer.
    """
    rngs = {} if key is None else {"dropout": key}
    variables = {"params": params, "batch_stats": stats}
    if train:
        (features, logits), changed = model.apply(variables, image, train=True, rngs=rngs, mutable=["batch_stats"])
        stats = changed.get("batch_stats", stats)
    else:
        features, logits = model.apply(variables, image, train=False)
    return ModelOutput(features, logits, params["head"]["kernel"], params["head"]["bias"]), stats


def apply_head(head: Tree, features: jax.Array) -> ModelOutput:
    """What a model with this head says of features [B D]."""
    return ModelOutput(features, features @ head["kernel"] + head["bias"], head["kernel"], head["bias"])


def get_subtree(params: Tree, path: tuple[str, ...]) -> Tree:
    """The sub-tree at a path of names; () for all of it. Raises UsageError, with the names there are, if it is none."""
    for name in path:
        if not isinstance(params, Mapping) or name not in params:
            there = ", ".join(params) if isinstance(params, Mapping) else "no names below"
            raise UsageError(f"the model has no part {'/'.join(path)!r}: {name!r} is not among {there}")
        params = params[name]
    return params


def replace_subtree(params: Tree, path: tuple[str, ...], part: Tree) -> Tree:
    """params with the sub-tree at a path replaced."""
    return {**params, path[0]: replace_subtree(params[path[0]], path[1:], part)} if path else part


def without_norms(params: Tree, part: tuple[str, ...] = ()) -> dict[tuple[str, ...], jax.Array]:
    """path -> array of the params below `part`, but for the scales and shifts of normalisation layers."""
    get_subtree(params, part)  # a mistake in the path shows here
    flat = flatten_dict(params)
    norms = {path[:-1] for path in flat if path[-1] == "scale"}
    return {path: x for path, x in flat.items() if path[: len(part)] == part and path[:-1] not in norms}


def replace_arrays(params: Tree, arrays: Mapping[tuple[str, ...], jax.Array]) -> Tree:
    """params with the arrays at these paths replaced, as `without_norms` names them."""
    return unflatten_dict({**flatten_dict(params), **arrays})

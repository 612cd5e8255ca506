"""One way to create, start and call a network, whichever of Flax's two libraries it is written in.

A model has *features and a head*: `model(image, train=...)` returns (features [B D], logits [B K]), float32, or the
features alone, and its classifier is a Dense (Linen) or Linear (NNX) layer named `head`. Networks for label maps return
maps, features [B h w D] and logits [B h w K], and may return in training, as a third, the same pair of a second head, a
layer named `auxiliary_head`. Parameters and BatchNorm statistics travel as plain nested dicts of arrays.
"""

from __future__ import annotations

import contextlib
import fnmatch
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxaug.core.arguments import as_key
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import call, check_options, list_names, resolve
from jaxaug.core.types import ModelOutput, Tree
from jaxaug.models.nnx_model import NNXModel, takes
from jaxaug.models.precision import InPrecision, check_precision, in_float32

Model = nn.Module | NNXModel | InPrecision
"""What `create` returns: a Linen module, an NNX one behind pure functions, or either with parameters rounded."""
HEAD, AUXILIARY_HEAD = "head", "auxiliary_head"


def create(name: str, *, num_classes: int, precision: str = "float32", **options: Any) -> Model:
    """The network of a name with these options; no parameter is drawn yet.

    Args:
      name: of a registered model (`models.list()`), or the dotted name of one's own: a Linen or NNX module that takes
        `num_classes`, or a function that returns one. An NNX module is given `rngs` if it takes them.
      num_classes: K, how many classes the head tells apart.
      precision: "float32", or "bfloat16" to compute in it: an option `dtype` of the model says so to its layers, and
        one without it is given rounded parameters and images. Parameters, statistics and logits are float32.
      **options: of the model.

    Raises:
      UsageError: an unknown name or option, with what is close; or an option out of range.
    """
    check_precision(precision)
    if precision != "float32":
        if not takes(resolve("model", name), "dtype"):
            return InPrecision(create(name, num_classes=num_classes, **options), precision, (HEAD, AUXILIARY_HEAD))
        options["dtype"] = precision
    component, what = resolve("model", name), f"model {name!r}"
    if not takes(component, "num_classes"):
        raise UsageError(f"{what} must take num_classes, the number of classes")
    if (inspect.isclass(component) and issubclass(component, nnx.Module)) or takes(component, "rngs"):
        return _nnx_model(what, component, {"num_classes": num_classes, **options})
    model = call(what, component, options=options, num_classes=num_classes)
    if isinstance(model, nnx.Module):
        return _nnx_model(what, component, {"num_classes": num_classes, **options})
    if not isinstance(model, nn.Module):
        raise UsageError(f"{what} must be a Linen or NNX module, got {type(model).__name__}")
    return model


def _nnx_model(what: str, constructor: Callable[..., nnx.Module], options: dict[str, Any]) -> NNXModel:
    given = {name: value for name, value in options.items() if name != "rngs"}
    check_options(what, constructor, given)
    model = NNXModel(constructor, **given)
    _ = model.structure  # a mistake in its options shows here
    return model


def list_models(pattern: str = "*") -> list[str]:
    """The names of all registered models that match a pattern such as "*resnet*", sorted."""
    return fnmatch.filter(list_names("model"), pattern)


def init_model(model: Model, key: jax.Array | int, image_shape: tuple[int, ...]) -> tuple[Tree, Tree]:
    """The state that a training begins with; `jax.eval_shape` of it gives the shapes at no cost.

    Args:
      model: from `create`, or any Linen module with features and a head.
      key: what the parameters are a function of, or a whole number as its seed.
      image_shape: (H, W, C).

    Returns:
      (params, model_state): the parameters, and BatchNorm's statistics (an empty dict where there are none).

    Raises:
      UsageError: the model has no head, or image_shape is another.
    """
    key = as_key("init_model", key)
    if isinstance(model, InPrecision):
        return init_model(model.model, key, image_shape)
    if isinstance(model, NNXModel):
        params, model_state = model.init(key)
    else:
        if len(image_shape) != 3:
            raise UsageError(f"init_model: image_shape must be (H, W, C), got {image_shape}")
        params, model_state = _init_linen(model, key, jnp.zeros((1, *image_shape)))
    _head_of(_name_of(model), params)
    return params, model_state


def _init_linen(model: nn.Module, key: jax.Array, image: jax.Array) -> tuple[Tree, Tree]:
    rngs = {"params": key, "dropout": key}
    variables: Any = model.init(rngs, image, **_mode(model, False))
    if "head" not in variables.get("params", {}):
        # A model that returns its features alone need not have called its head, which Linen then has not made.
        def with_head(module: Any, image: jax.Array) -> None:
            features = module(image, **_mode(model, False))
            if isinstance(features, jax.Array) and isinstance(getattr(module, "head", None), nn.Module):
                module.head(features)

        variables = model.init(rngs, image, method=with_head)
    unknown = set(variables) - {"params", "batch_stats"}
    if unknown:
        raise UsageError(f"{_name_of(model)}: its state must be in 'batch_stats', got {', '.join(sorted(unknown))}")
    return variables.get("params", {}), variables.get("batch_stats", {})


def apply_model(
    model: Model,
    params: Tree,
    model_state: Tree,
    image: jax.Array,
    *,
    train: bool,
    key: jax.Array | int | None = None,
    frozen: Callable[[str], bool] | None = None,
) -> tuple[ModelOutput, Tree]:
    """What a model says of images, a pure function.

    Args:
      model: from `create`, or any Linen module with features and a head.
      params: its parameters.
      model_state: its BatchNorm statistics.
      image: [B H W C] float32, normalised.
      train: whether BatchNorm uses the batch and layers such as dropout are random.
      key: needed for training a model with dropout or another random layer; or a whole number as its seed.
      frozen: whether the layer at a path such as "stage1_block1/BatchNorm_0" is not trained: its BatchNorm then uses
        its running statistics, which stay. In an NNX model whose call takes `train` they only stay.

    Returns:
      (output, model_state after it: the same one if not `train`).

    Raises:
      UsageError: the model returns something else than features [B D] and logits [B K], or maps of them.
    """
    key = None if key is None else as_key("apply_model", key)
    if isinstance(model, InPrecision):
        given = model.rounded(params), model_state, model.image(image)
        output, after = apply_model(model.model, *given, train=train, key=key, frozen=frozen)
        return in_float32(output, after, model_state)
    if isinstance(model, NNXModel):
        out, model_state = model.apply(params, model_state, image, train=train, key=key, frozen=frozen)
    else:
        rngs = {} if key is None else {"dropout": key}
        variables = {"params": params, "batch_stats": model_state}
        if train:
            mode = _mode(model, True)
            with _running_statistics(frozen):
                out, changed = model.apply(variables, image, **mode, rngs=rngs, mutable=["batch_stats"])
            model_state = changed.get("batch_stats", model_state)
        else:
            out = model.apply(variables, image, **_mode(model, False))
    return _output_of(_name_of(model), out, params), model_state


def _running_statistics(frozen: Callable[[str], bool] | None) -> contextlib.AbstractContextManager:
    """While a Linen model is called, the batch norms of frozen layers work as evaluated."""

    def intercept(call: Callable, args: Any, options: Any, context: Any) -> Any:
        norm = context.module
        if frozen is None or not isinstance(norm, nn.BatchNorm) or not frozen("/".join(norm.path)):
            return call(*args, **options)
        # Whoever made the layer may have told it otherwise, and only one of the two may.
        object.__setattr__(norm, "use_running_average", None)
        return call(*args[:1], **{**options, "use_running_average": True})

    return contextlib.nullcontext() if frozen is None else nn.intercept_methods(intercept)


def apply_head(head: Tree, features: jax.Array) -> ModelOutput:
    """What a model with this head says.

    Args:
      head: {"kernel": [D K], "bias": [K]}; without a bias it is 0.
      features: [B D], or maps [B h w D].
    """
    kernel, bias = head["kernel"], _bias_of(head)
    return ModelOutput(features, features @ kernel + bias, kernel, bias)


def _output_of(name: str, out: Any, params: Tree, which: str = HEAD) -> ModelOutput:
    """The record of what a model returned; shapes alone are looked at, while it is traced."""
    if isinstance(out, tuple | list) and len(out) == 3:
        auxiliary = _output_of(name, out[2], params, AUXILIARY_HEAD)
        return _output_of(name, out[:2], params).replace(auxiliary=auxiliary)
    head = _head_of(name, params, which)
    pair = isinstance(out, tuple | list)
    if (pair and len(out) != 2) or not all(hasattr(x, "ndim") for x in (out if pair else [out])):
        got = f"{type(out).__name__} of {len(out)}" if pair else type(out).__name__
        raise UsageError(f"{name}: it must return (features [B D], logits [B K]), or features alone, got a {got}")
    features = out[0] if pair else out
    num_features, num_classes = head["kernel"].shape
    if features.ndim not in (2, 4) or features.shape[-1] != num_features:
        raise UsageError(
            f"{name}: its features must be [B {num_features}], what its {which} takes, or maps of them "
            f"[B h w {num_features}], got shape {features.shape}"
        )
    if not pair:
        return apply_head(head, features)
    if out[1].shape != (*features.shape[:-1], num_classes):
        raise UsageError(f"{name}: its logits must be [B {num_classes}], got shape {out[1].shape}")
    return ModelOutput(features, out[1], head["kernel"], _bias_of(head))


def _bias_of(head: Tree) -> jax.Array:
    return head["bias"] if "bias" in head else jnp.zeros(head["kernel"].shape[1:], head["kernel"].dtype)


def _head_of(name: str, params: Tree, which: str = HEAD) -> Tree:
    """The parameters of the classifier."""
    head = params.get(which) if isinstance(params, Mapping) else None
    if not isinstance(head, Mapping) or getattr(head.get("kernel"), "ndim", 0) != 2:
        parts = ", ".join(sorted(map(str, params))) or "none"
        raise UsageError(
            f"{name}: its classifier must be a Dense (Linen) or Linear (NNX) layer named {which!r}; its layers "
            f"with parameters are: {parts}"
        )
    return head


def _mode(model: nn.Module, train: bool) -> dict[str, Any]:
    """What a Linen module is told about training: nothing if it does not ask."""
    return {"train": train} if takes(type(model).__call__, "train") else {}


def _name_of(model: Model) -> str:
    return model.name if isinstance(model, NNXModel) else type(model).__name__


def get_subtree(params: Tree, path: tuple[str, ...]) -> Tree:
    """The sub-tree at a path.

    Args:
      params: a nested dict.
      path: names from the root on, such as ("head",); () for all of it.

    Raises:
      UsageError: nothing lies there, with the names there are.
    """
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

"""NNX modules as pure functions of plain nested dicts of arrays, which is what everything else here works on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxaug.core.errors import UsageError
from jaxaug.core.types import Tree


class _Layout(NamedTuple):
    """How a part of an NNX state lies in a plain nested dict: the path of each leaf, in the order of the treedef."""

    paths: tuple[tuple[str, ...], ...]
    treedef: Any

    def to_dict(self, state: Any) -> dict[str, Any]:
        """The arrays of a state, which may hold more than this layout has (what a call has recorded)."""
        found = _arrays_of(state)
        return unflatten_dict({path: found[path] for path in self.paths})

    def to_state(self, tree: Tree) -> Any:
        """The state that holds the arrays of a nested dict."""
        found = flatten_dict(tree)
        return jax.tree.unflatten(self.treedef, [found[path] for path in self.paths])


class _Structure(NamedTuple):
    """What is left of a module without its arrays.

    streams: shapes and dtypes of its random keys, and of the numbers of how often each was used.
    """

    graphdef: Any
    params: _Layout
    model_state: _Layout
    streams: Any


class NNXModel:
    """An NNX module that is yet to be made: its constructor and the options it takes.

    NNX modules hold their arrays. Here they stay apart: `init` gives the parameters and the rest of the state as plain
    nested dicts, `apply` takes them. Random streams are no part of either, as each call is given its key. Two are
    equal where constructor and options are; it is hashable.

    Args:
      constructor: a subclass of `nnx.Module`, or a function that returns a module. If it takes `rngs`, its parameters
        are drawn from them, and so are a function of the key of `init`.
      **options: what else it takes.
    """

    def __init__(self, constructor: Callable[..., nnx.Module], **options: Any) -> None:
        self.constructor = constructor
        self.options = options

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NNXModel):
            return NotImplemented
        return (self.constructor, self.options) == (other.constructor, other.options)

    def __hash__(self) -> int:
        return hash((self.constructor, tuple(sorted(self.options))))

    def __repr__(self) -> str:
        return f"NNXModel({', '.join([self.name, *(f'{k}={v!r}' for k, v in self.options.items())])})"

    @property
    def name(self) -> str:
        """The constructor's name."""
        return getattr(self.constructor, "__name__", repr(self.constructor))

    def build(self, key: jax.Array | int = 0) -> nnx.Module:
        """The module itself, its parameters drawn from a key."""
        return self.constructor(**self.options, **({"rngs": nnx.Rngs(key)} if takes(self.constructor, "rngs") else {}))

    def init(self, key: jax.Array) -> tuple[dict[str, Any], dict[str, Any]]:
        """(params, model_state), a pure function of the key; model_state holds BatchNorm's statistics and the like."""
        structure = self.structure
        params, _, rest = _split(self.build(key))[1:]
        return structure.params.to_dict(params), structure.model_state.to_dict(rest)

    def apply(
        self,
        params: Tree,
        model_state: Tree,
        image: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
        frozen: Callable[[str], bool] | None = None,
    ) -> tuple[Any, Tree]:
        """(what the module returns, its state after that), a pure function.

        Args:
          params: as `init` gives them.
          model_state: as `init` gives it.
          image: [B H W C] float32.
          train: is handed to a call that has an argument of that name; otherwise the module is put into its training
            or evaluation mode.
          key: for dropout and the like, a stream of random numbers of each layer's own.
          frozen: whether the layer at a path, names joined with "/", is not trained: its state then stays, and a batch
            norm that was not told otherwise uses it.

        Raises:
          UsageError: there is no key to train a module with that has random layers.
        """
        structure = self.structure
        if key is None and train and jax.tree.leaves(structure.streams):
            where = ", ".join(sorted({path[0] for path in _arrays_of(structure.streams)}))
            raise UsageError(f"{self.name}: it is random in training ({where}) and needs a key")
        states = (
            structure.params.to_state(params),
            _begin(structure.streams, key),
            structure.model_state.to_state(model_state),
        )
        module = nnx.merge(structure.graphdef, *states)
        if takes(type(module).__call__, "train"):
            out = module(image, train=train)
        else:
            module.train() if train else module.eval()
            for path, layer in nnx.iter_graph(module):  # `iter_modules` is not in Flax 0.12.0
                if frozen is not None and isinstance(layer, nnx.BatchNorm) and frozen("/".join(map(str, path))):
                    layer.eval()
            out = module(image)
        if not train:
            return out, model_state
        return out, kept_where_frozen(model_state, structure.model_state.to_dict(_split(module)[3]), frozen)

    @functools.cached_property
    def structure(self) -> _Structure:
        """The module without its arrays; none of them is computed for it."""
        kept: list[Any] = []

        def split() -> Any:
            module = self.build()
            if not isinstance(module, nnx.Module):
                raise UsageError(f"{self.name}: it must give an NNX module, got {type(module).__name__}")
            graphdef, *states = _split(module)
            kept.append(graphdef)
            return states

        params, streams, rest = jax.eval_shape(split)
        return _Structure(kept[0], _layout_of(params), _layout_of(rest), streams)


def kept_where_frozen(before: Tree, after: Tree, frozen: Callable[[str], bool] | None) -> Tree:
    """The state after a call, in frozen layers that before it."""
    if frozen is None:
        return after
    old = flatten_dict(before)
    return unflatten_dict(
        {path: old[path] if frozen("/".join(path[:-1])) else x for path, x in flatten_dict(after).items()}
    )


def _begin(streams: Any, key: jax.Array | None) -> Any:
    """The random streams at the start of a call: stream i has fold_in(key, i), unused so far."""
    leaves, treedef = jax.tree.flatten(streams)
    key = jax.random.key(0) if key is None else key

    def one(i: int, leaf: Any) -> jax.Array:
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.zeros(leaf.shape, leaf.dtype)
        own = jax.random.fold_in(key, i)
        return jax.random.split(own, leaf.shape) if leaf.shape else own

    return jax.tree.unflatten(treedef, [one(i, leaf) for i, leaf in enumerate(leaves)])


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function, or the constructor of a class, has an argument of this name."""
    return name in inspect.signature(function.__init__ if inspect.isclass(function) else function).parameters


def _split(module: nnx.Module) -> tuple[Any, ...]:
    """(graphdef, parameters, random streams, all other state)."""
    return nnx.split(module, nnx.Param, nnx.RngState, ...)


def _arrays_of(state: Any) -> dict[tuple[str, ...], Any]:
    """path -> array, with names for numbers: a dict with both could not be sorted."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {tuple(str(k.key) for k in path if isinstance(k, jax.tree_util.DictKey)): leaf for path, leaf in leaves}


def _layout_of(state: Any) -> _Layout:
    return _Layout(tuple(_arrays_of(state)), jax.tree.structure(state))

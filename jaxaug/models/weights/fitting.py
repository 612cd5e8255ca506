"""Weights that were trained elsewhere, fitted to a network that is to be trained: all of it, or all but its head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick
from jaxaug.core.types import Tree
from jaxaug.models.api import AUXILIARY_HEAD, HEAD
from jaxaug.models.vit import POSITION_EMBEDDING, resize_positions

PARTS = ("params", "model_state")
HEADS = ("auto", "keep", "new")
BACKBONE = "backbone"  # of networks for label maps
MOST_NAMED = 5
Path = tuple[str, ...]


class Fitted(NamedTuple):
    """Weights that a network takes.

    Attributes:
      params, model_state: the arrays to begin with, float32; those of a head that begins anew are not there.
      told: one line, what was taken and what begins anew.
    """

    params: Tree
    model_state: Tree
    told: str


def fit(params: Tree, model_state: Tree, expected: tuple[Tree, Tree], *, head: str = "auto") -> Fitted:
    """The weights of a network as another one of the same family takes them.

    A position embedding of another size of images is resized. A network for label maps takes those of a classifier for
    its backbone, and the rest of it begins anew.

    Args:
      params, model_state: arrays, from `weights.load` or a checkpoint.
      expected: (params, model_state) of the network to be trained, arrays or their shapes.
      head: "auto" takes the head if its shapes are right, as "keep" always does; "new" never does.

    Raises:
      UsageError: arrays are missing, left over or of another shape, with the names.
    """
    pick("head", head, dict.fromkeys(HEADS))
    if BACKBONE in expected[0] and BACKBONE not in params and head != "keep":
        return _of_classifier(params, model_state, expected)
    found, wanted = _flat(params, model_state), _flat(*expected)
    heads = {path for path in {*found, *wanted} if path[1] in (HEAD, AUXILIARY_HEAD)}
    begun = heads if head == "new" or (head == "auto" and not _same(found, wanted, heads)) else set()
    taken = {path: found[path] for path in found if path not in begun}
    resized = [
        path
        for path in taken
        if path[-1] == POSITION_EMBEDDING and path in wanted and of_other_images(taken[path].shape, wanted[path].shape)
    ]
    taken |= {path: resize_positions(taken[path], wanted[path].shape[1]) for path in resized}
    _check(taken, {path: shape for path, shape in wanted.items() if path not in begun})
    told = [f"{len(taken)} arrays"]
    told += [f"the head begins anew ({_classes(found)}, {_classes(wanted)} here)"] if begun else []
    told += ["the position embedding was resized"] if resized else []
    tree = unflatten_dict({path: np.asarray(array, np.float32) for path, array in taken.items()})
    return Fitted(tree.get("params", {}), tree.get("model_state", {}), "; ".join(told))


def _of_classifier(params: Tree, model_state: Tree, expected: tuple[Tree, Tree]) -> Fitted:
    without = {name: part for name, part in params.items() if name != HEAD}
    found = _flat({BACKBONE: without}, {BACKBONE: model_state})
    _check(found, {path: shape for path, shape in _flat(*expected).items() if path[1] == BACKBONE})
    tree = unflatten_dict({path: np.asarray(array, np.float32) for path, array in found.items()})
    told = f"{len(found)} arrays of a classifier for the backbone; the rest begins anew"
    return Fitted(tree.get("params", {}), tree.get("model_state", {}), told)


def _flat(params: Tree, model_state: Tree) -> dict[Path, jax.Array]:
    return flatten_dict(dict(zip(PARTS, (params, model_state), strict=True)))


def _same(found: Mapping[Path, jax.Array], wanted: Mapping[Path, jax.Array], paths: set[Path]) -> bool:
    return all(path in found and path in wanted and found[path].shape == wanted[path].shape for path in paths)


def of_other_images(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether shapes of position embeddings differ in the number of tokens, and in nothing else."""
    return shape != wanted and shape[::2] == wanted[::2] and len(shape) == len(wanted)


def _classes(flat: Mapping[Path, jax.Array]) -> str:
    kernel = flat.get(("params", HEAD, "kernel"))
    return "none there" if kernel is None else f"{kernel.shape[-1]} classes"


def _check(taken: Mapping[Path, jax.Array], wanted: Mapping[Path, jax.Array]) -> None:
    def named(path: Path, flat: Mapping[Path, jax.Array]) -> str:
        return f"{'/'.join(path)} {list(flat[path].shape)}"

    both = sorted(taken.keys() & wanted.keys())
    lists = {
        "missing": [named(path, wanted) for path in sorted(wanted.keys() - taken.keys())],
        "left over": [named(path, taken) for path in sorted(taken.keys() - wanted.keys())],
        "of another shape": [
            f"{named(path, taken)} instead of {list(wanted[path].shape)}"
            for path in both
            if taken[path].shape != wanted[path].shape
        ],
    }
    told = [f"{what}: {some_names(names)}" for what, names in lists.items() if names]
    if told:
        heads = any(path[1] in (HEAD, AUXILIARY_HEAD) for path in both if taken[path].shape != wanted[path].shape)
        remedy = "; for other classes than theirs let the head begin anew, head=new" if heads else ""
        raise UsageError(f"the weights are not of this network; {'; '.join(told)}{remedy}")


def some_names(names: list[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more

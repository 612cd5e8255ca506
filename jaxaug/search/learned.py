"""What a finished run has learned about its training data, used for another training: nothing is searched.

`learned.npz` in the folder of a run holds `MetaParams`: an array for each leaf, by its path, and the rows' index.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.types import MetaParams, Tree
from jaxaug.search.base import SearchContext, SearchMethod

FILE = "learned.npz"
INDEX = "index"


@register("search", "learned")
@dataclasses.dataclass(eq=False)
class Learned(SearchMethod):
    """The weights, soft labels and policies that a finished run has learned, held fixed.

    AutoDO's code has such a training of the network alone in it, which no command reaches. The transforms have to be
    declared as learned as they were there; rows that the run did not have are as they begin.

    Attributes:
      run: folder of the finished run, which has a `learned.npz`.
    """

    run: str = ""

    def setup(self, context: SearchContext) -> None:
        """Raises UsageError where the file is missing, or is not of what these transforms learn."""
        if not self.run:
            raise UsageError("learned: run must be the folder of a finished run")
        self._found = read_learned(pathlib.Path(self.run) / FILE)
        self._rows = len(context.data.train)
        meta = context.meta
        if not (meta.per_example or meta.shared):
            raise UsageError("learned: no transform of this config is learned, so that there is nothing to use")
        _check(self._found, meta, pathlib.Path(self.run) / FILE)
        if meta.per_example and not np.isin(context.data.train.index, self._found[INDEX]).any():
            raise UsageError(
                f"learned: none of the training rows is among those of {self.run}: is it another data set?"
            )

    def init(self, meta: MetaParams, index: np.ndarray, devices: int) -> tuple[MetaParams, Any]:
        """As every search begins, with what was read in the place of what it begins with."""
        begun, state = super().init(meta, index, devices)
        shared = _with_leaves(begun.shared, "shared", lambda name, leaf: self._found[name])
        if state.ids is None:
            return begun.replace(shared=shared), state
        # The rows of the state are a sorted array of the same numbers, whatever `init` is traced with.
        ids = np.full(state.ids.shape, -1, np.int32)
        ids[: len(index)] = np.sort(np.asarray(index))
        order = np.argsort(self._found[INDEX])
        at = np.searchsorted(self._found[INDEX], ids, sorter=order)
        source = order[np.minimum(at, len(order) - 1)]
        known = self._found[INDEX][source] == ids

        def rows(name: str, leaf: jax.Array) -> jax.Array:
            found = self._found[name][source]
            return jax.numpy.where(known.reshape(-1, *[1] * (found.ndim - 1)), found, leaf)

        return MetaParams(_with_leaves(begun.per_example, "per_example", rows), shared), state


def learned_arrays(meta: MetaParams, index: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of `learned.npz`. meta: on the host, its rows [N] in the order of index [N]."""
    return {INDEX: index, **_leaves(meta.per_example, "per_example"), **_leaves(meta.shared, "shared")}


def read_learned(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of such a file. UsageError if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise UsageError(
            f"learned: there is no {path}: a finished run in which something was learned about its data leaves it"
        ) from None
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for a damaged file
        raise UsageError(f"learned: {path} cannot be read: {error}") from None
    if INDEX not in found:
        raise UsageError(f"learned: {path} has no array {INDEX!r}, so it is not what a run has learned")
    return found


def _check(found: Mapping[str, np.ndarray], meta: MetaParams, path: pathlib.Path) -> None:
    """Raises UsageError unless the file has each leaf of meta, in its shape."""
    wanted = {name: np.shape(x) for name, x in _leaves(meta.shared, "shared").items()}
    rows = len(found[INDEX])
    wanted |= {name: (rows, *np.shape(x)) for name, x in _leaves(meta.per_example, "per_example").items()}
    for name, shape in wanted.items():
        if name not in found:
            raise UsageError(
                f"learned: {path} has no {name!r}: that run learned {', '.join(sorted({*found} - {INDEX}))}"
            )
        if found[name].shape != shape:
            raise UsageError(f"learned: {name!r} in {path} is {list(found[name].shape)}, here it must be {list(shape)}")


def _name(prefix: str, path: tuple[Any, ...]) -> str:
    return f"{prefix}/{jax.tree_util.keystr(path, simple=True, separator='/')}"


def _leaves(tree: Tree, prefix: str) -> dict[str, np.ndarray]:
    return {_name(prefix, path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def _with_leaves(tree: Tree, prefix: str, new: Any) -> Tree:
    """The tree with new(name, leaf) for each leaf, in its dtype."""
    return jax.tree_util.tree_map_with_path(
        lambda path, x: jax.numpy.asarray(new(_name(prefix, path), x)).astype(jax.numpy.result_type(x)), tree
    )

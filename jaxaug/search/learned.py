"""What a finished run has learned about its training data, used for another training: nothing is searched.

`learned.npz` in the folder of a run holds `MetaParams`: an array for each leaf, by its path, and the rows' index.
`jaxaug label-errors` leaves such a file, too; where it has looked at files, their names are in the place of the index.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import read_npz
from jaxaug.core.registry import register
from jaxaug.core.types import MetaParams, Tree
from jaxaug.data.dataset import Dataset
from jaxaug.search.base import SearchContext, SearchMethod

FILE = "learned.npz"
INDEX, NAMES = "index", "files"
PER_EXAMPLE = "per_example"


@register("search", "learned")
@dataclasses.dataclass(eq=False)
class Learned(SearchMethod):
    """The weights, soft labels and policies that a finished run has learned, held fixed.

    AutoDO's code has such a training of the network alone in it, which no command reaches. The transforms have to be
    declared as learned as they were there; rows that the run did not have are as they begin.

    Attributes:
      run: folder of the finished run, or what `jaxaug label-errors` wrote to, which has a `learned.npz`.
    """

    run: str = ""

    def setup(self, context: SearchContext) -> None:
        """Raises UsageError where the file is missing, or is not of what these transforms learn."""
        if not self.run:
            raise UsageError("learned: run must be the folder of a finished run")
        path = pathlib.Path(self.run) / FILE
        found = read_learned(path)
        self._rows = len(context.data.train)
        meta = context.meta
        if not (meta.per_example or meta.shared):
            raise UsageError(
                "learned: no transform of this config is learned, so that there is nothing to use: add what was, "
                "such as the loss learned_weights or learned_targets"
            )
        _check(found, meta, path)
        self._found = _numbered(found, context.data, path) if meta.per_example else found
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

        return MetaParams(_with_leaves(begun.per_example, PER_EXAMPLE, rows), shared), state


def learned_arrays(meta: MetaParams, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The arrays of `learned.npz`. meta: on the host, its rows [N] in the order of rows [N], their index or files."""
    key = NAMES if rows.dtype.kind == "U" else INDEX
    return {key: rows, **_leaves(meta.per_example, PER_EXAMPLE), **_leaves(meta.shared, "shared")}


def read_learned(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of such a file. UsageError if it is missing or damaged."""
    if not path.is_file():
        raise UsageError(
            f"learned: there is no {path}: a finished run in which something was learned about its data leaves it"
        )
    found = read_npz(path)
    if not {INDEX, NAMES} & set(found):
        raise UsageError(f"learned: {path} has no array {INDEX!r}, so it is not what a run has learned")
    return found


def _check(found: Mapping[str, np.ndarray], meta: MetaParams, path: pathlib.Path) -> None:
    """Raises UsageError unless the file has each leaf of meta, in its shape."""
    wanted = {name: np.shape(x) for name, x in _leaves(meta.shared, "shared").items()}
    rows = len(found[INDEX if INDEX in found else NAMES])
    wanted |= {name: (rows, *np.shape(x)) for name, x in _leaves(meta.per_example, PER_EXAMPLE).items()}
    for name, shape in wanted.items():
        if name not in found:
            raise UsageError(
                f"learned: {path} has no {name!r}: that run learned {', '.join(sorted({*found} - {INDEX, NAMES}))}"
            )
        if found[name].shape != shape:
            raise UsageError(f"learned: {name!r} in {path} is {list(found[name].shape)}, here it must be {list(shape)}")


def _numbered(found: Mapping[str, np.ndarray], data: Dataset, path: pathlib.Path) -> Mapping[str, np.ndarray]:
    """Where rows are known by their files: the index of each in this data set, without those that it does not have."""
    if INDEX in found:
        return found
    if data.files is None:
        raise UsageError(f"learned: {path} names its rows by files, and those of {data.name} are none")
    numbers = {file: number for number, file in enumerate(data.files)}
    index = np.array([numbers.get(file, -1) for file in found[NAMES].tolist()], np.int32)
    known = index >= 0
    own = {name: array[known] for name, array in found.items() if name.startswith(f"{PER_EXAMPLE}/")}
    return {**found, **own, INDEX: index[known]}


def _name(prefix: str, path: tuple[Any, ...]) -> str:
    return f"{prefix}/{jax.tree_util.keystr(path, simple=True, separator='/')}"


def _leaves(tree: Tree, prefix: str) -> dict[str, np.ndarray]:
    return {_name(prefix, path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def _with_leaves(tree: Tree, prefix: str, new: Any) -> Tree:
    """The tree with new(name, leaf) for each leaf, in its dtype."""
    return jax.tree_util.tree_map_with_path(
        lambda path, x: jax.numpy.asarray(new(_name(prefix, path), x)).astype(jax.numpy.result_type(x)), tree
    )

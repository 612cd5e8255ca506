"""What a run reads: its data, and every file that its config names."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxaug import data as data_sets
from jaxaug.core.digest import digest_of_file, digest_of_folder, facts_of
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import defaults_of
from jaxaug.data.contents import image_digests, row_arrays
from jaxaug.data.dataset import Dataset, Split
from jaxaug.runs.checkpoint import is_checkpoint
from jaxaug.runs.choice import run_in
from jaxaug.runs.inputs import Inputs
from jaxaug.runs.workdir import CONFIG, RESULT
from jaxaug.train.experiment import search_and_data

# Options whose value is a path though it looks like a word; of others, what has a separator in it.
_NAMED = ("labels", "path", "file", "folder", "network")
# What is no input: names, and the folder of all data sets, which is looked through and not read.
_LEFT_OUT = ("name", "variants", "directory")
# Options that all data sets have: a path among them says nothing of where the images are.
_SHARED = frozenset(f"data.{name}" for name in defaults_of(data_sets.load))


def inputs_of(config: ConfigDict, data: Dataset, pool: Split | None = None) -> Inputs:
    """What a run of the config has read.

    Labels, numbers and files of rows are told in full, images by a digest, and of every option whose value is the path
    of a file or a folder what lies there: a policy, the finished run of `search.network`, corrupted images.

    Args:
      config: with every option of every component.
      data: the set as the run sees it.
      pool: rows that its search keeps for itself.

    Raises:
      UsageError: a file cannot be read.
    """
    digests = image_digests(data, pool)
    try:
        digests |= {f"{address} ({path})": _digest(path) for address, path in _paths(config.to_dict())}
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from None
    return Inputs(digests, row_arrays(data, pool), facts_of_inputs(config))


def read_inputs_of(config: ConfigDict) -> Inputs:
    """Read all that a run of the config reads, to be compared with what it has read before. Raises UsageError."""
    search, data = search_and_data(config)
    return inputs_of(config, data, search.pool_rows if search else None)


def facts_of_inputs(config: ConfigDict) -> str:
    """What is the same as long as all that a run of the config reads is untouched; "" where that cannot be said.

    It is cheap: sizes and times of files. A data set without a path of its own, or of a table, has to be read to know.
    """
    tree = config.to_dict()
    paths = dict(_paths(tree["data"], "data"))
    own = paths.keys() - _SHARED
    # A table does not show that a file which it names was changed.
    if not own or any(paths[address].suffix.lower() == ".csv" for address in own):
        return ""
    try:
        told = [f"{path} {facts_of(path)}" for path in paths.values()]
        return " ".join([*told, *(f"{address} {_digest(path)}" for address, path in _paths(tree))])
    except OSError:
        return ""


def _paths(tree: Any, address: str = "config") -> Iterator[tuple[str, pathlib.Path]]:
    """(address, path) of every option that names a file or a folder; the data are told by what they hold."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key not in _LEFT_OUT and f"{address}.{key}" != "config.data":
                yield from _paths(value, f"{address}.{key}")
    elif isinstance(tree, tuple | list):
        for number, value in enumerate(tree):
            word = value.get("name", number) if isinstance(value, Mapping) else number
            yield from _paths(value, f"{address}.{word}")
    elif isinstance(tree, str) and tree and (address.rpartition(".")[2] in _NAMED or os.sep in tree):
        path = pathlib.Path(tree).expanduser()
        with contextlib.suppress(OSError, ValueError):  # a text that could be no path
            if path.exists():
                yield address, path


def _digest(path: pathlib.Path) -> str:
    if path.is_file():
        return digest_of_file(path)
    with contextlib.suppress(UsageError):  # several runs, of which a setting beside it may choose one
        path = run_in(path)
    if (path / RESULT).exists():  # a finished run, known by its figures; its checkpoints are large
        return digest_of_file(path / RESULT) + digest_of_file(path / CONFIG)
    if is_checkpoint(path):
        return digest_of_folder(path)
    return facts_of(path)

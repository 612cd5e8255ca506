"""Photographs that tensorflow-datasets has prepared in array_record format, record by record, without TensorFlow."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import cache, tfds
from jaxaug.data.storage.image_reader import in_threads


class RecordTable:
    """Image files by number, each a record: what a `FileTable` is of files.

    Args:
      root: the version's folder, <data_dir>/<tfds name>/<version>.
      split: of the set.
      names: of each file.
      records: int [N], which record it is.
      source: the split's records, see `read_split`.
    """

    def __init__(self, root: pathlib.Path, split: str, names: tuple[str, ...], records: np.ndarray, source: Any):
        self.root, self.split, self.names = root, split, names
        self._records, self._source = records, source

    def path(self, row: int) -> pathlib.Path:
        """What to call the file of a row."""
        return self.root / self.split / self.names[row]

    def content(self, row: int) -> bytes:
        """The bytes of a file. Raises OSError."""
        try:
            return self._source[int(self._records[row])]["image"]
        except Exception as error:  # array_record raises many kinds; all mean a record it cannot read
            raise OSError(f"{self.path(row)} cannot be read: {error}") from error

    def digest(self, rows: np.ndarray) -> str:
        """What tells whether the files int [M] are what they were: their names, and names and sizes of the set's files.

        Raises:
          UsageError: the set is gone.
        """
        digest = hashlib.sha256()
        try:
            digest.update((self.root / tfds.INFO).read_bytes())
            for path in sorted(self.root.glob("*.array_record*")):
                digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
        digest.update("\n".join(f"{self.split} {self.names[row]}" for row in rows).encode())
        return digest.hexdigest()


def read_split(
    folder: pathlib.Path, splits: tuple[str, ...], keep: pathlib.Path
) -> tuple[RecordTable, np.ndarray, tuple[str, ...]]:
    """The photographs of a split, in the order of class and file name that they have in folders.

    Labels and names stand in the records, so that all are read once; they are kept.

    Args:
      folder: the version's, of records with "image" and "label", and perhaps "file_name".
      splits: names of a split, of which the first that is there is read.
      keep: where labels and names are kept.

    Returns:
      (files, labels int32 [N], names of the classes).

    Raises:
      UsageError: none of the splits is there, a label is none, or the folder cannot be read.
    """
    import tensorflow_datasets as prepared

    try:
        builder = prepared.builder_from_directory(folder)
        classes = tuple(builder.info.features["label"].names)
        split = next((name for name in splits if name in builder.info.splits), None)
        if split is None:
            raise UsageError(f"{folder} has no split {' or '.join(splits)}; prepare it anew")
        source = builder.as_data_source(split, decoders={"image": prepared.decode.SkipDecoding()})
        checksum = tfds.checksum(folder, (split, "photographs"))
        found = cache.fetch(keep, checksum) or cache.save(keep, checksum, _facts(source, split, classes))
    except UsageError:
        raise
    except Exception as error:  # tensorflow-datasets raises many kinds; all mean a folder it cannot read
        raise UsageError(f"{folder} cannot be read by tensorflow-datasets: {error}") from error
    names = tuple(name.decode() for name in found["name"])
    return RecordTable(folder, split, names, found["record"], source), found["label"], classes


def _facts(source: Any, split: str, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """label, name and record of each row, sorted by class and name."""
    from tqdm import tqdm

    def one(record: int) -> tuple[int, bytes]:
        found = source[record]
        return int(found["label"]), found.get("file_name", b"%08d" % record)

    facts = in_threads(one, range(len(source)))
    # disable=None shows the bar on a terminal only.
    label, name = zip(*tqdm(facts, f"labels of {split}", len(source), unit="photograph", disable=None), strict=True)
    if min(label) < 0 or max(label) >= len(classes):
        raise UsageError(f"the split {split} has labels that are none of its {len(classes)} classes")
    order = np.array(sorted(range(len(label)), key=lambda record: (classes[label[record]], name[record])), np.int64)
    return {
        "label": np.array(label, np.int32)[order],
        "name": np.array(name, np.bytes_)[order],
        "record": order,
    }

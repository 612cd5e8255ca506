"""The one way every published data set is found: cache, tensorflow-datasets, archive, download."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import cache, tfds
from jaxaug.data.storage.archive import Archive, download_archive, download_command, find_archive, verify
from jaxaug.data.storage.paths import find_places

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class PublishedSet:
    """What is needed to find and decode a published set.

    Attributes:
      name: the set's name here, and of its folder of archives.
      archives: the files it is published in.
      decode: (path of each archive) -> {split}_image uint8 [N H W C], {split}_label int32 [N].
      prepared: its name in tensorflow-datasets.
      splits: the splits to give.
      folders: further folders in which the archives may lie.
      hint: one more way to get it, for the message that it is missing.
    """

    name: str
    archives: tuple[Archive, ...]
    decode: Callable[[tuple[pathlib.Path, ...]], Arrays]
    prepared: str
    splits: tuple[str, ...] = ("train", "test")
    folders: tuple[str, ...] = ()
    hint: str = ""

    @property
    def checksum(self) -> str:
        """sha256 over the checksums of the archives: the key of their decoded arrays."""
        return hashlib.sha256(" ".join(archive.checksum for archive in self.archives).encode()).hexdigest()


def read(stock: PublishedSet, directory: str = "", download: bool = False) -> Arrays:
    """The arrays of a published set, from the first place that has it: cache, tensorflow-datasets, archive, download.

    Args:
      stock: the set.
      directory: the folder of data sets; by default the usual ones, see `find_places`.
      download: whether to fetch the archives where no copy is found.

    Returns:
      {split}_image uint8 [N H W C] (perhaps memory-mapped, read-only) and {split}_label int32 [N].

    Raises:
      UsageError: it is nowhere, within seconds, with what was looked for and how to get it; or what was found
        is not what it should be.
    """
    places = find_places(directory)
    folder = places.archives / stock.name
    cached = cache.fetch(folder, stock.checksum)
    if cached:
        return cached
    copy, unreadable = tfds.find(places.prepared / stock.prepared)
    if copy:
        key = tfds.checksum(copy, stock.splits)
        return cache.fetch(folder, key) or cache.save(folder, key, tfds.read(copy, stock.splits))
    return _from_archives(stock, download, folder, _missing(stock, folder, places.prepared, unreadable))


def _from_archives(stock: PublishedSet, download: bool, folder: pathlib.Path, missing: str) -> Arrays:
    folders = (folder, *map(pathlib.Path, stock.folders))
    found = [find_archive(archive, folders) for archive in stock.archives]
    if None in found and not download:
        raise UsageError(f"{missing}\n  or let jaxaug download it: download=True")
    proven = True
    paths: list[pathlib.Path] = []
    for archive, path in zip(stock.archives, found, strict=True):
        if path is None:
            try:
                path = download_archive(archive, folder)
            except UsageError as error:
                raise UsageError(f"{error}\n{missing}") from error
        else:
            proven &= verify(archive, path)
        paths.append(path)
    arrays = stock.decode(tuple(paths))
    return cache.save(folder, stock.checksum, arrays) if proven else arrays


def _missing(stock: PublishedSet, folder: pathlib.Path, data_dir: pathlib.Path, unreadable: list[pathlib.Path]) -> str:
    files = ", ".join(archive.file for archive in stock.archives)
    build = f"tfds build {stock.prepared} --file_format=array_record --data_dir={data_dir}"
    lines = [f"{stock.name} is not on this machine. Looked for:"]
    lines += [f"  {cache.folder_for(folder, stock.checksum)} (decoded cache)"]
    lines += [f"  {data_dir / stock.prepared} (prepared by tensorflow-datasets as array_record)"]
    lines += [f"  {place} ({files})" for place in (folder, *stock.folders)]
    for path in unreadable:
        lines += [f"{path} is not in array_record format; any other needs TensorFlow. Prepare it anew:"]
        lines += [f"  rm -r {path} && {build} --overwrite"]
    lines += ["Get it in one of these ways:"]
    lines += [f"  {download_command(archive, folder)}" for archive in stock.archives]
    lines += [f"  or {stock.hint}"] if stock.hint else []
    lines += [f"  or, after pip install tensorflow-cpu tensorflow-datasets importlib_resources: {build}"]
    return "\n".join(lines)

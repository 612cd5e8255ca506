"""Which image files a set consists of, in folders of classes or in tar archives, and their bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.storage.image_reader import ENDINGS, entries, find_images, tell_passed_over

READ_UP_TO = 2**30  # bytes that are read for a digest, in about a second
TAR = ".tar"


class Member(NamedTuple):
    """An image file. archive: it is a part of, "" for a file of its own, which has neither offset nor size."""

    class_name: str
    name: str
    archive: str = ""
    offset: int = 0
    size: int = -1


@dataclasses.dataclass(frozen=True, eq=False)
class FileTable:
    """Image files by number.

    Attributes:
      root: the folder that names are relative to.
      names: of files, or of members of an archive.
      archives: of each, "" where it is a file of its own.
      span: int64 [N 2], offset and size in the archive.
    """

    root: pathlib.Path
    names: tuple[str, ...]
    archives: tuple[str, ...]
    span: np.ndarray

    def path(self, row: int) -> pathlib.Path:
        """The file, or what to call a member of an archive."""
        return self.root / self.archives[row] / self.names[row]

    def content(self, row: int) -> bytes | None:
        """The bytes of a member of an archive, None for a file of its own. Raises OSError."""
        if not self.archives[row]:
            return None
        offset, size = map(int, self.span[row])
        with (self.root / self.archives[row]).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def digest(self, rows: np.ndarray) -> str:
        """What tells whether the files int [M] are what they were: names and bytes, of more than 1 GiB the sizes.

        Raises:
          UsageError: one is missing.
        """
        digest = hashlib.sha256()
        try:
            sizes = [int(self.span[row, 1]) if self.archives[row] else self.path(row).stat().st_size for row in rows]
            small = sum(sizes) <= READ_UP_TO
            for row, size in zip(rows, sizes, strict=True):
                digest.update(f"{self.archives[row]} {self.names[row]} {size}\n".encode())
                if small:
                    content = self.content(row)
                    digest.update(self.path(row).read_bytes() if content is None else content)
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be read: {error.strerror}") from error
        return digest.hexdigest()


def find_members(place: pathlib.Path, root: pathlib.Path) -> list[Member]:
    """The image files of a split, sorted by class and name.

    Args:
      place: a folder with a folder or a .tar for each class, or a .tar of <class>/<image> or <class>.tar.
      root: the folder that names are relative to.

    Raises:
      UsageError: a folder or an archive that cannot be read, or images that lie in no class.
    """
    found = sorted(_in_folder(place, root) if place.is_dir() else _in_archive(place, root))
    if not found:
        raise UsageError(f"{place} has no images ({', '.join(ENDINGS)}) in its classes")
    if not found[0].class_name:
        raise UsageError(
            f"{place} has images that lie in no class, such as {found[0].name}: unpack it, and move each image into "
            "the folder of its class"
        )
    return found


def table_of(members: list[Member], root: pathlib.Path) -> FileTable:
    """The table of these files, whose names are relative to a folder."""
    span = np.array([(one.offset, one.size) for one in members], np.int64).reshape(-1, 2)
    return FileTable(root, tuple(one.name for one in members), tuple(one.archive for one in members), span)


def labels_of(members: list[Member], names: tuple[str, ...], where: str) -> np.ndarray:
    """int32 [N], the class of each file by its name; by its number where classes have numbers and these names.

    Raises:
      UsageError: a class that is none of these.
    """
    number = {name: label for label, name in enumerate(names)}
    found = {one.class_name for one in members}
    if found.isdisjoint(number) and all(name.isdecimal() and int(name) < len(names) for name in found):
        number = {name: int(name) for name in found}
    unknown = sorted(found - set(number))
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise UsageError(
            f"{where} has the classes {', '.join(unknown[:5])}{more}, which train has not: rename or remove them"
        )
    return np.array([number[one.class_name] for one in members], np.int32)


def _in_folder(folder: pathlib.Path, root: pathlib.Path) -> Iterator[Member]:
    others: list[pathlib.Path] = []
    for entry in entries(folder):
        if entry.is_dir():
            of_class = find_images(folder / entry.name, recursive=False)
            others += of_class.others
            for path in of_class.images:
                yield Member(entry.name, path.relative_to(root).as_posix())
        elif entry.name.endswith(TAR):
            yield from _in_archive(folder / entry.name, root, entry.name.removesuffix(TAR))
    tell_passed_over(others)


def _in_archive(path: pathlib.Path, root: pathlib.Path, class_name: str = "") -> Iterator[Member]:
    archive = path.relative_to(root).as_posix()
    try:
        # "r:" refuses compressed archives, in which no member can be reached without reading all before it.
        with tarfile.open(path, "r:") as tar:
            for one, offset, of_class in _files_of(tar, class_name):
                name = pathlib.PurePosixPath(one.name)
                if name.suffix.lower() in ENDINGS and not name.name.startswith("."):
                    yield Member(of_class or name.parent.name, one.name, archive, offset + one.offset_data, one.size)
    except (OSError, tarfile.TarError) as error:
        raise UsageError(
            f"{path} cannot be read as an archive: {error}; it must be an uncompressed .tar: get or pack it again, or "
            "unpack it"
        ) from error


def _files_of(tar: tarfile.TarFile, class_name: str) -> Iterator[tuple[tarfile.TarInfo, int, str]]:
    """(file, where its archive begins, its class, "" for the folder's name); archives in the archive are opened."""
    while (one := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined, misc]  # else it keeps a kilobyte for each file that it has seen
        if not one.isreg():
            continue
        if not one.name.endswith(TAR):
            yield one, 0, class_name
            continue
        with tarfile.open(fileobj=tar.extractfile(one), mode="r:") as inner:
            for file, _, of_class in _files_of(inner, pathlib.PurePosixPath(one.name).stem):
                yield file, one.offset_data, of_class

"""All labelled images of a folder, a table or an .npz, as one set of rows, to be judged one by one."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from jaxaug.core.errors import UsageError
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.image_table import ImageTable, read_image_table
from jaxaug.data.label_files import relabel
from jaxaug.data.splits import SPLIT_WORDS
from jaxaug.data.statistics import channel_statistics
from jaxaug.data.storage.image_reader import entries, find_images, in_threads, open_image

LARGEST = 64  # side of the images that are trained on unless another is asked for
SPLITS = tuple(word for words in SPLIT_WORDS.values() for word in words)
LOOKED_AT = 25  # images whose size is looked at first
SHOWN = 256  # longest side of the pictures of a report
_OF_ROWS = ("image", "label", "files", "sides", "index", "clean", "split_names")  # those of `Rows` that N things are in


@dataclasses.dataclass(frozen=True)
class Rows:
    """N labelled images.

    Attributes:
      image: [N H W C], uint8, or float32 on the same 0..255 scale, all of one size.
      label: int32 [N], 0..K-1.
      class_names: K names.
      files: N names of files, relative to `root`, or None where rows are no files.
      root: the folder of the files.
      sides: int [N 2], height and width before the images were brought to one size.
      index: int [N], the number of each row in its set; None for 0..N-1.
      skipped: (file, why) of those that could not be read or have no label.
      clean: int32 [N], the true labels, None where they are not known.
      split_names: N names of the split that each row is of, None where there is one alone.
    """

    image: np.ndarray
    label: np.ndarray
    class_names: tuple[str, ...]
    files: tuple[str, ...] | None = None
    root: pathlib.Path | None = None
    sides: np.ndarray | None = None
    index: np.ndarray | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    clean: np.ndarray | None = None
    split_names: tuple[str, ...] | None = None

    def at(self, kept: np.ndarray) -> Rows:
        """Some of the rows, int [M], with all that is known of them, in this order."""
        chosen: dict[str, Any] = {"index": kept if self.index is None else self.index[kept]}
        for name in self._own():
            values = getattr(self, name)
            chosen[name] = tuple(values[i] for i in kept) if isinstance(values, tuple) else values[kept]
        return dataclasses.replace(self, **chosen)

    def beside(self, others: Rows) -> Rows:
        """These rows, then others of the same set."""
        both: dict[str, Any] = {}
        for name in self._own():
            first, second = getattr(self, name), getattr(others, name)
            both[name] = first + second if isinstance(first, tuple) else np.concatenate([first, second])
        return dataclasses.replace(self, **both)

    @property
    def key_column(self) -> str:
        """The column of a table of labels that has the `key` of each row."""
        return "index" if self.files is None else "file"

    def key(self, row: int) -> str:
        """What a table of labels calls the row: its file, or its number where rows are no files."""
        if self.files is not None:
            return self.files[row]
        return str(row if self.index is None else self.index[row])

    def _own(self) -> list[str]:
        """The attributes that are known of each row."""
        return [name for name in _OF_ROWS if getattr(self, name) is not None]

    def picture(self, row: int) -> Image.Image:
        """The image of a row for people: the file's own, made smaller where it is larger than 256 pixels."""
        if self.files is not None and self.root is not None:
            found = open_image(self.root / self.files[row], "RGB")
            found.thumbnail((SHOWN, SHOWN))
            return found
        pixels = np.clip(np.round(self.image[row]), 0, 255).astype(np.uint8)
        return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])


def rows_of(data: Dataset) -> Rows:
    """The training and validation rows of a data set, in the order of their index; those without a label are skipped.

    Raises:
      UsageError: its labels are maps, or its images are not in memory.
    """
    splits = (data.train, data.validation)
    if data.train.label.ndim != 1 or not all(isinstance(split.image, np.ndarray) for split in splits):
        raise UsageError(f"{data.name}: images in memory with one label each are needed; for label maps: find_in_maps")
    index = np.concatenate([split.index for split in splits])
    order = np.argsort(index, kind="stable")
    image, label = (np.concatenate([getattr(s, name) for s in splits])[order] for name in ("image", "label"))
    clean = None
    if data.clean_label is not None:
        clean = np.concatenate([data.clean_label, data.validation.label])[order]
    files = None if data.files is None else tuple(data.files[row] for row in index[order])
    words = np.repeat(["train", "validation"], [len(split) for split in splits])[order]
    split_names = tuple(words.tolist()) if len(data.validation) else None
    rows = Rows(image, label, data.class_names, files, index=index[order], clean=clean, split_names=split_names)
    if (label >= 0).all():
        return rows
    skipped = tuple((rows.key(row), "has no label") for row in np.flatnonzero(label < 0).tolist())
    return dataclasses.replace(rows.at(np.flatnonzero(label >= 0)), skipped=skipped)


def as_dataset(rows: Rows) -> Dataset:
    """All rows as the training rows of a data set; as test rows, which a set must have, it has the first of them."""
    mean, std = channel_statistics(rows.image)
    index = np.arange(len(rows.label), dtype=np.int32) if rows.index is None else rows.index.astype(np.int32)
    train, where = Split(rows.image, rows.label.astype(np.int32), index), f"computed from the {len(rows.label)} rows"
    none, first = train.at(slice(0, 0)), train.at(slice(0, 1))
    files = None if rows.files is None else _by_index(rows.files, index)
    return Dataset(
        "rows", train, none, first, len(rows.class_names), mean, std, where, rows.class_names, rows.clean, files
    )


def _by_index(files: Sequence[str], index: np.ndarray) -> tuple[str, ...]:
    """The file of each row where its index is, as a `Dataset` has them; "" for rows that were left out."""
    found = [""] * (int(index.max(initial=-1)) + 1)
    for row, file in zip(index.tolist(), files, strict=True):
        found[row] = file
    return tuple(found)


def with_labels(rows: Rows, path: str) -> Rows:
    """The rows with the labels of a file, see `jaxaug.data.label_files.relabel`; those that it drops are left out."""
    index = np.arange(len(rows.label)) if rows.index is None or rows.files is not None else rows.index
    data = relabel(as_dataset(dataclasses.replace(rows, index=index)), path)
    kept = np.flatnonzero(np.isin(index, data.train.index))
    return dataclasses.replace(rows.at(kept), label=data.train.label, index=index[kept])


def read_rows(path: pathlib.Path, size: int = 0) -> Rows:
    """The labelled images below a folder or of a table; those that cannot be read are skipped and named.

    Args:
      path: a folder with <class>/<image>, or with such folders in train, validation and test; or a .csv with the
        columns `label` and `file` or `path`, relative to the table's folder, and perhaps `split`.
      size: side to which images are cut and resized; 0: the usual one of their shorter sides, at most 64.

    Raises:
      UsageError: nothing lies there, or there is no image with a label.
    """
    if path.is_dir():
        return _decoded(path, path, _of_folder(path), size)
    if path.suffix.lower() == ".csv" and path.is_file():
        return _decoded(path, path.parent, read_image_table(path), size)
    raise UsageError(f"{path} is neither a folder of images nor a .csv of files and labels")


def _of_folder(root: pathlib.Path) -> ImageTable:
    splits = [root / name for name in SPLITS if (root / name).is_dir()]
    places = [top / place.name for top in splits or [root] for place in entries(top) if place.is_dir()]
    names = tuple(sorted({place.name for place in places}))
    if not names:
        raise UsageError(f"{root} has no folders: images are looked for in {root}/<class>/ and {root}/train/<class>/")
    found = [
        (image.relative_to(root).as_posix(), names.index(place.name))
        for place in places
        for image in find_images(place, recursive=True).images
    ]
    return ImageTable(tuple(file for file, _ in found), np.array([label for _, label in found], np.int32), names)


def _decoded(where: pathlib.Path, root: pathlib.Path, table: ImageTable, size: int) -> Rows:
    labelled = np.flatnonzero(table.label >= 0)
    files, label = [table.files[row] for row in labelled], table.label[labelled]
    skipped = [(table.files[row], "has no label") for row in np.flatnonzero(table.label < 0)]
    sides = np.zeros((len(files), 2), np.int64)
    side = size or _usual_side(root, files)
    images = np.zeros((len(files), side, side, 3), np.uint8)
    for row, why in enumerate(in_threads(_reader(root, files, side, images, sides), range(len(files)))):
        if why:
            skipped.append((_told(files[row]), why))
    read = np.flatnonzero(sides[:, 0] > 0)
    if not len(read):
        told = f", {len(skipped)} cannot be used, such as {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise UsageError(f"{where} has no labelled image that can be read{told}")
    kept = tuple(files[row] for row in read.tolist())
    split_names: tuple[str, ...] | None
    if table.splits is not None:
        split_names = tuple(table.splits[row] for row in labelled[read])
    else:
        tops = tuple(pathlib.PurePath(file).parts[0] for file in kept)
        split_names = tops if set(tops) <= set(SPLITS) else None
    return Rows(
        images[read],
        label[read],
        table.class_names,
        kept,
        root,
        sides[read],
        skipped=tuple(skipped),
        split_names=split_names,
    )


def _reader(
    root: pathlib.Path, files: Sequence[str], side: int, images: np.ndarray, sides: np.ndarray
) -> Callable[[int], str]:
    def read(row: int) -> str:
        """Fill in the row; why that cannot be, "" if it can."""
        if _told(files[row]) != files[row]:
            return "its name is not UTF-8, so that no table could name it: rename it"
        try:
            image = open_image(root / files[row], "RGB")
        except UsageError as error:
            return str(error)
        images[row] = np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC))
        sides[row] = image.height, image.width
        return ""

    return read


def _told(file: str) -> str:
    """The name of a file as it is, or, where it has bytes that are no UTF-8, with these written out."""
    return file.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _usual_side(root: pathlib.Path, files: Sequence[str]) -> int:
    """The median of the shorter sides of some images, at most `LARGEST`."""
    sides = []
    for file in files[:: max(len(files) // LOOKED_AT, 1)]:
        with contextlib.suppress(UsageError):
            sides.append(min(open_image(root / file).size))
    return min(LARGEST, int(np.median(sides))) if sides else LARGEST

"""Images and their label maps, file by file, made into arrays: checked pair by pair, decoded side by side."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import cache
from jaxaug.data.storage.image_reader import COLOR, in_threads, open_image

VOID, UNKNOWN = -1, -2  # what a number in a file stands for, besides classes
FITS = ("resize", "pad")


class Pair(NamedTuple):
    """The files of one row."""

    image: pathlib.Path
    label: pathlib.Path


class Classes(NamedTuple):
    """What the numbers in files of label maps mean.

    Attributes:
      class_of: number in a file -> class 0..K-1, or -1 for void; other numbers are mistakes. None: each number is a
        class, up to 32,767.
      void: numbers that stand for no class, where class_of is None.
    """

    class_of: Mapping[int, int] | None
    void: tuple[int, ...] = ()

    def table(self) -> np.ndarray:
        """int16 [65536]: class, -1 or -2 of each number."""
        if self.class_of is None:
            table = np.full(2**16, UNKNOWN, np.int16)
            table[: 2**15] = np.arange(2**15)
            table[list(self.void)] = VOID
        else:
            table = np.full(2**16, UNKNOWN, np.int16)
            table[list(self.class_of)] = list(self.class_of.values())
        return table


class Layout(NamedTuple):
    """What every row becomes. size: (H, W); fit: how an image of another size is brought to it."""

    size: tuple[int, int]
    fit: str
    classes: Classes


def layout_of(name: str, first: Pair, size: Sequence[int], fit: str, classes: Classes) -> Layout:
    """The layout of a set with this first row; size () for that of its image.

    Raises:
      UsageError: options out of range, or an image that cannot be read.
    """
    if len(size) not in (0, 2) or (size and min(size) < 1) or fit not in FITS:
        raise UsageError(f"{name}: size must be rows and columns, or (), and fit one of {FITS}, got {size} and {fit!r}")
    if size:
        return Layout((size[0], size[1]), fit, classes)
    image = open_image(first.image)
    return Layout((image.height, image.width), "", classes)


def read_label_map(path: pathlib.Path) -> np.ndarray:
    """The numbers in a file, gray or a palette's, as they are: uint8 or uint16 [H W].

    Raises:
      UsageError: the file is missing, cut short, damaged or in color; the message names it.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            image.load()
            numbers = np.asarray(image)
    except Exception as error:  # Pillow's decoders raise many kinds; all mean a file that it cannot read
        why = str(error) or type(error).__name__
        raise UsageError(f"the label map {path} cannot be read: {why}; repair or remove it") from error
    if mode not in ("L", "P", "1", "I", "I;16") or numbers.ndim != 2:
        raise UsageError(
            f"the label map {path} is in color ({mode}): save the numbers of its classes, gray or as a palette"
        )
    if mode == "1":
        return numbers.astype(np.uint8)
    if mode in ("I", "I;16"):
        return np.clip(numbers, 0, 2**16 - 1).astype(np.uint16)
    return numbers


def read_pairs(
    name: str, pairs: Mapping[str, Sequence[Pair]], layout: Layout, keep: pathlib.Path | None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(images uint8 [N H W 3], label maps int16 [N H W], -1 for void) of each split.

    Args:
      name: of the set, used in messages.
      pairs: split -> its files.
      layout: what they become.
      keep: a folder in which the arrays are kept, to be found and mapped into memory by the next call; None for memory.

    Raises:
      UsageError: a file cannot be read, a label map is of another size than its image or has a number that is no class,
        or an image is not of the layout's size and does not fit; the message names it. Or the folder cannot be written.
    """
    if keep is None:
        found = {split: _empty(layout, len(rows)) for split, rows in pairs.items()}
        for split, rows in pairs.items():
            _read(name, split, rows, layout, *found[split])
        return found
    key = _checksum(name, pairs, layout)
    arrays = cache.fetch(keep, key)
    if arrays is None:
        try:
            _write(name, pairs, layout, keep, key)
        except OSError as error:
            raise UsageError(
                f"{name}: decoded images cannot be kept in {keep}: {error}; set directory to another folder, or cache "
                "to False"
            ) from error
        arrays = cache.fetch(keep, key)
        assert arrays is not None
    return {split: (arrays[f"{split}_image"], arrays[f"{split}_label_image"]) for split in pairs}


def _empty(layout: Layout, rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((rows, *layout.size, 3), np.uint8), np.zeros((rows, *layout.size), np.int16)


def _write(name: str, pairs: Mapping[str, Sequence[Pair]], layout: Layout, keep: pathlib.Path, key: str) -> None:
    needed = sum(len(rows) for rows in pairs.values()) * layout.size[0] * layout.size[1] * 5
    with cache.writing(keep, key) as partial:
        # Writing to a mapped file on a full disk would end the process without a word.
        if needed > (free := shutil.disk_usage(partial).free):
            raise OSError(f"{needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free")
        for split, rows in pairs.items():
            shape = (len(rows), *layout.size)
            image = open_memmap(partial / f"{split}_image.npy", "w+", np.uint8, (*shape, 3))
            # The end of the name is what the cache maps rather than loads.
            label = open_memmap(partial / f"{split}_label_image.npy", "w+", np.int16, shape)
            _read(name, split, rows, layout, image, label)


def _checksum(name: str, pairs: Mapping[str, Sequence[Pair]], layout: Layout) -> str:
    digest = hashlib.sha256(repr(layout).encode())
    for split, rows in pairs.items():
        for path in (path for pair in rows for path in pair):
            try:
                about = path.stat()
            except OSError as error:
                raise UsageError(f"{name}: {path} cannot be read: {error.strerror}; repair or remove it") from error
            digest.update(f"{split} {path} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read(name: str, split: str, pairs: Sequence[Pair], layout: Layout, images: np.ndarray, labels: np.ndarray) -> None:
    table = layout.classes.table()

    def read(row: int) -> None:
        _decode(name, pairs[row], layout, table, images[row], labels[row])

    for _ in _watched(f"reading {split}", read, range(len(pairs))):
        pass


def _watched(told: str, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """function(item) of each, in threads, with a bar on a terminal after some seconds."""
    from tqdm import tqdm

    with tqdm(desc=told, total=len(items), unit="image", delay=3, disable=None) as bar:
        for found in in_threads(function, items):
            bar.update()
            yield found


def _decode(name: str, pair: Pair, layout: Layout, table: np.ndarray, image: np.ndarray, label: np.ndarray) -> None:
    """Fill image [H W 3] and label [H W] from the files of a row."""
    picture, classes = open_image(pair.image, COLOR), _classes(name, pair.label, table)
    if picture.size != classes.shape[::-1]:
        raise UsageError(
            f"{name}: the label map {pair.label} has {classes.shape[1]} x {classes.shape[0]} pixels, its image "
            f"{picture.width} x {picture.height}"
        )
    image[:], label[:] = _fitted_image(name, pair.image, picture, layout), _fitted_classes(classes, layout)


def decode_image(name: str, path: pathlib.Path, layout: Layout) -> np.ndarray:
    """The image of a row, uint8 [H W 3]. Raises UsageError, which names the file."""
    return _fitted_image(name, path, open_image(path, COLOR), layout)


def decode_label_map(name: str, path: pathlib.Path, layout: Layout, table: np.ndarray) -> np.ndarray:
    """The label map of a row, int16 [H W], by the table of its numbers. Raises UsageError, which names the file."""
    return _fitted_classes(_classes(name, path, table), layout)


def count_pixels(
    name: str, pairs: Mapping[str, Sequence[Pair]], layout: Layout, keep: pathlib.Path
) -> dict[str, np.ndarray]:
    """How many pixels of each class every row has, int64 [N K]; so each file is read and checked, none is kept.

    Args:
      name: of the set, used in messages.
      pairs: split -> its files.
      layout: what they become.
      keep: a folder in which the counts are kept, so that the next call reads nothing.

    Raises:
      UsageError: as `read_pairs` does.
    """
    key = hashlib.sha256(f"counts {_checksum(name, pairs, layout)}".encode()).hexdigest()
    known = cache.fetch(keep, key)
    if known is None:
        table, size = layout.classes.table(), layout.size
        least = 1 if layout.classes.class_of is None else int(table.max()) + 2

        def count(pair: Pair) -> np.ndarray:
            label = np.empty(size, np.int16)
            _decode(name, pair, layout, table, np.empty((*size, 3), np.uint8), label)
            return np.bincount(label.ravel() + 1, minlength=least)[1:]

        counts = {split: list(_watched(f"checking {split}", count, rows)) for split, rows in pairs.items()}
        most = max(len(row) for rows in counts.values() for row in rows)
        known = cache.save(
            keep,
            key,
            {split: np.stack([np.pad(row, (0, most - len(row))) for row in rows]) for split, rows in counts.items()},
        )
    return {split: known[split] for split in pairs}


def _classes(name: str, path: pathlib.Path, table: np.ndarray) -> np.ndarray:
    """int16 [h w] as the file has them."""
    numbers = read_label_map(path)
    classes = table[numbers]
    if (classes == UNKNOWN).any():
        wrong = sorted(set(numbers[classes == UNKNOWN].tolist()))
        raise UsageError(
            f"{name}: the label map {path} has the numbers {', '.join(map(str, wrong[:5]))}, which are neither "
            "classes nor void: correct it, or set void or num_classes"
        )
    return classes


def _fitted_image(name: str, path: pathlib.Path, picture: Image.Image, layout: Layout) -> np.ndarray:
    height, width = layout.size
    if picture.size == (width, height):
        return np.asarray(picture)
    if layout.fit == "resize":
        return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    if not layout.fit or picture.width > width or picture.height > height:
        remedy = "set size to bring all to one size" if not layout.fit else "set a larger size, or fit to 'resize'"
        raise UsageError(
            f"{name}: {path} has {picture.width} x {picture.height} pixels, {width} x {height} are asked for by "
            f"{'size' if layout.fit else 'the first image'}: {remedy}"
        )
    image = np.zeros((height, width, 3), np.uint8)
    image[: picture.height, : picture.width] = np.asarray(picture)
    return image


def _fitted_classes(classes: np.ndarray, layout: Layout) -> np.ndarray:
    if classes.shape == layout.size:
        return classes
    if layout.fit == "resize":
        rows, columns = (np.arange(new) * old // new for new, old in zip(layout.size, classes.shape, strict=True))
        return classes[rows[:, None], columns]
    label = np.full(layout.size, VOID, np.int16)
    label[: classes.shape[0], : classes.shape[1]] = classes
    return label

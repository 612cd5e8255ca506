"""Images and their label maps, file by file, made into arrays: checked pair by pair, decoded side by side."""

from __future__ import annotations

import hashlib
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
    from tqdm import tqdm

    table = layout.classes.table()

    def read(row: int) -> None:
        _decode(name, pairs[row], layout, table, images[row], labels[row])

    # disable=None shows the bar on a terminal only, after some seconds.
    with tqdm(desc=f"reading {split}", total=len(pairs), unit="image", delay=3, disable=None) as bar:
        for _ in in_threads(read, range(len(pairs))):
            bar.update()


def _decode(name: str, pair: Pair, layout: Layout, table: np.ndarray, image: np.ndarray, label: np.ndarray) -> None:
    """Fill image [H W 3] and label [H W] from the files of a row."""
    picture, numbers = open_image(pair.image, COLOR), read_label_map(pair.label)
    if picture.size != numbers.shape[::-1]:
        raise UsageError(
            f"{name}: the label map {pair.label} has {numbers.shape[1]} x {numbers.shape[0]} pixels, its image "
            f"{picture.width} x {picture.height}"
        )
    classes = table[numbers]
    if (classes == UNKNOWN).any():
        wrong = sorted(set(numbers[classes == UNKNOWN].tolist()))
        raise UsageError(
            f"{name}: the label map {pair.label} has the numbers {', '.join(map(str, wrong[:5]))}, which are neither "
            "classes nor void: correct it, or set void or num_classes"
        )
    height, width = layout.size
    if layout.fit == "resize":
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        rows, columns = (np.arange(new) * old // new for new, old in zip(layout.size, classes.shape, strict=True))
        classes = classes[rows[:, None], columns]
    elif picture.width > width or picture.height > height or (not layout.fit and picture.size != (width, height)):
        remedy = "set size to bring all to one size" if not layout.fit else "set a larger size, or fit to 'resize'"
        raise UsageError(
            f"{name}: {pair.image} has {picture.width} x {picture.height} pixels, {width} x {height} are asked for by "
            f"{'size' if layout.fit else 'the first image'}: {remedy}"
        )
    label[:] = VOID
    label[: classes.shape[0], : classes.shape[1]] = classes
    image[: picture.height, : picture.width] = np.asarray(picture)

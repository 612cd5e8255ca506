"""The one reader of image files, for data sets and commands alike: which files are images, and their pixels."""

from __future__ import annotations

import concurrent.futures
import io
import logging
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps

from jaxaug.core.errors import UsageError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff")
GRAY, COLOR = "L", "RGB"  # Pillow's modes
QUEUE = 10_000  # files that wait for a thread: a million would take gigabytes
_GRAY_MODES = ("1", "L", "LA")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Found(NamedTuple):
    """What a folder holds, sorted by name.

    Attributes:
      images: files whose names end in one of `ENDINGS`.
      others: other files, and the sub-folders that were not read.
    """

    images: list[pathlib.Path]
    others: list[pathlib.Path]


def entries(folder: pathlib.Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name, without names that start with a dot.

    Raises:
      UsageError: it cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be read: {error.strerror}") from error


def find_images(folder: pathlib.Path, recursive: bool) -> Found:
    """The image files of a folder; names that start with a dot, such as `._a.jpg`, are passed over.

    Args:
      folder: where to look.
      recursive: in its sub-folders, too, and in folders that are linked to.

    Raises:
      UsageError: a folder that cannot be read.
    """
    return _find(folder, recursive, (folder.resolve(),))


def _find(folder: pathlib.Path, recursive: bool, above: tuple[pathlib.Path, ...]) -> Found:
    found = Found([], [])
    for entry in entries(folder):
        path = folder / entry.name
        if entry.is_dir():
            inner = _inside(path, above) if recursive else Found([], [path])
            found.images.extend(inner.images)
            found.others.extend(inner.others)
        else:
            # Links that lead nowhere are images that cannot be read, pipes and the like are none.
            is_image = path.suffix.lower() in ENDINGS and (entry.is_file() or entry.is_symlink())
            (found.images if is_image else found.others).append(path)
    return found


def _inside(folder: pathlib.Path, above: tuple[pathlib.Path, ...]) -> Found:
    real = folder.resolve()
    # A link to a folder above would lead around for ever.
    return Found([], []) if real in above else _find(folder, True, (*above, real))


def tell_passed_over(others: Sequence[pathlib.Path]) -> None:
    """Log how many files and folders were passed over, and one of each."""
    folders = [path for path in others if path.is_dir()]
    files = [path for path in others if not path.is_dir()]
    log = logging.getLogger(__name__)
    if files:
        log.warning("passed over %d that are no images, such as %s", len(files), files[0])
    if folders:
        log.warning(
            "passed over %d that are folders, such as %s: set recursive to read the images in them",
            len(folders),
            folders[0],
        )


def open_image(
    path: pathlib.Path, mode: str | None = None, *, content: bytes | None = None, upright: bool = True
) -> Image.Image:
    """An image file of any of Pillow's formats, upright and in 8 bits; the first one where a file has several.

    It is turned as `ImageOps.exif_transpose` does: as its EXIF data say, where they say one of the eight orientations.
    Gray of 16 bits is rounded to 8; Pillow keeps the upper 8 of color's 16. Transparency is dropped, CMYK and palettes
    become RGB.

    Args:
      path: of the file.
      mode: "L" for gray or "RGB"; None for what the file has, transparency aside.
      content: its bytes, where it is a part of another file; the path is then its name in messages.
      upright: whether to turn it.

    Returns:
      An image of mode "L" or "RGB", decoded in full.

    Raises:
      UsageError: the file is missing, cut short, damaged, no image or larger than `PIL.Image.MAX_IMAGE_PIXELS` allows;
        or has gray levels of unknown range (Pillow's modes I and F). The message names it.
    """
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            deep = _has_16_bits(image)
            known = deep or image.mode not in ("I", "F")
            image.load()
            turned = ImageOps.exif_transpose(image) if upright else image
            found = _rounded(turned) if deep else _plain(turned) if known else turned
            if mode is not None and known:
                found = found.convert(mode)
    except Exception as error:  # Pillow's decoders raise many kinds; all mean a file that it cannot read
        why = str(error) or type(error).__name__
        raise UsageError(f"{path} cannot be read as an image: {why}; repair or remove it") from error
    if not known:
        raise UsageError(f"the gray levels of {path} have no known range: save it with 8 or 16 bits, or remove it")
    return found


def read_image(path: pathlib.Path, mode: str | None = None) -> np.ndarray:
    """The pixels of `open_image`, at the size that they have.

    Args:
      path: of the file.
      mode: "L" for gray or "RGB"; None for what the file has.

    Returns:
      [H W C] uint8, with 1 or 3 channels.

    Raises:
      UsageError: the file cannot be read; the message names it.
    """
    image = open_image(path, mode)
    return np.asarray(image).reshape(image.height, image.width, -1)


def in_threads(
    function: Callable[[_Item], _Result], items: Sequence[_Item], threads: int | None = None
) -> Iterator[_Result]:
    """function(item) of each, in order: Pillow decodes outside of Python's lock.

    Args:
      function: of a path or its number; returns little, since up to `QUEUE` results wait to be taken.
      items: any number.
      threads: how many; by default as many as Python thinks good where some wait for a disk.
    """
    workers = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        for start in range(0, len(items), QUEUE):
            yield from workers.map(function, items[start : start + QUEUE])
    finally:
        workers.shutdown(cancel_futures=True)


def _has_16_bits(image: Image.Image) -> bool:
    """Is it gray with levels 0..65535? Pillow's `convert` would cut them off at 255."""
    # "I;16" or a byte order of it; "I" for PNG files in older Pillows, and for PGM files, scaled to the whole range.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _rounded(image: Image.Image) -> Image.Image:
    return Image.fromarray(((np.asarray(image).astype(np.int32) + 128) // 257).astype(np.uint8))


def _plain(image: Image.Image) -> Image.Image:
    gray = image.mode in _GRAY_MODES
    if "transparency" in image.info:
        # Pillow warns about palettes with transparency unless they pass through RGBA.
        image = image.convert("RGBA")
    return image.convert(GRAY if gray else COLOR)

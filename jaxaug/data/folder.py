"""Your own images: `config.path` names a folder with train/<class>/<image>, and test/ or validation/ likewise."""

import concurrent.futures
import dataclasses
import logging
import pathlib
from typing import Any

import numpy as np

from jaxaug.data import Data, assemble
from jaxaug.data.cut import check_sources
from jaxaug.errors import UsageError

SPLITS = ("train", "validation", "test")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
# Pillow's names of modes without colour.
_GREY = ("1", "L", "LA", "La")
# Seconds until reading shows its progress.
_PATIENCE = 3


def load(config) -> Data:
    """Loads the images of {train,validation,test}/<class>/*.{png,jpg,jpeg,webp,bmp}, as uint8 [N H W C].

    The classes are the folders of train, sorted by name; validation and test have all or some of them. Rows are in the
    order of class and file name, and `Data.files` says which file a row is. Names that start with a dot are passed
    over. validation and test are as in npz: validation rows are trusted, and either split may be left out where there
    is the other, or where validation_size cuts rows off; without test images the test split is the validation split.

    Photographs are turned upright as their EXIF entry says; transparency is dropped.

    Args:
      config: name, path, validation_size, seed; size, 0 by default where all images are as large as the first,
        else each is cut to the square in its middle and resized to size x size (bicubic, antialiased); channels, 1 or
        3, or 0 by default for what the first image has.

    Raises:
      UsageError: a folder or a class is missing or empty, an option is out of range, or an image cannot be read or is
        not like the first; the message names it.
    """
    root = _root(config)
    present = [split for split in SPLITS if (root / split).is_dir()]
    check_sources(f"folder: {root}", config.validation_size, validation="validation" in present, test="test" in present)
    names = _class_names(root, present)
    paths = {split: _images(root / split, names) for split in present}
    target = _target(paths["train"][0][0], config.get("size", 0), config.get("channels", 0))
    rows = {
        split: (_read(split, [path for path, _ in found], target), _labels(found)) for split, found in paths.items()
    }
    numbered = [path for split in present if split != "test" for path, _ in paths[split]]
    return assemble(
        str(config.name),
        rows["train"],
        rows.get("test"),
        num_classes=len(names),
        class_names=names,
        validation_size=config.validation_size,
        seed=config.seed,
        validation=rows.get("validation"),
        files=tuple(path.relative_to(root).as_posix() for path in numbered),
    )


@dataclasses.dataclass(frozen=True)
class _Target:
    """What every image becomes. resize: cut square and resized, else it must have this height and width already.

    strict: the first image decided on grey, so colour is refused rather than dropped.
    """

    height: int
    width: int
    channels: int
    resize: bool
    strict: bool


def _root(config) -> pathlib.Path:
    path, size, channels = config.get("path", ""), config.get("size", 0), config.get("channels", 0)
    if not path:
        raise UsageError("folder: set config.data.path to a folder with train/<class>/<image>, test/<class>/<image>")
    if size < 0 or channels not in (0, 1, 3):
        raise UsageError(
            f"folder: config.data.size={size} must be 0 or more, and config.data.channels={channels} 0, 1 or 3"
        )
    root = pathlib.Path(path).expanduser().absolute()
    if not (root / "train").is_dir():
        raise UsageError(f"folder: there is no folder {root / 'train'}; it must hold a folder of images for each class")
    return root


def _class_names(root: pathlib.Path, present: list[str]) -> tuple[str, ...]:
    names = tuple(path.name for path in _entries(root / "train") if path.is_dir())
    if not names:
        raise UsageError(f"folder: {root / 'train'} has no folders; it must hold a folder of images for each class")
    for split in present[1:]:
        unknown = [path.name for path in _entries(root / split) if path.is_dir() and path.name not in names]
        if unknown:
            raise UsageError(
                f"folder: {root / split} has the classes {', '.join(unknown)}, which train has not: rename or remove "
                "them"
            )
    return names


def _entries(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"folder: {folder} cannot be read: {error}") from error


def _images(folder: pathlib.Path, names: tuple[str, ...]) -> list[tuple[pathlib.Path, int]]:
    """(file, label) of every image of a split."""
    found, others = [], []
    for label, name in enumerate(names):
        entries = _entries(folder / name) if (folder / name).is_dir() else []
        images = [(path, label) for path in entries if path.suffix.lower() in SUFFIXES]
        if folder.name == "train" and not images:
            raise UsageError(f"folder: {folder / name} has no images ({', '.join(SUFFIXES)}); add some or remove it")
        found += images
        others += [path for path in entries if path.suffix.lower() not in SUFFIXES]
    if not found:
        raise UsageError(
            f"folder: {folder} has no images ({', '.join(SUFFIXES)}) in its classes; add some or remove it"
        )
    if others:
        logging.getLogger(__name__).warning("passed over %d that are no images, such as %s", len(others), others[0])
    return found


def _labels(found: list[tuple[pathlib.Path, int]]) -> np.ndarray:
    return np.array([label for _, label in found], np.int32)


def _target(first: pathlib.Path, size: int, channels: int) -> _Target:
    image = _open(first)
    grey = image.mode in _GREY
    height, width = (size, size) if size else (image.height, image.width)
    return _Target(height, width, channels or (1 if grey else 3), resize=size > 0, strict=grey and not channels)


def _read(split: str, paths: list[pathlib.Path], target: _Target) -> np.ndarray:
    from tqdm import tqdm

    images = np.empty((len(paths), target.height, target.width, target.channels), np.uint8)

    def read(row: int) -> None:
        images[row] = _decode(paths[row], target)

    # Pillow decodes outside Python's lock.
    workers = concurrent.futures.ThreadPoolExecutor()
    try:
        done = workers.map(read, range(len(paths)))
        # disable=None shows the bar on a terminal only.
        for _ in tqdm(done, f"reading {split}", len(paths), unit="image", delay=_PATIENCE, disable=None):
            pass
    finally:
        workers.shutdown(cancel_futures=True)
    return images


def _open(path: pathlib.Path) -> Any:
    """A decoded, upright image of Pillow."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow's decoders raise many kinds; all mean a file it cannot read
        raise UsageError(f"folder: {path} cannot be read as an image: {error}; repair or remove it") from error
    if upright.mode.startswith(("I", "F")):
        raise UsageError(f"folder: {path} has more than 8 bits per pixel (mode {upright.mode}); save it with 8 bits")
    return upright


def _decode(path: pathlib.Path, target: _Target) -> np.ndarray:
    from PIL import Image, ImageOps

    image = _open(path)
    if target.strict and image.mode not in _GREY:
        raise UsageError(
            f"folder: {path} is in colour, the first image is grey: set config.data.channels to 3, or to 1"
        )
    if not target.resize and image.size != (target.width, target.height):
        raise UsageError(
            f"folder: {path} has {image.width} x {image.height} pixels, the first image {target.width} x "
            f"{target.height}: set config.data.size to bring all to one size"
        )
    if "transparency" in image.info:
        # Pillow warns about palettes with transparency unless they pass through RGBA.
        image = image.convert("RGBA")
    image = image.convert("L" if target.channels == 1 else "RGB")
    if target.resize:
        image = ImageOps.fit(image, (target.width, target.height), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(target.height, target.width, target.channels)

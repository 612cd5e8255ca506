"""Image files made into arrays: decoded side by side, brought to one size and number of channels, kept if asked for."""

import dataclasses
import hashlib
import math
import pathlib
import shutil

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image, ImageOps

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import cache
from jaxaug.data.storage.image_reader import COLOR, GRAY, in_threads, open_image

Files = dict[str, list[pathlib.Path]]  # split -> its files
# Seconds until reading shows its progress.
_PATIENCE = 3


@dataclasses.dataclass(frozen=True)
class Target:
    """What every image becomes. resize: cut square and resized, else it must have this height and width already.

    strict: the first image decided on gray, so color is refused rather than dropped.
    """

    height: int
    width: int
    channels: int
    resize: bool
    strict: bool

    def shape(self, rows: int) -> tuple[int, int, int, int]:
        """Of so many images: (N, H, W, C)."""
        return rows, self.height, self.width, self.channels


def target_of(first: pathlib.Path, size: int, channels: int) -> Target:
    """The target of a set with this first image. size, channels: as asked for, 0 for those of the image."""
    image = open_image(first)
    gray = image.mode == GRAY
    height, width = (size, size) if size else (image.height, image.width)
    return Target(height, width, channels or (1 if gray else 3), resize=size > 0, strict=gray and not channels)


def decoded(files: Files, target: Target) -> dict[str, np.ndarray]:
    """[N H W C] of each split, in memory."""
    images = {split: np.empty(target.shape(len(paths)), np.uint8) for split, paths in files.items()}
    for split, paths in files.items():
        _read(split, paths, target, images[split])
    return images


def cached(files: Files, target: Target, folder: pathlib.Path) -> dict[str, np.ndarray]:
    """[N H W C] of each split, mapped into memory; decoded unless an earlier call did."""
    key = _checksum(files, target)
    images = cache.fetch(folder, key)
    if images is None:
        needed = sum(math.prod(target.shape(len(paths))) for paths in files.values())
        try:
            with cache.writing(folder, key) as partial:
                # Writing to a mapped file on a full disk would end the process without a word.
                if needed > (free := shutil.disk_usage(partial).free):
                    raise OSError(f"{needed / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free")
                for split, paths in files.items():
                    path = partial / f"{split}_image.npy"
                    _read(split, paths, target, open_memmap(path, "w+", np.uint8, target.shape(len(paths))))
        except OSError as error:
            left = ", ".join(path.name for path in folder.glob("partial-*"))
            raise UsageError(
                f"decoded images cannot be kept in {folder}: {error}; set directory to another folder, "
                "or cache to False" + (f"; remove {left}, if no run is decoding now" if left else "")
            ) from error
        images = cache.fetch(folder, key)
        assert images is not None
    return {split: images[f"{split}_image"] for split in files}


def _checksum(files: Files, target: Target) -> str:
    """A sha256 over what images become and over the files' names, sizes and times."""
    digest = hashlib.sha256(repr(target).encode())
    for split, paths in files.items():
        for path in paths:
            try:
                about = path.stat()
            except OSError as error:
                raise UsageError(f"{path} cannot be read: {error}; repair or remove it") from error
            digest.update(f"{split} {path} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read(split: str, paths: list[pathlib.Path], target: Target, images: np.ndarray) -> None:
    """Decode the files into images [N H W C]."""
    from tqdm import tqdm

    def read(row: int) -> None:
        images[row] = decode(paths[row], target)

    # disable=None shows the bar on a terminal only.
    with tqdm(desc=f"reading {split}", total=len(paths), unit="image", delay=_PATIENCE, disable=None) as bar:
        for _ in in_threads(read, range(len(paths))):
            bar.update()


def decode(path: pathlib.Path, target: Target) -> np.ndarray:
    """The image of a file as its set has it: uint8 [H W C]. Raises UsageError, which names the file."""
    image = open_image(path)
    if target.strict and image.mode != GRAY:
        raise UsageError(f"{path} is in color, the first image is gray: set channels to 3, or to 1")
    if not target.resize and image.size != (target.width, target.height):
        raise UsageError(
            f"{path} has {image.width} x {image.height} pixels, the first image {target.width} x "
            f"{target.height}: set size to bring all to one size"
        )
    image = image.convert(GRAY if target.channels == 1 else COLOR)
    if target.resize:
        image = ImageOps.fit(image, (target.width, target.height), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(target.height, target.width, target.channels)

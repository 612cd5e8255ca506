"""Images from wherever they lie, batch by batch: folders, files, arrays, a list."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import read_npy, read_npz
from jaxaug.data.photographs import Cut
from jaxaug.data.storage.image_files import Target, decode
from jaxaug.data.storage.image_reader import COLOR, GRAY, find_images, in_threads, open_image, read_image
from jaxaug.runs.signature import Signature

ARRAYS = (".npz", ".npy")


class NamedBatch(NamedTuple):
    """Images that could be read.

    Attributes:
      names: n, the file of each, or file[row].
      images: [n H W C]; a list of n images [H W C] where they keep their sizes.
    """

    names: list[str]
    images: Any


class Inputs:
    """What is to be predicted; nothing is decoded before it is asked for.

    Args:
      inputs: folders, with all images in them and below; image files; or .npz and .npy files of images.
      signature: of the run. Images are brought to its shape as the run's evaluation does: by its `cut`, else cut to
        its proportions in the middle and resized (bicubic, antialiased); gray or color. Arrays must have the shape.
      own_size: whether they keep their size instead, for label maps.

    Raises:
      UsageError: an input that is not there, a folder without images, or an array of another shape or type.
    """

    def __init__(self, inputs: Sequence[str | pathlib.Path], signature: Signature, own_size: bool = False):
        self._shape: tuple[int | None, ...] = signature.image_shape
        self._read = _reader(signature)
        if own_size:
            channels = signature.image_shape[2]
            self._shape = (None, None, channels)
            self._read = lambda path: read_image(path, GRAY if channels == 1 else COLOR)
        self.files: list[pathlib.Path] = []
        self.arrays: list[tuple[str, np.ndarray]] = []
        for one in inputs:
            self._add(pathlib.Path(one).expanduser())
        if not len(self):
            raise UsageError("there is nothing to predict: name folders, image files or .npz files")

    def __len__(self) -> int:
        """How many images there are, those that cannot be read included."""
        return len(self.files) + sum(len(array) for _, array in self.arrays)

    def _add(self, path: pathlib.Path) -> None:
        if path.is_dir():
            found = find_images(path, recursive=True).images
            if not found:
                raise UsageError(f"the folder {path} has no images, nor have its sub-folders")
            self.files += found
        elif not path.exists():
            raise UsageError(f"there is no file or folder {path}")
        elif path.suffix.lower() in ARRAYS:
            self.arrays.append((str(path), _images_of(path, self._shape)))
        else:
            self.files.append(path)

    def batches(self, size: int, told: Callable[[pathlib.Path, str], None]) -> Iterator[NamedBatch]:
        """Batches of up to `size` images; one at a time is in memory.

        Args:
          size: of a batch.
          told: is called with each image that cannot be read, and why; it is left out.
        """

        def read(path: pathlib.Path) -> np.ndarray | UsageError:
            try:
                return self._read(path)
            except UsageError as error:
                return error

        for start in range(0, len(self.files), size):
            files = self.files[start : start + size]
            found = list(zip(files, in_threads(read, files), strict=True))
            for file, image in found:
                if isinstance(image, UsageError):
                    told(file, str(image))
            good = [(str(file), image) for file, image in found if not isinstance(image, UsageError)]
            if good:
                names, images = (list(some) for some in zip(*good, strict=True))
                yield NamedBatch(names, images if None in self._shape else np.stack(images))
        for name, array in self.arrays:
            for start in range(0, len(array), size):
                part = array[start : start + size]
                names = [f"{name}[{start + row}]" for row in range(len(part))]
                yield NamedBatch(names, list(part) if None in self._shape else part)


def _reader(signature: Signature) -> Callable[[pathlib.Path], np.ndarray]:
    """Reads a file as the run's evaluation does."""
    cut = dict(signature.cut or {})
    upright = cut.pop("upright", True)
    if not cut:
        target = Target(*signature.image_shape, resize=True, strict=False)
        return lambda path: decode(path, target)
    evaluated = Cut(**cut).evaluated
    return lambda path: evaluated(open_image(path, COLOR, upright=upright))


def _images_of(path: pathlib.Path, shape: tuple[int | None, ...]) -> np.ndarray:
    """The images [N H W C] of an .npy, or of an .npz that has one array of images. Raises UsageError."""
    arrays = read_npz(path) if path.suffix == ".npz" else {"": read_npy(path, mapped=True)}
    arrays = {name: x[..., None] if x.ndim == 3 and shape[2] == 1 else x for name, x in arrays.items()}
    found = [x for x in arrays.values() if x.ndim == 4 and x.dtype == np.uint8 and _fits(x.shape[1:], shape)]
    if len(found) != 1:
        told = ", ".join(f"{name} {x.dtype} {list(x.shape)}".strip() for name, x in arrays.items())
        raise UsageError(
            f"{path} must have one array of images, uint8 [N {' '.join(_words(shape))}] as the run takes "
            f"them; it has {told or 'nothing'}"
        )
    return found[0]


def _fits(found: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return all(asked in (None, side) for side, asked in zip(found, shape, strict=True))


def _words(shape: tuple[int | None, ...]) -> list[str]:
    return [letter if side is None else str(side) for letter, side in zip("HWC", shape, strict=True)]

"""Images from wherever they lie, batch by batch: folders, files, arrays, a list."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.photographs import Cut
from jaxaug.data.storage.image_files import Target, decode
from jaxaug.data.storage.image_reader import COLOR, find_images, in_threads, open_image
from jaxaug.runs.signature import Signature

ARRAYS = (".npz", ".npy")


class NamedBatch(NamedTuple):
    """Images that could be read.

    Attributes:
      names: n, the file of each, or file[row].
      images: [n H W C].
    """

    names: list[str]
    images: np.ndarray


class Inputs:
    """What is to be predicted; nothing is decoded before it is asked for.

    Args:
      inputs: folders, with all images in them and below; image files; or .npz and .npy files of images.
      signature: of the run. Images are brought to its shape as the run's evaluation does: by its `cut`, else cut to
        its proportions in the middle and resized (bicubic, antialiased); gray or color. Arrays must have the shape.

    Raises:
      UsageError: an input that is not there, a folder without images, or an array of another shape or type.
    """

    def __init__(self, inputs: Sequence[str | pathlib.Path], signature: Signature):
        image_shape, cut = signature.image_shape, dict(signature.cut or {})
        upright = cut.pop("upright", True)
        self._target = Target(*image_shape, resize=True, strict=False)
        self._read = _cut_reader(Cut(**cut), upright) if cut else lambda path: decode(path, self._target)
        self._files: list[pathlib.Path] = []
        self._arrays: list[tuple[str, np.ndarray]] = []
        for one in inputs:
            self._add(pathlib.Path(one).expanduser(), image_shape)
        if not len(self):
            raise UsageError("there is nothing to predict: name folders, image files or .npz files")

    def __len__(self) -> int:
        """How many images there are, those that cannot be read included."""
        return len(self._files) + sum(len(array) for _, array in self._arrays)

    def _add(self, path: pathlib.Path, image_shape: tuple[int, int, int]) -> None:
        if path.is_dir():
            found = find_images(path, recursive=True).images
            if not found:
                raise UsageError(f"the folder {path} has no images, nor have its sub-folders")
            self._files += found
        elif not path.exists():
            raise UsageError(f"there is no file or folder {path}")
        elif path.suffix.lower() in ARRAYS:
            self._arrays.append((str(path), _images_of(path, image_shape)))
        else:
            self._files.append(path)

    def batches(self, size: int, told: Callable[[pathlib.Path, str], None]) -> Iterator[NamedBatch]:
        """Batches of up to `size` images; one at a time is in memory.

        Args:
          size: of a batch.
          told: is called with each image that cannot be read, and why; it is left out.
        """
        images = np.empty((size, *self._target.shape(1)[1:]), np.uint8)

        def read(place: tuple[int, pathlib.Path]) -> str:
            try:
                images[place[0]] = self._read(place[1])
                return ""
            except UsageError as error:
                return str(error)

        for start in range(0, len(self._files), size):
            files = self._files[start : start + size]
            mistakes = list(in_threads(read, list(enumerate(files))))
            for file, why in zip(files, mistakes, strict=True):
                if why:
                    told(file, why)
            good = [row for row, why in enumerate(mistakes) if not why]
            if good:
                yield NamedBatch([str(files[row]) for row in good], images[good])
        for name, array in self._arrays:
            for start in range(0, len(array), size):
                part = array[start : start + size]
                yield NamedBatch([f"{name}[{start + row}]" for row in range(len(part))], part)


def _cut_reader(cut: Cut, upright: bool) -> Callable[[pathlib.Path], np.ndarray]:
    return lambda path: cut.evaluated(open_image(path, COLOR, upright=upright))


def _images_of(path: pathlib.Path, shape: tuple[int, int, int]) -> np.ndarray:
    """The images [N H W C] of an .npy, or of an .npz that has one array of images. Raises UsageError."""
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        arrays = {"": content} if isinstance(content, np.ndarray) else dict(content)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    arrays = {name: x[..., None] if x.ndim == 3 and shape[2] == 1 else x for name, x in arrays.items()}
    found = [x for x in arrays.values() if x.shape[1:] == shape and x.dtype == np.uint8]
    if len(found) != 1:
        told = ", ".join(f"{name} {x.dtype} {list(x.shape)}".strip() for name, x in arrays.items())
        raise UsageError(
            f"{path} must have one array of images, uint8 [N {' '.join(map(str, shape))}] as the run takes "
            f"them; it has {told or 'nothing'}"
        )
    return found[0]

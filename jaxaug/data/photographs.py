"""Photographs of any size, cut to squares as they are read: at random for training, the middle for evaluation.

Both are torchvision's, pixel by pixel: what is cut out is resized by Pillow, which averages what it makes smaller.
"""

from __future__ import annotations

import dataclasses
import logging
import math

import numpy as np
from PIL import Image

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick
from jaxaug.data.storage.file_table import FileTable
from jaxaug.data.storage.image_reader import COLOR, open_image
from jaxaug.data.storage.record_table import RecordTable

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
BROKEN = ("skip", "refuse")
ATTEMPTS = 10  # torchvision's, of a box that fits
MOST_BROKEN, SHARE_BROKEN = 10, 0.01  # files that cannot be read before it is rather the disk that is broken
Box = tuple[int, int, int, int]  # top, left, rows, columns


@dataclasses.dataclass(frozen=True)
class Cut:
    """How a photograph becomes a square.

    Attributes:
      size: side of the square.
      resize: what the shorter side is brought to before the middle is cut out; 0 for none.
      crop: for training, "random_resized" (Szegedy et al. 2015) or "center", which is the middle too.
      scale: range of the random box's share of the area, uniform.
      ratio: range of its columns / rows, the logarithm uniform.
      interpolation: "bilinear" or "bicubic".

    Raises:
      UsageError: a value out of range.
    """

    size: int = 224
    resize: int = 256
    crop: str = "random_resized"
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str = "bilinear"

    def __post_init__(self):
        pick("interpolation", self.interpolation, RESAMPLING)
        pick("crop", self.crop, {"random_resized": 0, "center": 0})
        if self.size < 1 or (self.resize and self.resize < self.size):
            raise UsageError(f"size={self.size} must be at least 1, and resize={self.resize} 0 or at least the size")
        for name, most in (("scale", 1.0), ("ratio", math.inf)):
            low, high = getattr(self, name)
            if not 0 < low <= high <= most:
                raise UsageError(f"{name}={(low, high)} must be a range (low, high) above 0" + " up to 1" * (most == 1))

    def evaluated(self, image: Image.Image) -> np.ndarray:
        """The middle, uint8 [size size C]; black beyond an image that is smaller."""
        if self.resize:
            image = self._shrunk(image)
        left, top = map(self._start, image.size)
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))

    def trained(self, image: Image.Image, random: np.random.Generator) -> np.ndarray:
        """What is drawn for training, uint8 [size size C]."""
        if self.crop == "center":
            return self.evaluated(image)
        top, left, rows, columns = draw_box(random, image.height, image.width, self.scale, self.ratio)
        part = image.crop((left, top, left + columns, top + rows))
        return np.asarray(part.resize((self.size, self.size), RESAMPLING[self.interpolation]))

    def _start(self, side: int) -> int:
        """Where the middle begins: rounded to even numbers, cut off where there is something to be filled, as there."""
        return round((side - self.size) / 2) if side >= self.size else -((self.size - side) // 2)

    def _shrunk(self, image: Image.Image) -> Image.Image:
        shorter = min(image.size)
        # Cut off, not rounded, as there.
        width, height = (self.resize if side == shorter else int(self.resize * side / shorter) for side in image.size)
        return image if (width, height) == image.size else image.resize((width, height), RESAMPLING[self.interpolation])


def draw_box(
    random: np.random.Generator, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Box:
    """The first of 10 boxes that fits into an image, else the largest one in the middle, as torchvision draws it.

    Args:
      random: decides.
      height, width: of the image.
      scale: range of the box's share of the area.
      ratio: range of columns / rows.
    """
    logs = (math.log(ratio[0]), math.log(ratio[1]))
    for _ in range(ATTEMPTS):
        area = height * width * random.uniform(*scale)
        aspect = math.exp(random.uniform(*logs))
        columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < columns <= width and 0 < rows <= height:
            top, left = (int(random.integers(room + 1)) for room in (height - rows, width - columns))
            return top, left, rows, columns
    return largest_in_the_middle(height, width, ratio)


def largest_in_the_middle(height: int, width: int, ratio: tuple[float, float]) -> Box:
    """(top, left, rows, columns) of the largest central box whose columns / rows lie in `ratio`."""
    rows, columns = height, width
    if width / height < ratio[0]:
        rows = round(width / ratio[0])
    elif width / height > ratio[1]:
        columns = round(height * ratio[1])
    rows, columns = max(rows, 1), max(columns, 1)
    return (height - rows) // 2, (width - columns) // 2, rows, columns


class Photographs:
    """Image files as rows, what `LazyImages` reads from.

    Args:
      files: by number.
      cut: how each becomes a square.
      broken: what to do with a file that cannot be read: "skip" it, named in the log, counted and without a label, or
        "refuse" it.
      upright: whether to turn photographs as their EXIF entry says.

    Raises:
      UsageError: another word; and, when reading, a file that is refused, or more that cannot be read than a set has.
    """

    def __init__(self, files: FileTable | RecordTable, cut: Cut, broken: str = "skip", upright: bool = False):
        pick("broken", broken, dict.fromkeys(BROKEN))
        self.files, self.cut, self._broken, self.upright = files, cut, broken, upright
        self.image_shape = (cut.size, cut.size, 3)
        self._unreadable: set[int] = set()

    def like(self, files: FileTable | RecordTable, cut: Cut) -> Photographs:
        """Other files read in the same way."""
        return Photographs(files, cut, self._broken, self.upright)

    @property
    def unreadable(self) -> int:
        """How many files could not be read so far."""
        return len(self._unreadable)

    def read(self, row: int, random: np.random.Generator | None = None) -> np.ndarray | None:
        """The square [size size 3] of a file, None if it cannot be read. random: draws the one that is trained on."""
        path = self.files.path(row)
        try:
            content = self.files.content(row)
            image = open_image(path, COLOR, content=content, upright=self.upright)
        except (UsageError, OSError) as error:
            if self._broken == "refuse":
                raise UsageError(f"{error}, or set broken to skip") from error
            self._leave_out(row, error)
            return None
        return self.cut.evaluated(image) if random is None else self.cut.trained(image, random)

    def digest(self, rows: np.ndarray) -> str:
        """What tells whether the files [N] are what they were. Raises UsageError."""
        return self.files.digest(rows)

    def _leave_out(self, row: int, error: Exception) -> None:
        if row in self._unreadable:
            return
        self._unreadable.add(row)
        logging.getLogger(__name__).warning("left out: %s", error)
        if len(self._unreadable) > max(MOST_BROKEN, SHARE_BROKEN * len(self.files.names)):
            count, whole = len(self._unreadable), len(self.files.names)
            raise UsageError(
                f"{count} of {whole} images below {self.files.root} cannot be read; the last: {error}; is the disk "
                "still there?"
            )

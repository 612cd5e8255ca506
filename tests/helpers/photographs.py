"""Tiny photographs of several sizes, in the folders and archives that users have."""

import tarfile

import numpy as np
from PIL import Image


def photograph(number, mode="RGB"):
    """A smooth image whose size depends on its number."""
    random = np.random.default_rng(number)
    smooth = Image.fromarray(random.integers(0, 256, (3, 4, 3)).astype(np.uint8))
    return smooth.resize((40 + 7 * (number % 3), 36 + 5 * (number % 4)), Image.Resampling.BICUBIC).convert(mode)


def write_photographs(folder, classes, count, first=0):
    """<class>/<number>.JPEG, `count` of each class."""
    for i, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for j in range(count):
            photograph(first + i * count + j).save(folder / name / f"{j}.JPEG", quality=95)


def pack(folder, archive, name=""):
    """An uncompressed .tar of a folder's files, below `name` if it is given."""
    with tarfile.open(archive, "w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                tar.add(path, f"{name}{path.relative_to(folder).as_posix()}")

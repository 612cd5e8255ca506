"""Data sets of the published sizes without their images: a plan needs no more, and no file."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxaug import data as data_sets
from jaxaug.core.errors import UsageError
from jaxaug.data.dataset import Dataset, Rows, assemble
from jaxaug.data.lazy_images import LazyImages


class _Size(NamedTuple):
    """Rows for training and testing, shape of an image, classes; lazy where the source decodes batch by batch."""

    train: int
    test: int
    shape: tuple[int, int, int]
    classes: int
    lazy: bool = False


# As published with each set; SVHN without its extra rows.
SIZES = {
    "cifar10": _Size(50_000, 10_000, (32, 32, 3), 10),
    "cifar100": _Size(50_000, 10_000, (32, 32, 3), 100),
    "svhn": _Size(73_257, 26_032, (32, 32, 3), 10),
    "mnist": _Size(60_000, 10_000, (28, 28, 1), 10),
    "fashion_mnist": _Size(60_000, 10_000, (28, 28, 1), 10),
    "imagenet": _Size(1_281_167, 50_000, (224, 224, 3), 1000, lazy=True),
}
_EXTRA_ROWS_OF_SVHN = 531_131


class _NoPhotographs:
    """Photographs that are never read."""

    unreadable = 0

    def __init__(self, shape: tuple[int, int, int]):
        self.image_shape = shape

    def read(self, row: int, random: np.random.Generator | None = None) -> None:
        return None

    def digest(self, rows: np.ndarray) -> str:
        return ""


def load_stand_in(config: ConfigDict) -> Dataset:
    """The data set of a config with every option: as many rows, of the size and classes; read, where it is another."""
    options = config.data.to_dict()
    if options["seed"] < 0:
        options["seed"] = config.seed
    if options["name"] not in SIZES:
        try:
            return data_sets.load(**options)
        except UsageError as error:
            raise UsageError(
                f"{error}\nA plan needs the rows of this set; without them it knows {list(SIZES)}"
            ) from None
    published = options.pop("name")
    return data_sets.load(f"{__name__}.stand_in", published=published, **options)


def stand_in(
    *, published: str, validation_size: float = 0.0, seed: int = 0, size: int = 0, extra: bool = False, **others: Any
) -> Dataset:
    """A data set of the size of a published one, whose images are black and whose labels take turns."""
    found = SIZES[published]
    height, width, channels = found.shape
    shape = (size or height, size or width, channels)
    rows = found.train + (_EXTRA_ROWS_OF_SVHN if extra else 0)

    def some(count: int) -> Rows:
        label = np.arange(count, dtype=np.int32) % found.classes
        if found.lazy:
            return LazyImages(_NoPhotographs(shape), np.arange(count)), label
        return np.zeros((count, *shape), np.uint8), label

    return assemble(
        published,
        some(rows),
        some(found.test),
        num_classes=found.classes,
        class_names=tuple(map(str, range(found.classes))),
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        statistics_source="none: a stand-in",
        validation_size=validation_size,
        seed=seed,
    )

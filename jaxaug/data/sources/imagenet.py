"""ImageNet, or photographs of your own laid out like it, read as training goes: `path` holds train and val."""

from __future__ import annotations

import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.lazy_images import LazyImages
from jaxaug.data.photographs import Cut, Photographs
from jaxaug.data.sources.folder import STATISTICS
from jaxaug.data.splits import check_sources
from jaxaug.data.storage.file_table import TAR, Member, find_members, labels_of, table_of
from jaxaug.data.storage.paths import find_places

MEAN, STD = STATISTICS["imagenet"]
TRAIN = ("train", "ILSVRC2012_img_train")
TEST = ("val", "validation", "test", "ILSVRC2012_img_val")


@register("data")
def imagenet(
    *,
    path: str = "",
    size: int = 224,
    resize: int = 0,
    crop: str = "random_resized",
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    interpolation: str = "bilinear",
    upright: bool = False,
    broken: str = "skip",
    test: str = "",
    threads: int = 0,
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
) -> Dataset:
    """Photographs of {train,val}/<class>/*.JPEG, decoded batch by batch: nothing is read before it is needed.

    What is trained on is cut out at random and resized straight to the size; it depends on the run's seed, the step and
    the row alone. What is evaluated is resized on the shorter side and cut to the middle. Pixels are torchvision's.
    Batches are sent to the devices, whatever `place` says.

    The classes are those of train, sorted. The photographs of val are the test rows, as papers report them; validation
    rows are cut off train. Each split may be a folder with a folder or an uncompressed .tar for each class, or one .tar
    of these. A test folder whose classes are numbers, as ImageNet-V2's, has them by number. Any of Pillow's formats is
    read; gray, CMYK and palettes become RGB.

    Args:
      path: the folder; by default `imagenet` in the folder of data sets.
      size: side of the images.
      resize: the shorter side before the middle is cut out for evaluation; 0 for 8/7 of the size, 256 for 224.
      crop: for training, "random_resized", or "center" for what is evaluated.
      scale: range of the random box's share of the photograph.
      ratio: range of its columns / rows.
      interpolation: "bilinear" or "bicubic", averaging what is made smaller.
      upright: whether to turn photographs as their EXIF entry says; torchvision and the papers' code do not.
      broken: "skip" files that cannot be read, which are named, counted and without a label, or "refuse" them.
      test: another folder or .tar for the test rows, such as ImageNet-V2's.
      threads: that decode; 0 for four more than there are cores.
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a folder is missing or empty, a class is not in train, or an option is out of range.
    """
    cut = Cut(size, resize or round(size * 256 / 224), crop, scale, ratio, interpolation)
    root, train_place, test_place = _places(path, test, directory)
    check_sources(f"imagenet: {root}", validation_size, validation=False, test=test_place is not None)
    members = find_members(train_place, root)
    names = tuple(sorted({one.class_name for one in members}))

    def rows(members: list[Member], root: pathlib.Path) -> tuple[LazyImages, np.ndarray]:
        photographs = Photographs(table_of(members, root), cut, broken, upright)
        return LazyImages(photographs, np.arange(len(members)), threads), labels_of(members, names, str(root))

    return assemble(
        "imagenet",
        rows(members, root),
        None if test_place is None else rows(find_members(test_place, test_place.parent), test_place.parent),
        num_classes=len(names),
        class_names=names,
        mean=MEAN,
        std=STD,
        statistics_source="ImageNet's usual recipes",
        validation_size=validation_size,
        seed=seed,
        files=tuple(f"{one.archive}/{one.name}".lstrip("/") for one in members),
    )


def _places(path: str, test: str, directory: str) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path | None]:
    """(the root, what holds the training rows, what holds the test rows)."""
    root = (pathlib.Path(path).expanduser() if path else find_places(directory).archives / "imagenet").absolute()
    train_place = _place(root, TRAIN)
    if train_place is None:
        raise UsageError(
            f"imagenet: there is no folder train in {root}, nor train{TAR}: set path to a folder with "
            "train/<class>/<image> and val/<class>/<image>"
        )
    if not test:
        return root, train_place, _place(root, TEST)
    test_place = pathlib.Path(test).expanduser().absolute()
    if not test_place.exists():
        raise UsageError(f"imagenet: test={test} does not exist")
    return root, train_place, test_place


def _place(root: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
    """The folder or archive of a split."""
    places = [root / name for name in names] + [root / f"{name}{TAR}" for name in names]
    return next((place for place in places if place.exists()), None)

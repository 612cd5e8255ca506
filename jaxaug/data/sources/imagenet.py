"""ImageNet, or photographs of your own laid out like it, read as training goes: `path` holds train and val."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.lazy_images import LazyImages
from jaxaug.data.photographs import Cut, Photographs
from jaxaug.data.splits import check_sources
from jaxaug.data.statistics import IMAGENET
from jaxaug.data.storage import tfds
from jaxaug.data.storage.file_table import TAR, FileTable, find_members, labels_of, table_of
from jaxaug.data.storage.paths import find_places
from jaxaug.data.storage.record_table import RecordTable, read_split

MEAN, STD = IMAGENET
TRAIN = ("train", "ILSVRC2012_img_train")
TEST = ("val", "validation", "test", "ILSVRC2012_img_val")
PREPARED = "imagenet2012"  # its name in tensorflow-datasets, whose test rows have no labels
TEST_SPLITS = ("validation", "test")


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
    of these. Or the path is that of photographs which tensorflow-datasets has prepared in array_record format: their
    labels are read once and kept, and rows have the numbers that they have in folders. A test folder whose classes are
    numbers, as ImageNet-V2's, has them by number. Any of Pillow's formats is read; gray, CMYK and palettes become RGB.

    Args:
      path: the folder; by default `imagenet` in the folder of data sets, or there `imagenet2012` as
        tensorflow-datasets has prepared it.
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
    found = _prepared(path, test, directory) or _in_files(path, test, directory)
    check_sources(f"imagenet: {found.root}", validation_size, validation=False, test=found.test is not None)

    def rows(files: FileTable | RecordTable, label: np.ndarray) -> tuple[LazyImages, np.ndarray]:
        return LazyImages(Photographs(files, cut, broken, upright), np.arange(len(label)), threads), label

    return assemble(
        "imagenet",
        rows(*found.train),
        None if found.test is None else rows(*found.test),
        num_classes=len(found.names),
        class_names=found.names,
        mean=MEAN,
        std=STD,
        statistics_source="ImageNet's usual recipes",
        validation_size=validation_size,
        seed=seed,
        files=found.files,
    )


class _Found(NamedTuple):
    """The photographs there are. train, test: (files, labels). files: what each training row is called."""

    root: pathlib.Path
    names: tuple[str, ...]
    files: tuple[str, ...]
    train: tuple[FileTable | RecordTable, np.ndarray]
    test: tuple[FileTable | RecordTable, np.ndarray] | None


def _prepared(path: str, test: str, directory: str) -> _Found | None:
    """What tensorflow-datasets has prepared: at the path, or if there is none in its folder; None where nothing is."""
    places = find_places(directory)
    if not path and _place(places.archives / "imagenet", TRAIN) is not None:
        return None
    folder = pathlib.Path(path).expanduser().absolute() if path else places.prepared / PREPARED
    version = folder if (folder / tfds.INFO).exists() else tfds.find(folder)[0]
    if version is None:
        return None
    keep = places.archives / "imagenet"
    train, label, names = read_split(version, ("train",), keep)
    test_rows: tuple[FileTable | RecordTable, np.ndarray]
    if test:
        test_rows = _rows_in(_test_place(test), pathlib.Path(test).expanduser().absolute().parent, names)
    else:
        test_rows = read_split(version, TEST_SPLITS, keep)[:2]
    return _Found(version, names, tuple(f"train/{name}" for name in train.names), (train, label), test_rows)


def _in_files(path: str, test: str, directory: str) -> _Found:
    """The files and archives of a folder."""
    root, train_place, test_place = _places(path, test, directory)
    members = find_members(train_place, root)
    names = tuple(sorted({one.class_name for one in members}))
    train = table_of(members, root), labels_of(members, names, str(root))
    test_rows = None if test_place is None else _rows_in(test_place, test_place.parent, names)
    return _Found(root, names, tuple(f"{one.archive}/{one.name}".lstrip("/") for one in members), train, test_rows)


def _rows_in(place: pathlib.Path, root: pathlib.Path, names: tuple[str, ...]) -> tuple[FileTable, np.ndarray]:
    members = find_members(place, root)
    return table_of(members, root), labels_of(members, names, str(root))


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
    return root, train_place, _test_place(test)


def _test_place(test: str) -> pathlib.Path:
    place = pathlib.Path(test).expanduser().absolute()
    if not place.exists():
        raise UsageError(f"imagenet: test={test} does not exist")
    return place


def _place(root: pathlib.Path, names: tuple[str, ...]) -> pathlib.Path | None:
    """The folder or archive of a split."""
    places = [root / name for name in names] + [root / f"{name}{TAR}" for name in names]
    return next((place for place in places if place.exists()), None)

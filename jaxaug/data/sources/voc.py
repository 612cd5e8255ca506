"""Pascal VOC's segmentation (Everingham et al., IJCV 2010), as published: `path` holds JPEGImages and lists of them."""

from __future__ import annotations

import pathlib

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset
from jaxaug.data.sources.label_maps import dataset_of, files_of, rows_of
from jaxaug.data.splits import check_sources
from jaxaug.data.statistics import IMAGENET
from jaxaug.data.storage.label_map_files import Classes, Pair, layout_of
from jaxaug.data.storage.paths import find_places

LISTS = pathlib.Path("ImageSets") / "Segmentation"
YEAR = pathlib.Path("VOCdevkit") / "VOC2012"
CLASS_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
VOID = 255  # the borders of objects
NORMALISATION = {**dict(zip(("mean", "std"), IMAGENET, strict=True)), "statistics_source": "imagenet"}


@register("data")
def voc(
    *,
    path: str = "",
    train: str = "train",
    test: str = "val",
    label_folder: str = "SegmentationClass",
    size: tuple[int, ...] = (500, 500),
    fit: str = "pad",
    cache: bool = False,
    lazy: bool = True,
    threads: int = 0,
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
) -> Dataset:
    """Photographs of JPEGImages with label maps of SegmentationClass, 21 classes; ImageSets/Segmentation lists rows.

    Rows are in the order of their list. The images of val are the test rows, as papers report them; validation rows
    are cut off train. Every file is read and checked before anything is trained.

    Args:
      path: VOC2012, or the folder that VOCdevkit lies in; by default `voc` in the folder of data sets.
      train: the list of the training rows: "train", "trainval", or one of one's own, such as "train_aug".
      test: the list of the rows that are reported on; "" for none, with "trainval".
      label_folder: of label maps, with a palette or gray: "SegmentationClassAug" of SBD's (Hariharan et al. 2011).
      size: rows and columns that all are brought to; no photograph has a side above 500.
      fit: how, as in label_maps; "pad" leaves every pixel as it is.
      cache: whether to keep the decoded arrays in `directory`, from where they are mapped into memory.
      lazy: whether images and label maps stay in their files, to be decoded batch by batch, in threads; that all were
        checked is kept in `directory`.
      threads: that decode lazy ones; 0 for four more than there are cores.
      validation_size: training rows to cut off for validation: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a list, an image or a label map is missing, a row is in both lists, or a file is wrong, as in
        label_maps; the message names it.
    """
    given = (pathlib.Path(path).expanduser() if path else find_places(directory).archives / "voc").absolute()
    root = next((folder for folder in (given, given / YEAR, given / YEAR.name) if (folder / LISTS).is_dir()), None)
    if root is None:
        raise UsageError(
            f"voc: there is no folder {LISTS} in {given}: set path to the folder VOC2012, or to that of VOCdevkit"
        )
    check_sources(f"voc: {root}", validation_size, validation=False, test=bool(test))
    pairs = {split: _pairs(root, name, label_folder) for split, name in (("train", train), ("test", test)) if name}
    twice = sorted({pair.image.stem for pair in pairs["train"]} & {pair.image.stem for pair in pairs.get("test", ())})
    if twice:
        raise UsageError(
            f"voc: {len(twice)} images, such as {twice[0]}, are in {train}.txt and in {test}.txt: to train on all, set "
            "test to '' and validation_size"
        )
    layout = layout_of("voc", pairs["train"][0], size, fit, Classes({i: i for i in range(21)} | {VOID: -1}))
    return dataset_of(
        "voc",
        rows_of("voc", pairs, root, layout, cache=cache, lazy=lazy, threads=threads, directory=directory),
        class_names=CLASS_NAMES,
        validation_size=validation_size,
        seed=seed,
        files=files_of(pairs, root),
        **NORMALISATION,
    )


def _pairs(root: pathlib.Path, name: str, label_folder: str) -> list[Pair]:
    path = root / LISTS / f"{name}.txt"
    try:
        rows = path.read_text().split()
    except OSError as error:
        raise UsageError(f"voc: the list {path} cannot be read: {error.strerror}") from error
    if not rows:
        raise UsageError(f"voc: the list {path} is empty")
    pairs = [Pair(root / "JPEGImages" / f"{row}.jpg", root / label_folder / f"{row}.png") for row in rows]
    missing = [one for pair in pairs for one in pair if not one.is_file()]
    if missing:
        raise UsageError(f"voc: {len(missing)} files that {path} lists are missing, such as {missing[0]}")
    return pairs

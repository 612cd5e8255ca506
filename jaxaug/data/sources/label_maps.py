"""Your own images with label maps: `path` names a folder with images/{train,val,test} and labels/{train,val,test}."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, Rows, assemble
from jaxaug.data.lazy_label_maps import LazyLabelMaps, lazy_pairs
from jaxaug.data.splits import SPLIT_WORDS, check_sources
from jaxaug.data.storage.image_reader import find_images
from jaxaug.data.storage.label_map_files import Classes, Layout, Pair, layout_of, read_pairs
from jaxaug.data.storage.paths import find_places


@register("data")
def label_maps(
    *,
    path: str = "",
    num_classes: int = 0,
    void: tuple[int, ...] = (255,),
    class_names: tuple[str, ...] = (),
    size: tuple[int, ...] = (),
    fit: str = "resize",
    cache: bool = False,
    lazy: bool = False,
    threads: int = 0,
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
) -> Dataset:
    """Loads images uint8 [N H W 3] and label maps [N H W], -1 for void, for the task "segmentation".

    The label map of images/train/a.jpg is labels/train/a.png, gray or with a palette: its numbers are the classes,
    never interpolated. validation (or val) and test are as in npz. Every file is read and checked before anything is
    trained.

    Args:
      path: the folder.
      num_classes: K; 0 for as many as class_names, or for the largest number in the training label maps + 1.
      void: numbers that stand for no class.
      class_names: K names; () for numbers.
      size: rows and columns that all are brought to; () where they are as large as the first.
      fit: how: "resize", bilinearly (nearest for label maps); or "pad" on the right and below, with black and void.
      cache: whether to keep the decoded arrays in `directory`, from where they are mapped into memory.
      lazy: whether images and label maps stay in their files, to be decoded batch by batch, in threads; that all were
        checked is kept in `directory`.
      threads: that decode lazy ones; 0 for four more than there are cores.
      validation_size: training rows to cut off for validation: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a folder or a label map is missing, a file cannot be read, its size is not that of its image, or it
        has a number that is no class; the message names it.
    """
    root = pathlib.Path(path).expanduser().absolute()
    if not path or not (root / "images" / "train").is_dir():
        raise UsageError(
            f"label_maps: set path to a folder with images/train, labels/train and the same for val and test; got "
            f"{path or 'none'}"
        )
    num_classes = num_classes or len(class_names)
    if class_names and len(class_names) != num_classes:
        raise UsageError(f"label_maps: {num_classes} classes need as many class_names, got {len(class_names)}")
    present = {s: next((n for n in names if (root / "images" / n).is_dir()), "") for s, names in SPLIT_WORDS.items()}
    pairs = {split: _pairs(root, name) for split, name in present.items() if name}
    check_sources(f"label_maps: {root}", validation_size, validation="validation" in pairs, test="test" in pairs)
    classes = Classes({i: i for i in range(num_classes)} | dict.fromkeys(void, -1) if num_classes else None, void)
    layout = layout_of("label_maps", pairs["train"][0], size, fit, classes)
    rows = rows_of("label_maps", pairs, root, layout, cache=cache, lazy=lazy, threads=threads, directory=directory)
    return dataset_of(
        "label_maps",
        rows,
        class_names=class_names or numbered(num_classes or largest(rows) + 1),
        validation_size=validation_size,
        seed=seed,
        files=files_of(pairs, root),
    )


def files_of(pairs: Mapping[str, Sequence[Pair]], root: pathlib.Path) -> list[str]:
    """The image of each row by the row's index: those of training, then those of validation."""
    return [pair.image.relative_to(root).as_posix() for split in pairs if split != "test" for pair in pairs[split]]


def rows_of(
    name: str,
    pairs: Mapping[str, Sequence[Pair]],
    root: pathlib.Path,
    layout: Layout,
    *,
    cache: bool,
    lazy: bool,
    threads: int,
    directory: str,
) -> Mapping[str, Rows]:
    """Images and label maps of each split, in memory, mapped into it, or lazy: the options of every such source.

    Raises:
      UsageError: both cache and lazy, or what is wrong with a file.
    """
    if cache and lazy:
        raise UsageError(f"{name}: set cache, for decoded arrays on disk, or lazy, for files, but not both")
    keep = find_places(directory).archives / name
    if lazy:
        return lazy_pairs(name, pairs, root, layout, keep, threads)
    return read_pairs(name, pairs, layout, keep if cache else None)


def dataset_of(
    name: str,
    rows: Mapping[str, Rows],
    *,
    class_names: Sequence[str],
    files: Sequence[str],
    validation_size: float = 0.0,
    seed: int = 0,
    **statistics: Any,
) -> Dataset:
    """The set of a source with label maps; without test rows the validation rows are reported on.

    statistics: mean, std and where they come from; by default they are computed from the training rows.
    """
    return assemble(
        name,
        rows["train"],
        rows.get("test"),
        num_classes=len(class_names),
        class_names=tuple(class_names),
        validation_size=validation_size,
        seed=seed,
        validation=rows.get("validation"),
        files=tuple(files),
        **statistics,
    )


def numbered(num_classes: int) -> tuple[str, ...]:
    """Names of classes that have none."""
    return tuple(map(str, range(num_classes)))


def largest(rows: Mapping[str, Rows]) -> int:
    """The largest class of the training rows."""
    label = rows["train"][1]
    if isinstance(label, LazyLabelMaps):
        return int(np.flatnonzero(label.counts.any(axis=0)).max(initial=0))
    return max(int(np.max(one)) for one in label)


def _pairs(root: pathlib.Path, split: str) -> list[Pair]:
    images = find_images(root / "images" / split, recursive=False).images
    if not images:
        raise UsageError(f"label_maps: there are no images in {root / 'images' / split}")
    folder = root / "labels" / split
    there = {one.stem: one for one in find_images(folder, recursive=False).images} if folder.is_dir() else {}
    missing = [image.name for image in images if image.stem not in there]
    if missing:
        raise UsageError(
            f"label_maps: {folder} has no label map for {len(missing)} of {len(images)} images, such as {missing[0]}"
        )
    return [Pair(image, there[image.stem]) for image in images]

"""Your own images, listed in a table: `path` names a .csv with the columns file and label."""

import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset
from jaxaug.data.image_table import ImageTable, read_image_table
from jaxaug.data.sources._decoded_files import assemble_files, check_image_options
from jaxaug.data.splits import SPLIT_WORDS, check_sources


@register("data")
def table(
    *,
    path: str = "",
    images: str = "",
    size: int = 0,
    channels: int = 0,
    cache: bool = False,
    statistics: str = "computed",
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
) -> Dataset:
    """Loads the images that a .csv names in `file` (or `path`), with the labels in `label`, as uint8 [N H W C].

    The classes are the labels, whole numbers by their size and all else by the alphabet. A column `split` says train,
    validation (or val) or test; without it all are training rows, to be cut by validation_size. Rows are in the
    table's order, and `Dataset.files` says which file a row is, as the table does. Training rows whose label is empty
    (or -1, among numbers) have the label -1, for tasks that learn from them. Images are read as by the set `folder`.

    Args:
      path: of the table.
      images: the folder that files are relative to; by default the table's own.
      size: side of the images, each cut to the square in its middle and resized (bicubic, antialiased); 0 where all are
        as large as the first.
      channels: 1 gray or 3 color; 0 for what the first image has.
      cache: whether to keep the decoded images in `directory`, where the next run finds them and from where they are
        mapped into memory (validation_size and train_size read the rows that are left into it).
      statistics: mean and std of the channels: "computed" from the training rows, or "imagenet" for its usual ones.
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: the table is missing or has another form, a class has no training row, an option is out of range, or
        an image is missing, cannot be read or is not like the first; the message names it.
    """
    if not path:
        raise UsageError("table: set path to a .csv with the columns file and label, and perhaps split")
    check_image_options("table", size, channels)
    file = pathlib.Path(path).expanduser().absolute()
    rows = read_image_table(file)
    root = pathlib.Path(images).expanduser().absolute() if images else file.parent
    splits = np.array(rows.splits if rows.splits is not None else ("train",) * len(rows.files))
    _check_classes(file, rows, splits)
    numbers = {split: np.flatnonzero(splits == split).tolist() for split in SPLIT_WORDS if split in splits}
    check_sources(f"table: {file}", validation_size, validation="validation" in numbers, test="test" in numbers)
    found = {split: [(root / rows.files[row], int(rows.label[row])) for row in of] for split, of in numbers.items()}
    _check_files(file, [path for of_split in found.values() for path, _ in of_split])
    return assemble_files(
        "table",
        root,
        found,
        rows.class_names,
        # As the table writes them, which is how tables of labels do, too.
        tuple(rows.files[row] for split, of in numbers.items() if split != "test" for row in of),
        size=size,
        channels=channels,
        cache=cache,
        statistics=statistics,
        validation_size=validation_size,
        seed=seed,
        directory=directory,
    )


def _check_classes(file: pathlib.Path, rows: ImageTable, splits: np.ndarray) -> None:
    trained = set(rows.label[(splits == "train") & (rows.label >= 0)].tolist())
    if not trained:
        raise UsageError(f"table: {file} has no training row with a label")
    without = [name for label, name in enumerate(rows.class_names) if label not in trained]
    if without:
        told = ", ".join(without[:10]) + ", ..." * (len(without) > 10)
        raise UsageError(
            f"table: {file} has no training row of the classes {told}, which other rows have: add some, or remove "
            "those rows"
        )
    unlabelled = np.flatnonzero((splits != "train") & (rows.label < 0))
    if unlabelled.size:
        row = int(unlabelled[0])
        raise UsageError(
            f"table: {file}, line {row + 2}: a {splits[row]} row needs a label, {rows.files[row]} has none"
        )


def _check_files(file: pathlib.Path, paths: list[pathlib.Path]) -> None:
    """Raises UsageError for files that are not there, before any is decoded."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise UsageError(
            f"table: {file} names {len(missing)} files that are not there, such as {missing[0]}: set images to the "
            "folder that they are relative to, or remove their rows"
        )

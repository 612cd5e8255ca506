"""A data set of image files: decoded, brought to one size, with the statistics that were asked for."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.statistics import IMAGENET
from jaxaug.data.storage import image_files
from jaxaug.data.storage.paths import find_places


def check_image_options(name: str, size: int, channels: int) -> None:
    """Raises UsageError unless images can be brought to that size and number of channels."""
    if size < 0 or channels not in (0, 1, 3):
        raise UsageError(f"{name}: size={size} must be 0 or more, and channels={channels} 0, 1 or 3")


def assemble_files(
    name: str,
    root: pathlib.Path,
    found: Mapping[str, Sequence[tuple[pathlib.Path, int]]],
    class_names: tuple[str, ...],
    files: tuple[str, ...] | None = None,
    *,
    size: int,
    channels: int,
    cache: bool,
    statistics: str,
    validation_size: float,
    seed: int,
    directory: str,
) -> Dataset:
    """The data set of some files.

    Args:
      name: of the set.
      root: the folder that `Dataset.files` is relative to, where these are not given.
      found: "train", and perhaps "validation" and "test", in this order -> (file, label) of each row.
      class_names: K names.
      files: of `Dataset.files`: what the rows but those of test are called.
      size: as the sources of image files take it, and all that follows.

    Raises:
      UsageError: an image cannot be read or is not like the first, or the statistics are none.
    """
    target = image_files.target_of(found["train"][0][0], size, channels)
    mean, std = _statistics(name, statistics, target.channels)
    paths = {split: [path for path, _ in rows] for split, rows in found.items()}
    keep = find_places(directory).archives / "folder" if cache else None
    decoded = image_files.decoded(paths, target) if keep is None else image_files.cached(paths, target, keep)
    rows = {split: (decoded[split], np.array([label for _, label in of], np.int32)) for split, of in found.items()}
    numbered = [path for split in found if split != "test" for path in paths[split]]
    return assemble(
        name,
        rows["train"],
        rows.get("test"),
        num_classes=len(class_names),
        class_names=class_names,
        mean=mean,
        std=std,
        statistics_source="ImageNet's usual recipes" if mean else "",
        validation_size=validation_size,
        seed=seed,
        validation=rows.get("validation"),
        files=tuple(path.relative_to(root).as_posix() for path in numbered) if files is None else files,
    )


def _statistics(name: str, word: str, channels: int) -> tuple[Any, Any]:
    """(mean, std), or None twice for those of the training rows."""
    if word == "computed":
        return None, None
    if word != "imagenet" or channels != 3:
        raise UsageError(
            f'{name}: statistics={word!r} must be "computed", or "imagenet" for images of 3 channels; '
            f"these have {channels}"
        )
    return IMAGENET

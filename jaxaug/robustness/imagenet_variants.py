"""Other test photographs for networks trained on ImageNet: ImageNet-C and ImageNet-V2, read from their folders.

ImageNet-C (Hendrycks and Dietterich 2019) is <corruption>/<severity>/<class>/*.JPEG, ImageNet-V2 (Recht et al. 2019) a
folder for each way of choosing, with the classes 0 to 999.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.lazy_images import LazyImages
from jaxaug.data.photographs import Photographs
from jaxaug.data.storage.file_table import TAR, find_members, labels_of, table_of
from jaxaug.data.storage.paths import find_places
from jaxaug.robustness.base import Level, Protocol
from jaxaug.robustness.corruptions import BENCHMARK, SEVERITIES

VERSIONS = ("matched-frequency", "threshold-0.7", "top-images")


@register("robustness")
def imagenet_c(
    data: Dataset, *, names: tuple[str, ...] = BENCHMARK, folder: str = "", resize: int = 0, directory: str = ""
) -> Protocol:
    """The error of each corruption at each of five severities; the metric is their plain mean, not `mCE`.

    Args:
      data: a set of photographs, `imagenet`.
      names: of the corruptions, which are those of their folders; by default the benchmark's 15.
      folder: with <corruption>/<severity>/<class>/<image>; by default `imagenet-c` in the folder of data sets.
      resize: the shorter side before the middle is cut out; 0 for none, as the published images have 224 pixels.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a folder is missing, or the data are no photographs.
    """
    root = pathlib.Path(folder).expanduser().absolute() if folder else find_places(directory).archives / "imagenet-c"
    places = {(name, level): root / name / str(level) for name in names for level in range(1, SEVERITIES + 1)}
    missing = [place for place in places.values() if not place.is_dir()]
    if missing:
        raise UsageError(
            f"imagenet_c: there is no folder {missing[0]} ({len(missing)} of {len(places)} are missing): unpack the "
            "archives of ImageNet-C into one folder and set folder to it, or names to the corruptions that are there"
        )
    levels = [Level(name, level, split=_reader(data, place, resize)) for (name, level), place in places.items()]
    return Protocol("severity", "imagenet_c_error", tuple(levels))


@register("robustness")
def imagenet_v2(
    data: Dataset, *, versions: tuple[str, ...] = ("matched-frequency",), folder: str = "", directory: str = ""
) -> Protocol:
    """The error on newly collected test photographs, those of `val` resized and cut likewise; of several, their mean.

    Args:
      data: a set of photographs, `imagenet`.
      versions: "matched-frequency", which most papers report, "threshold-0.7" or "top-images".
      folder: with a folder or a .tar imagenetv2-<version>-format-val of <class>/<image>, as published; by default
        `imagenet-v2` in the folder of data sets. If it holds classes itself, these are evaluated, whatever they are.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a folder is missing, or the data are no photographs.
    """
    root = pathlib.Path(folder).expanduser().absolute() if folder else find_places(directory).archives / "imagenet-v2"
    if not root.is_dir():
        raise UsageError(f"imagenet_v2: there is no folder {root}: unpack ImageNet-V2 there, or set folder")
    named = [(version, _version(root, version)) for version in versions]
    found = [(version, place) for version, place in named if place is not None]
    if not found and not any("imagenetv2" in entry.name for entry in root.iterdir()):
        found = [(root.name, root)]
    if len(found) not in (1, len(versions)) or not found:
        lacking = ", ".join(version for version, place in named if place is None)
        raise UsageError(
            f"imagenet_v2: {root} lacks {lacking}; of the published versions {', '.join(VERSIONS)} name those that are "
            "there in versions"
        )
    levels = [Level(version, 1, split=_reader(data, place)) for version, place in found]
    return Protocol("ImageNet-V2", "imagenet_v2_error", tuple(levels))


def _version(root: pathlib.Path, version: str) -> pathlib.Path | None:
    names = (version, f"imagenetv2-{version}", f"imagenetv2-{version}-format-val")
    places = [root / f"{name}{ending}" for name in names for ending in ("", TAR)]
    return next((place for place in places if place.exists()), None)


def _reader(data: Dataset, place: pathlib.Path, resize: int | None = None) -> Callable[[], Split]:
    """Reads the list of files when asked; resize: None for that of the test rows."""
    images = data.test.image
    if not (isinstance(images, LazyImages) and isinstance(images.source, Photographs)):
        raise UsageError(f"{data.name} is not read from photographs as they are needed: use the data set imagenet")
    source, threads = images.source, images.threads
    cut = source.cut if resize is None else dataclasses.replace(source.cut, resize=resize)

    def read() -> Split:
        members = find_members(place, place.parent)
        label = labels_of(members, data.class_names, str(place))
        photographs = source.like(table_of(members, place.parent), cut)
        rows = np.arange(len(members), dtype=np.int32)
        return Split(LazyImages(photographs, rows, threads), label, rows)

    return read

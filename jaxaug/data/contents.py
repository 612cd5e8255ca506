"""What a data set holds, told so that two readings of it can be compared: rows in full, images by a digest."""

from __future__ import annotations

import pathlib

import numpy as np

from jaxaug.core.digest import digest_of_array
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.lazy_images import LazyImages
from jaxaug.data.lazy_label_maps import LazyLabelMaps

# Mapped images up to this many bytes are read for their digest, in about a second; of larger ones their file is told.
READ_UP_TO = 2**30


def row_arrays(data: Dataset, pool: Split | None = None) -> dict[str, np.ndarray]:
    """Which rows there are: {split}_label and {split}_index of each split, int32 [N]; label maps as images are.

    Also clean_label, where some labels were changed on purpose, and files, UTF-8 [rows], where rows are files.

    Args:
      data: the set as a run sees it.
      pool: rows that a search keeps for itself.
    """
    found = {}
    for name, split in _splits(data, pool).items():
        found[f"{name}_index"] = np.asarray(split.index)
        if split.label.ndim == 1:
            found[f"{name}_label"] = np.asarray(split.label)
    if data.clean_label is not None:
        found["clean_label"] = data.clean_label
    if data.files is not None:
        found["files"] = np.array([name.encode() for name in data.files])
    return found


def image_digests(data: Dataset, pool: Split | None = None) -> dict[str, str]:
    """{split}_image -> the digest of its images: of what they hold, or of the file from which large ones are mapped.

    {split}_label, too, where rows have label maps.
    """
    known: dict[int, str] = {}  # two splits may be one
    found = {}
    for name, split in _splits(data, pool).items():
        if id(split.image) not in known:
            known[id(split.image)] = _digest(split.image)
        found[f"{name}_image"] = known[id(split.image)]
        if split.label.ndim > 1:
            found[f"{name}_label"] = _digest(split.label)
    return found


def _splits(data: Dataset, pool: Split | None) -> dict[str, Split]:
    return data.splits() if pool is None else {**data.splits(), "pool": pool}


def _digest(image: np.ndarray | LazyImages | LazyLabelMaps) -> str:
    if isinstance(image, LazyImages | LazyLabelMaps):
        return image.digest()
    if not isinstance(image, np.memmap) or image.nbytes <= READ_UP_TO or image.filename is None:
        return digest_of_array(np.asarray(image))
    path = pathlib.Path(image.filename)
    # The folder of decoded images is named for the names, sizes and times of the files they were decoded from.
    if path.parent.name.startswith("decoded-"):
        return f"{path.parent.name}/{path.name}"
    about = path.stat()
    return f"{path.name} {about.st_size} {about.st_mtime_ns}"

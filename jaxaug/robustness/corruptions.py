"""Common corruptions: the published files CIFAR-10-C and CIFAR-100-C (Hendrycks and Dietterich 2019), as they lie on
the disk: <corruption>.npy uint8 [5 N H W C], N rows for each severity in order, and labels.npy [5 N].
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import read_npy
from jaxaug.core.registry import register
from jaxaug.data.dataset import Dataset, Split
from jaxaug.data.storage.paths import find_places
from jaxaug.robustness.base import Level, Protocol

SEVERITIES = 5

# The benchmark's 15; the files hold four more, meant for tuning: speckle_noise, gaussian_blur, spatter, saturate.
BENCHMARK = (
    *("gaussian_noise", "shot_noise", "impulse_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness"),
    *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)

# data set -> (folder, archive that holds it)
PUBLISHED = {
    "cifar10": ("CIFAR-10-C", "https://zenodo.org/record/2535967/files/CIFAR-10-C.tar"),
    "cifar100": ("CIFAR-100-C", "https://zenodo.org/record/3555552/files/CIFAR-100-C.tar"),
}


@register("robustness")
def corruptions(
    data: Dataset, *, names: tuple[str, ...] = BENCHMARK, folder: str = "", directory: str = ""
) -> Protocol:
    """The error of each corruption at each of five severities; the metric is their plain mean.

    It is not the `mCE` of the papers on ImageNet-C, which divides by AlexNet's errors. The files are mapped, not read:
    one severity of one corruption at a time comes into memory.

    Args:
      data: the set whose corrupted test images are read.
      names: of the corruptions, which are those of their files; by default the benchmark's 15.
      folder: where the files are, for data sets of your own; by default they are looked for where data sets are.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.

    Raises:
      UsageError: a file is missing or not of the data set's shape and classes.
    """
    where = pathlib.Path(folder).expanduser() if folder else _find(data.name, directory)
    missing = [name for name in ("labels", *names) if not (where / f"{name}.npy").is_file()]
    if missing:
        raise UsageError(
            f"corruptions: {where} lacks {', '.join(f'{name}.npy' for name in missing)}. Unpack its archive again, or "
            "name the corruptions that are there in names."
        )
    labels = _open(where / "labels.npy").astype(np.int64)
    rows = len(labels) // SEVERITIES
    if labels.shape != (SEVERITIES * rows,) or not rows or labels.min() < 0 or labels.max() >= data.num_classes:
        raise UsageError(
            f"corruptions: {where / 'labels.npy'} has shape {labels.shape}; it must hold {SEVERITIES} x N labels, "
            f"0..{data.num_classes - 1}"
        )
    shape = (len(labels), *data.image_shape)
    levels = []
    for name in names:
        images = _open(where / f"{name}.npy")
        if images.shape != shape or images.dtype != np.uint8:
            raise UsageError(
                f"corruptions: {where / name}.npy is {images.dtype} {images.shape}; {data.name} needs uint8 {shape}"
            )
        levels += [
            Level(name, severity, split=_reader(images, labels, slice((severity - 1) * rows, severity * rows)))
            for severity in range(1, SEVERITIES + 1)
        ]
    return Protocol("severity", "corruption_error", tuple(levels))


def _reader(images: np.ndarray, labels: np.ndarray, part: slice) -> Callable[[], Split]:
    def read() -> Split:
        label = labels[part].astype(np.int32)
        return Split(np.array(images[part]), label, np.arange(len(label), dtype=np.int32))

    return read


def _open(path: pathlib.Path) -> np.ndarray:
    try:
        return read_npy(path, mapped=True)
    except UsageError as error:
        raise UsageError(f"corruptions: {error}. Unpack its archive again.") from error


def _find(name: str, directory: str) -> pathlib.Path:
    """The folder of a published set."""
    if name not in PUBLISHED:
        raise UsageError(
            f"corruptions: files are published for {' and '.join(PUBLISHED)}, not for {name!r}. Leave this protocol "
            "out, or set folder to files of your own in their format."
        )
    folder, archive = PUBLISHED[name]
    places = find_places(directory)
    candidates = list(
        dict.fromkeys(root / folder for root in (places.archives, places.archives / name, places.prepared))
    )
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    looked = "\n".join(f"  {candidate}" for candidate in candidates)
    raise UsageError(
        f"corruptions: {folder} is not on this machine. Looked for:\n{looked}\nGet it (2.9 GB) with\n"
        f"  mkdir -p {places.archives} && curl -L {archive} | tar -xf - -C {places.archives}\n"
        "or leave this protocol out."
    )

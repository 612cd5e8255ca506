"""SVHN: 73 257 + 26 032 (+ 531 131 extra) digits of house numbers, color, 32x32 (Netzer et al. 2011)."""

import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.data import published
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.storage import archive

# sha256 as tensorflow-datasets registers them (datasets/svhn_cropped/checksums.tsv).
ARCHIVES = {
    split: archive.Archive(
        file=f"{split}_32x32.mat",
        url=f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat",
        sha256=sha256,
    )
    for split, sha256 in {
        "train": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
        "test": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
        "extra": "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3",
    }.items()
}
# AutoDO's released code.
MEAN = (0.4377, 0.4438, 0.4728)
STD = (0.1980, 0.2010, 0.1970)


def decode_mat(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """(image uint8 [N 32 32 3], label int32 [N] 0..9) of one .mat file, in which the digit 0 is labelled 10.

    Raises:
      UsageError: not such a file.
    """
    import scipy.io

    try:
        content = scipy.io.loadmat(path)
        image = np.ascontiguousarray(content["X"].transpose(3, 0, 1, 2))
        return image, content["y"].reshape(-1).astype(np.int32) % 10
    # loadmat has errors of its own for damaged files, of no common kind.
    except Exception as error:
        raise UsageError(f"{path} cannot be read as an SVHN .mat file: {error}") from error


def _read(splits: tuple[str, ...], directory: str, download: bool) -> published.Arrays:
    def decode(paths: tuple[pathlib.Path, ...]) -> published.Arrays:
        arrays = {}
        for split, path in zip(splits, paths, strict=True):
            arrays[f"{split}_image"], arrays[f"{split}_label"] = decode_mat(path)
        return arrays

    files = tuple(ARCHIVES[split] for split in splits)
    stock = published.PublishedSet("svhn", files, decode, prepared="svhn_cropped", splits=splits)
    return published.read(stock, directory, download)


@register("data")
def svhn(
    *,
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
    download: bool = True,
    extra: bool = False,
) -> Dataset:
    """Loads SVHN.

    Args:
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.
      download: whether to fetch the official archive where no copy is found.
      extra: whether to train on the 531 131 extra rows too, after the others (2 GB in memory).

    Returns:
      Images uint8 [N 32 32 3].

    Raises:
      UsageError: the set is missing or damaged, or an option is out of range.
    """
    arrays = _read(("train", "test"), directory, download)
    image, label = arrays["train_image"], arrays["train_label"]
    if extra:
        more = _read(("extra",), directory, download)
        image = np.concatenate([image, more["extra_image"]])
        label = np.concatenate([label, more["extra_label"]])
    return assemble(
        "svhn",
        (image, label),
        (arrays["test_image"], arrays["test_label"]),
        num_classes=10,
        class_names=tuple("0123456789"),
        mean=MEAN,
        std=STD,
        statistics_source="AutoDO's released code",
        validation_size=validation_size,
        seed=seed,
    )

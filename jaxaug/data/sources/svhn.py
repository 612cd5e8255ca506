"""SVHN: 73 257 + 26 032 (+ 531 131 extra) digits of house numbers, colour, 32x32 (Netzer et al. 2011)."""

import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
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


def _read(splits: tuple[str, ...], config) -> published.Arrays:
    def decode(paths):
        arrays = {}
        for split, path in zip(splits, paths, strict=True):
            arrays[f"{split}_image"], arrays[f"{split}_label"] = decode_mat(path)
        return arrays

    files = tuple(ARCHIVES[split] for split in splits)
    return published.read(published.PublishedSet("svhn", files, decode, prepared="svhn_cropped", splits=splits), config)


def load(config) -> Dataset:
    """Loads SVHN; `config.extra=True` appends the extra rows to the training rows (2 GB in memory).

    Args:
      config: name, validation_size, seed, dir, download; extra, False by default.

    Returns:
      Images uint8 [N 32 32 3].

    Raises:
      UsageError: the set is missing or damaged, or an option is out of range.
    """
    arrays = _read(("train", "test"), config)
    image, label = arrays["train_image"], arrays["train_label"]
    if config.get("extra", False):
        more = _read(("extra",), config)
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
        validation_size=config.validation_size,
        seed=config.seed,
    )

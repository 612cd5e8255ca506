"""CIFAR-10: 50 000 + 10 000 color photographs, 32x32, ten classes (Krizhevsky 2009)."""

from jaxaug.core.registry import register
from jaxaug.data import published
from jaxaug.data.dataset import Dataset
from jaxaug.data.sources import _cifar_archive
from jaxaug.data.storage import archive

# sha256 as Keras records it (keras/datasets/cifar10.py); the authors' page gives the
# md5 c58f30108f718f92721af3b95e74349a.
ARCHIVES = (
    archive.Archive(
        file="cifar-10-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
)
MEMBERS = {
    "train": tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
    "test": ("cifar-10-batches-py/test_batch",),
}
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@register("data")
def cifar10(
    *,
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
    download: bool = True,
    statistics: str = "isda",
) -> Dataset:
    """Loads CIFAR-10.

    Args:
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.
      download: whether to fetch the official archive where no copy is found.
      statistics: mean and std of the channels: those of the released code of "isda", "deepaa" or "autodo", or
        "computed" from the training rows.

    Returns:
      Images uint8 [N 32 32 3].

    Raises:
      UsageError: the set is missing or damaged, or an option is out of range.
    """
    source = published.PublishedSet(
        name="cifar10",
        archives=ARCHIVES,
        decode=lambda paths: _cifar_archive.decode(paths[0], MEMBERS, b"labels"),
        prepared="cifar10",
    )
    return _cifar_archive.load_cifar(
        source,
        CLASS_NAMES,
        validation_size=validation_size,
        seed=seed,
        directory=directory,
        download=download,
        statistics=statistics,
    )

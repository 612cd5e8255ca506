"""CIFAR-10: 50 000 + 10 000 colour photographs, 32x32, ten classes (Krizhevsky 2009)."""

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


def load(config) -> Dataset:
    """Loads CIFAR-10.

    Args:
      config: name, validation_size, seed, dir, download; statistics "isda" (default) or "computed".

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
    return _cifar_archive.load_cifar(source, config, CLASS_NAMES)

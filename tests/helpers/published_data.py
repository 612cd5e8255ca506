"""What tests of the data share: small copies of the published sets in their folders, and a short way to load them."""

import importlib

import numpy as np
import pytest

from helpers import dataset_copies as copies
from jaxaug import data
from jaxaug.data.sources import cifar10, cifar100, fashion_mnist

COLOR, GRAY = (32, 32, 3), (28, 28, 1)
STOCK = ("cifar10", "cifar100", "svhn", "mnist", "fashion_mnist")
PREPARED = {"cifar10": "cifar10", "cifar100": "cifar100", "svhn": "svhn_cropped"}


def load(name, folder="", **options):
    return data.load(name, **{"directory": str(folder), "download": False, **options})


def rows_of(name):
    """(train, test) of a small copy of a set."""
    shape = COLOR if name in PREPARED else GRAY
    classes = 100 if name == "cifar100" else 10
    return copies.rows(200, shape, classes, 1), copies.rows(100, shape, classes, 2)


def write_archives(name, folder):
    """Writes the official archives of a set into `folder`; returns its rows."""
    train, test = rows_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    if name == "svhn":
        for split, arrays in {"train": train, "test": test, "extra": copies.rows(50, COLOR, 10, 3)}.items():
            copies.write_svhn(folder / f"{split}_32x32.mat", *arrays)
    elif name.startswith("cifar"):
        module, key = (cifar10, b"labels") if name == "cifar10" else (cifar100, b"fine_labels")
        copies.write_cifar(folder / module.ARCHIVES[0].file, module.MEMBERS, key, train, test)
    else:
        copies.write_idx(folder, train, test)
    return train, test


def register(monkeypatch, name, folder):
    """Records the small copies' checksums in place of the published ones."""
    module = importlib.import_module(f"jaxaug.data.sources.{name}")
    if name == "svhn":
        small = {key: copies.register(one, folder / one.file) for key, one in module.ARCHIVES.items()}
    else:
        small = tuple(copies.register(one, folder / one.file) for one in module.ARCHIVES)
    monkeypatch.setattr(module, "ARCHIVES", small)
    return list(small.values()) if name == "svhn" else list(small)


# Active in the test files that import it, and in no other.
@pytest.fixture(autouse=True)
def no_outside(monkeypatch, tmp_path):
    """Tests see neither this machine's data nor its network."""
    import pooch

    def refuse(url, **options):
        raise OSError(f"Failed to resolve host of {url}")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", str(tmp_path / "debian"))
    monkeypatch.delenv("JAXAUG_DATA_DIR", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def assert_rows(data, train, test):
    for split, (image, label) in ((data.train, train), (data.test, test)):
        np.testing.assert_array_equal(split.image, image)
        np.testing.assert_array_equal(split.label, label)
        np.testing.assert_array_equal(split.index, np.arange(len(label)))
        assert (split.image.dtype, split.label.dtype, split.index.dtype) == (np.uint8, np.int32, np.int32)


def small(train=None, test=None, **options):
    train = train or copies.rows(12, (4, 4, 1), 3)
    test = test or copies.rows(6, (4, 4, 1), 3)
    return data.assemble("small", train, test, **{"num_classes": 3, "class_names": ("a", "b", "c"), **options})

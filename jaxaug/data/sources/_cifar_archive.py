"""The python archives of CIFAR-10 and CIFAR-100: pickled batches inside a tarball.

Nothing here is read before the archive's checksum was verified, and the unpickler can build numpy arrays
only.
"""

import pathlib
import pickle
import tarfile
import typing
from collections.abc import Mapping

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick
from jaxaug.data import published
from jaxaug.data.dataset import Dataset, assemble

# Mean and std per channel, by whose released code normalises with them.
_ISDA = ((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255))
_DEEPAA = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))  # its deviations are means over single images
STATISTICS = {
    "cifar10": {"isda": _ISDA, "deepaa": _DEEPAA, "autodo": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))},
    "cifar100": {"isda": _ISDA, "deepaa": _DEEPAA, "autodo": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))},
}

# The batch files of each split, in order.
Members = Mapping[str, tuple[str, ...]]
# What reading a tarball or a pickle that is not as expected raises.
_DAMAGE = (AttributeError, EOFError, IndexError, KeyError, OSError, TypeError, ValueError)


def _dtype(name: typing.Any, align: int = False, copy: int = False) -> np.dtype:
    # Python 2 pickled these flags as integers, about which numpy 2.4 warns.
    return np.dtype(name, align=bool(align), copy=bool(copy))


class _ArraysOnly(pickle.Unpickler):
    """Unpickles dictionaries, lists, bytes, numbers and numpy arrays, and refuses everything else."""

    def find_class(self, module: str, name: str) -> typing.Any:
        # numpy renamed numpy.core to numpy._core in 2.0; the archives are older.
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.ndarray([0]).__reduce__()[0]
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return np.ndarray if name == "ndarray" else _dtype
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which image data has no use for")


def _unpickle(file: typing.Any) -> dict[bytes, typing.Any]:
    return _ArraysOnly(file, encoding="bytes").load()


def decode(path: pathlib.Path, members: Members, label_key: bytes) -> published.Arrays:
    """Reads the batches of an archive whose checksum was verified; nothing is written to disk.

    Args:
      path: the .tar.gz.
      members: the files of each split, in order.
      label_key: the key of the labels in each batch.

    Returns:
      {split}_image uint8 [N 32 32 3] and {split}_label int32 [N].

    Raises:
      UsageError: the archive does not hold such batches, or a pickle that asks for more than arrays.
    """
    arrays = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for split, files in members.items():
                batches = [_unpickle(archive.extractfile(name)) for name in files]
                flat = np.concatenate([batch[b"data"] for batch in batches])
                # Rows hold the three color planes one after the other.
                image = flat.astype(np.uint8, casting="no").reshape(-1, 3, 32, 32)
                arrays[f"{split}_image"] = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
                label = np.concatenate([batch[label_key] for batch in batches])
                arrays[f"{split}_label"] = label.astype(np.int32)
    except (*_DAMAGE, tarfile.TarError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path} cannot be read as a CIFAR archive: {error}") from error
    return arrays


def load_cifar(
    source: published.PublishedSet,
    class_names: tuple[str, ...],
    *,
    validation_size: float,
    seed: int,
    directory: str,
    download: bool,
    statistics: str,
) -> Dataset:
    """One of the two sets; for the options see `cifar10`.

    Args:
      source: where the set is published.
      class_names: K names.

    Raises:
      UsageError: another word for the statistics, or the set is missing.
    """
    known = {**STATISTICS[source.name], "computed": (None, None)}
    mean, std = pick(f"statistics of {source.name}", statistics, known)
    arrays = published.read(source, directory, download)
    return assemble(
        source.name,
        (arrays["train_image"], arrays["train_label"]),
        (arrays["test_image"], arrays["test_label"]),
        num_classes=len(class_names),
        class_names=class_names,
        mean=mean,
        std=std,
        statistics_source=f"the released code of {statistics}",
        validation_size=validation_size,
        seed=seed,
    )

"""Data sets, and the way of their rows to the devices.

`load("cifar10", validation_size=5000)` gives a `Dataset` of three `Split`s of plain NumPy arrays. Where sets are looked
for: `find_places`. What is named below `_LAZY` needs JAX, which is imported only when one of it is asked for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxaug.core.lazy import lazy_names
from jaxaug.data.catalog import list_datasets as list
from jaxaug.data.catalog import load
from jaxaug.data.corruption import corrupt
from jaxaug.data.dataset import Dataset, Split, assemble
from jaxaug.data.splits import stratified_split, subset_rows
from jaxaug.data.statistics import channel_statistics
from jaxaug.data.storage.paths import find_places

if TYPE_CHECKING:
    from jaxaug.data.loader import Loader, RowSource
    from jaxaug.data.sampler import epoch_order, evaluation_rows, take, training_rows

_LAZY = {
    "Loader": "loader",
    "RowSource": "loader",
    "epoch_order": "sampler",
    "evaluation_rows": "sampler",
    "take": "sampler",
    "training_rows": "sampler",
}

__all__ = [
    "Dataset",
    "Loader",
    "RowSource",
    "Split",
    "assemble",
    "channel_statistics",
    "corrupt",
    "epoch_order",
    "evaluation_rows",
    "find_places",
    "list",
    "load",
    "stratified_split",
    "subset_rows",
    "take",
    "training_rows",
]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> Sequence[str]:
    return __all__

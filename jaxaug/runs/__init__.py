"""A run on disk: its folder, checkpoints, records and results. Knows no training.

`Workdir` is the folder, `Checkpointer` the states in it; the names of its files are constants of
`jaxaug.runs.workdir`. All of it is imported when it is asked for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxaug.core.lazy import lazy_names

if TYPE_CHECKING:
    from jaxaug.runs.checkpoint import Checkpointer, all_finite, tree_structure
    from jaxaug.runs.history import append_record, read_history, write_history
    from jaxaug.runs.provenance import environment
    from jaxaug.runs.results import format_mean_std, summarize_history
    from jaxaug.runs.workdir import Workdir, fingerprint, read_config

_LAZY = {
    "Checkpointer": "checkpoint",
    "Workdir": "workdir",
    "all_finite": "checkpoint",
    "append_record": "history",
    "environment": "provenance",
    "fingerprint": "workdir",
    "format_mean_std": "results",
    "read_config": "workdir",
    "read_history": "history",
    "summarize_history": "results",
    "tree_structure": "checkpoint",
    "write_history": "history",
}

__all__ = [
    "Checkpointer",
    "Workdir",
    "all_finite",
    "append_record",
    "environment",
    "fingerprint",
    "format_mean_std",
    "read_config",
    "read_history",
    "summarize_history",
    "tree_structure",
    "write_history",
]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> Sequence[str]:
    return __all__

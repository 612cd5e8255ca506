"""A run on disk: its folder, checkpoints, records and results. Knows no training.

`Workdir` is the folder, `Checkpointer` the states in it; the names of its files are constants of
`jaxaug.runs.workdir`. All of it is imported when it is asked for.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxaug.runs.checkpoint import Checkpointer, all_finite, tree_structure
    from jaxaug.runs.history import append_record, read_history, write_history
    from jaxaug.runs.provenance import environment
    from jaxaug.runs.results import format_mean_std, summarize_history
    from jaxaug.runs.workdir import Workdir, fingerprint, read_config

_FACE = {
    "checkpoint": ("Checkpointer", "all_finite", "tree_structure"),
    "history": ("append_record", "read_history", "write_history"),
    "provenance": ("environment",),
    "results": ("format_mean_std", "summarize_history"),
    "workdir": ("Workdir", "fingerprint", "read_config"),
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


def __getattr__(name: str) -> Any:
    for module, names in _FACE.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> Sequence[str]:
    return __all__

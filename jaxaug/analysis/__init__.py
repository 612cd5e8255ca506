"""Finished runs: one table of many, figures of one.

What makes figures needs JAX, which is imported only when one of them is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

# The function has the name of its module: bound here, it is what the name means from outside.
from jaxaug.analysis.aggregate import Group, Run, RunTable, aggregate

if TYPE_CHECKING:
    from jaxaug.analysis.run_figures import RunFigures, draw_run

_LAZY = {"RunFigures": "run_figures", "draw_run": "run_figures"}

__all__ = ["Group", "Run", "RunFigures", "RunTable", "aggregate", "draw_run"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

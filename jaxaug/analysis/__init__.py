"""Finished runs: one table of many, figures of one.

What makes figures needs JAX, which is imported only when one of them is asked for.
"""

from typing import TYPE_CHECKING

# The function has the name of its module: bound here, it is what the name means from outside.
from jaxaug.analysis.aggregate import Group, Run, RunTable, aggregate
from jaxaug.core.lazy import lazy_names

if TYPE_CHECKING:
    from jaxaug.analysis.run_figures import RunFigures, draw_run

_LAZY = {"RunFigures": "run_figures", "draw_run": "run_figures"}

__all__ = ["Group", "Run", "RunFigures", "RunTable", "aggregate", "draw_run"]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted(__all__)

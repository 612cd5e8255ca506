"""Runs: one table of many, figures and a page of one; and what a config does to images before it is one.

What makes figures needs JAX, which is imported only when one of them is asked for.
"""

from typing import TYPE_CHECKING

# The function has the name of its module: bound here, it is what the name means from outside.
from jaxaug.analysis.aggregate import Group, Run, RunTable, aggregate
from jaxaug.core.lazy import lazy_names

if TYPE_CHECKING:
    from jaxaug.analysis.pipeline_figure import draw_pipeline
    from jaxaug.analysis.run_figures import RunFigures, draw_run
    from jaxaug.analysis.run_report import write_report

_LAZY = {
    "RunFigures": "run_figures",
    "draw_pipeline": "pipeline_figure",
    "draw_run": "run_figures",
    "write_report": "run_report",
}

__all__ = ["Group", "Run", "RunFigures", "RunTable", "aggregate", "draw_pipeline", "draw_run", "write_report"]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted(__all__)

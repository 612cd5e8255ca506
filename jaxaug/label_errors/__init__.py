"""Which labels are probably wrong: scores from probabilities, and a report of a run for people.

`find(labels, probabilities)` needs NumPy alone and probabilities from any model, best from one that did not train on
the row itself. `write_report` tells people: a table of every row and a sheet of pictures of the worst.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxaug.core.lazy import lazy_names
from jaxaug.label_errors.confident import class_table, confident_joint
from jaxaug.label_errors.maps import MapIssues, find_in_maps
from jaxaug.label_errors.scores import LabelIssues, find, given_label_loss, precision, suggested_labels

if TYPE_CHECKING:
    from jaxaug.label_errors.report import write_report
    from jaxaug.label_errors.sheet import picture_sheet
    from jaxaug.label_errors.table import label_table

_LAZY = {"label_table": "table", "picture_sheet": "sheet", "write_report": "report"}

__all__ = [
    "LabelIssues",
    "MapIssues",
    "class_table",
    "confident_joint",
    "find",
    "find_in_maps",
    "given_label_loss",
    "label_table",
    "picture_sheet",
    "precision",
    "suggested_labels",
    "write_report",
]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> Sequence[str]:
    return __all__

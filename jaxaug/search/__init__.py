"""Methods that learn what describes the training data: AutoDO and DADA beside a training, DeepAA after it; and what one
of them has learned, used again."""

from jaxaug.search.autodo import BilevelSearch
from jaxaug.search.base import BilevelProblem, SearchContext, SearchMethod, SearchRun
from jaxaug.search.dada import DADA
from jaxaug.search.deepaa.plan import DeepAASearch
from jaxaug.search.learned import Learned

__all__ = [
    "DADA",
    "BilevelProblem",
    "BilevelSearch",
    "DeepAASearch",
    "Learned",
    "SearchContext",
    "SearchMethod",
    "SearchRun",
]


def __dir__() -> list[str]:
    return __all__

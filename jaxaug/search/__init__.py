"""Methods that learn what describes the training data: AutoDO and DADA beside a training, DeepAA after it."""

from jaxaug.search.autodo import BilevelSearch
from jaxaug.search.base import BilevelProblem, SearchContext, SearchMethod, SearchRun
from jaxaug.search.dada import DADA
from jaxaug.search.deepaa.plan import DeepAASearch

__all__ = ["DADA", "BilevelProblem", "BilevelSearch", "DeepAASearch", "SearchContext", "SearchMethod", "SearchRun"]


def __dir__() -> list[str]:
    return __all__

"""Learning from images alone: one file a method, what they share in `base.py`."""

from jaxaug.tasks.self_supervised.byol import BYOL
from jaxaug.tasks.self_supervised.simsiam import SimSiam

__all__ = ["BYOL", "SimSiam"]


def __dir__() -> list[str]:
    return __all__

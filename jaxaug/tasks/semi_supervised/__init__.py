"""Learning from few labels and many images: one file a method, what they share in `base.py`."""

from jaxaug.tasks.semi_supervised.fixmatch import FixMatch
from jaxaug.tasks.semi_supervised.flexmatch import FlexMatch
from jaxaug.tasks.semi_supervised.mean_teacher import MeanTeacher
from jaxaug.tasks.semi_supervised.pi_model import PiModel
from jaxaug.tasks.semi_supervised.temporal_ensembling import TemporalEnsembling
from jaxaug.tasks.semi_supervised.virtual_adversarial import VirtualAdversarialTraining

__all__ = ["FixMatch", "FlexMatch", "MeanTeacher", "PiModel", "TemporalEnsembling", "VirtualAdversarialTraining"]


def __dir__() -> list[str]:
    return __all__

"""What a model is trained for: one file a task."""

from jaxaug.tasks.base import Figure, Task
from jaxaug.tasks.classification import Classification
from jaxaug.tasks.segmentation import Segmentation
from jaxaug.tasks.self_supervised import BYOL, SimSiam
from jaxaug.tasks.semi_supervised import (
    FixMatch,
    FlexMatch,
    MeanTeacher,
    PiModel,
    TemporalEnsembling,
    VirtualAdversarialTraining,
)

__all__ = [
    "BYOL",
    "Classification",
    "Figure",
    "FixMatch",
    "FlexMatch",
    "MeanTeacher",
    "PiModel",
    "Segmentation",
    "SimSiam",
    "Task",
    "TemporalEnsembling",
    "VirtualAdversarialTraining",
]


def __dir__() -> list[str]:
    return __all__

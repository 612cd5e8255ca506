"""What a model is trained for: one file a task."""

from jaxaug.tasks.base import ShownMetric, Task
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
    "FixMatch",
    "FlexMatch",
    "MeanTeacher",
    "PiModel",
    "Segmentation",
    "ShownMetric",
    "SimSiam",
    "Task",
    "TemporalEnsembling",
    "VirtualAdversarialTraining",
]


def __dir__() -> list[str]:
    return __all__

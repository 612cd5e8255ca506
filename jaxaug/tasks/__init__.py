"""What a model is trained for: one file a task."""

from jaxaug.tasks.base import Figure, Task
from jaxaug.tasks.classification import Classification

__all__ = ["Classification", "Figure", "Task"]


def __dir__() -> list[str]:
    return __all__

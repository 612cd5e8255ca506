"""Published weights in and out: files of PyTorch to parameter trees and back, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

from jaxaug.models.weights.conversion import export, from_torch, load, read_torch, save, to_torch
from jaxaug.models.weights.fitting import Fitted, fit

__all__ = ["Fitted", "export", "fit", "from_torch", "load", "read_torch", "save", "to_torch"]


def __dir__() -> Sequence[str]:
    return __all__

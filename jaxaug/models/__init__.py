"""Networks, one file a family, behind one way to create, start and call them."""

from __future__ import annotations

from collections.abc import Sequence

from jaxaug.models.api import (
    Model,
    apply_head,
    apply_model,
    create,
    get_subtree,
    init_model,
    replace_arrays,
    replace_subtree,
    without_norms,
)
from jaxaug.models.api import list_models as list
from jaxaug.models.nnx_model import NNXModel

__all__ = [
    "Model",
    "NNXModel",
    "apply_head",
    "apply_model",
    "create",
    "get_subtree",
    "init_model",
    "list",
    "replace_arrays",
    "replace_subtree",
    "without_norms",
]


def __dir__() -> Sequence[str]:
    return __all__

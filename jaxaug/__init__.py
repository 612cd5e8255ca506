"""Learned data augmentation in JAX: ISDA, Soft Augmentation, DeepAA and AutoDO in one library and trainer.

    import jaxaug as ja

    loss = ja.losses.chain(ja.losses.label_smoothing(0.1), ja.losses.isda(strength=0.5))
    images, visible = ja.augment.apply_policy(key, images, ja.policies.randaugment(num_layers=2, magnitude=9))

Each package lists its public names under `dir`; `ja.list_names("model")` lists the components that a config may choose,
`ja.options("model", "wide_resnet")` what one can be told. Nothing is imported, JAX included, before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxaug import (
        augment,
        bilevel,
        data,
        inference,
        label_errors,
        losses,
        models,
        ops,
        optim,
        policies,
        robustness,
        search,
        tasks,
        train,
        viz,
    )
    from jaxaug.core.errors import UsageError
    from jaxaug.core.registry import list_names, options, register
    from jaxaug.inference.trained_run import load

__version__ = "0.1.0"
__all__ = [
    "UsageError",
    "__version__",
    "augment",
    "bilevel",
    "data",
    "inference",
    "label_errors",
    "list_names",
    "load",
    "losses",
    "models",
    "ops",
    "optim",
    "options",
    "policies",
    "register",
    "robustness",
    "search",
    "tasks",
    "train",
    "viz",
]
_SYMBOLS = {
    "UsageError": "jaxaug.core.errors",
    "load": "jaxaug.inference.trained_run",
    **dict.fromkeys(("list_names", "options", "register"), "jaxaug.core.registry"),
}


def __getattr__(name: str) -> Any:
    if name in _SYMBOLS:
        return getattr(importlib.import_module(_SYMBOLS[name]), name)
    if name in __all__:
        return importlib.import_module(f"jaxaug.{name}")
    raise AttributeError(f"module 'jaxaug' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

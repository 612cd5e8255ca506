"""ImageNet's networks under the names that torchvision and timm give them: a family with options that are set."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import flax.linen as nn

from jaxaug.core.registry import register
from jaxaug.models.convnext import ConvNeXt
from jaxaug.models.densenet import IMAGENET as DENSENETS
from jaxaug.models.densenet import DenseNet
from jaxaug.models.efficientnet import EfficientNet
from jaxaug.models.resnet import IMAGENET_STAGES, ResNet
from jaxaug.models.resnext import IMAGENET as RESNEXTS
from jaxaug.models.resnext import ResNeXt
from jaxaug.models.vit import ViT

# Tan and Le 2019, as released: factors of width and depth, dropout.
EFFICIENTNETS = {
    "b0": (1.0, 1.0, 0.2),
    "b1": (1.0, 1.1, 0.2),
    "b2": (1.1, 1.2, 0.3),
    "b3": (1.2, 1.4, 0.3),
    "b4": (1.4, 1.8, 0.4),
}
LARGE = {"stem": "imagenet"}
# name -> (family, what is set of it)
PUBLISHED: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    **{f"resnet{depth}": (ResNet, {**LARGE, "depth": depth}) for depth in IMAGENET_STAGES},
    **{
        f"resnext{depth}_{groups}x{width}d": (
            ResNeXt,
            {**LARGE, "depth": depth, "cardinality": groups, "base_width": width},
        )
        for depth, groups, width in RESNEXTS
    },
    **{
        f"densenet{depth}": (DenseNet, {**LARGE, "depth": depth, "growth_rate": growth})
        for depth, (_, growth) in DENSENETS.items()
    },
    **{
        f"efficientnet_{size}": (
            EfficientNet,
            {"width_factor": width, "depth_factor": depth, "dropout_rate": dropout},
        )
        for size, (width, depth, dropout) in EFFICIENTNETS.items()
    },
    "vit_s_16": (ViT, {"depth": 12, "width": 384, "num_heads": 6, "patch_size": 16}),
    "vit_b_16": (ViT, {"depth": 12, "width": 768, "num_heads": 12, "patch_size": 16}),
    "convnext_tiny": (ConvNeXt, {"blocks": (3, 3, 9, 3), "widths": (96, 192, 384, 768)}),
    "convnext_small": (ConvNeXt, {"blocks": (3, 3, 27, 3), "widths": (96, 192, 384, 768)}),
    "convnext_base": (ConvNeXt, {"blocks": (3, 3, 27, 3), "widths": (128, 256, 512, 1024)}),
}
OPEN = ("dropout_rate",)  # a name stands for a network, whose dropout may differ


def _constructor(name: str, family: type[nn.Module], chosen: dict[str, Any]) -> Callable[..., nn.Module]:
    """A function of the options that the name leaves open, with their defaults and documentation."""

    def create(num_classes: int, **options: Any) -> nn.Module:
        return family(num_classes, **{**chosen, **options})

    parameters = inspect.signature(family).parameters
    left = [
        p for p in parameters.values() if p.name not in ("parent", "name") and (p.name in OPEN or p.name not in chosen)
    ]
    left = [p.replace(default=chosen.get(p.name, p.default)) for p in left]
    create.__name__ = create.__qualname__ = name
    create.__signature__ = inspect.Signature(left)  # type: ignore[attr-defined]
    told = ", ".join(f"{key}={value!r}" for key, value in chosen.items() if key not in OPEN)
    of_family = (inspect.getdoc(family) or "").partition("\n\n")[2]
    create.__doc__ = f"{family.__name__} of ImageNet: {told}.\n\n{of_family}"
    return create


for _name, (_family, _chosen) in PUBLISHED.items():
    register("model", _name)(_constructor(_name, _family, _chosen))

"""Policies as other libraries have them: Python text for torchvision, and timm's strings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import IDENTITY, OPS
from jaxaug.policies import presets
from jaxaug.policies.policy import Policy, check_policy

# op -> the same by torchvision.transforms.functional as F, of PIL images pixel by pixel.
_AFFINE = "F.affine(image, angle=0.0, translate={}, scale=1.0, shear={}, center=[0, 0])"
_SHEAR = "math.degrees(math.atan(value))"
TORCHVISION = {
    IDENTITY: "image",
    "ShearX": _AFFINE.format("[0, 0]", f"[{_SHEAR}, 0.0]"),
    "ShearY": _AFFINE.format("[0, 0]", f"[0.0, {_SHEAR}]"),
    "ShiftX": _AFFINE.format("[int(value * F.get_image_size(image)[0]), 0]", "[0.0, 0.0]"),
    "ShiftY": _AFFINE.format("[0, int(value * F.get_image_size(image)[1])]", "[0.0, 0.0]"),
    "TranslateX": _AFFINE.format("[-value * F.get_image_size(image)[0], 0]", "[0.0, 0.0]"),
    "TranslateY": _AFFINE.format("[0, -value * F.get_image_size(image)[1]]", "[0.0, 0.0]"),
    "TranslateXAbs": _AFFINE.format("[-value, 0]", "[0.0, 0.0]"),
    "TranslateYAbs": _AFFINE.format("[0, -value]", "[0.0, 0.0]"),
    "Rotate": "F.rotate(image, value)",
    "Flip": "F.hflip(image)",
    "FlipVertical": "F.vflip(image)",
    "Brightness": "F.adjust_brightness(image, value)",
    "Color": "F.adjust_saturation(image, value)",
    "Contrast": "F.adjust_contrast(image, value)",
    "Sharpness": "F.adjust_sharpness(image, value)",
    "Posterize": "F.posterize(image, int(value))",
    "Solarize": "F.solarize(image, value)",
    "AutoContrast": "F.autocontrast(image)",
    "Equalize": "F.equalize(image)",
    "Invert": "F.invert(image)",
}
_PROGRAM = '''"""A policy of jaxaug for torchvision: `augment(image)` of a PIL image gives the pixels that jaxaug gives.

Written by jaxaug; it needs torchvision and not jaxaug.
"""

import math
import random

import torchvision.transforms.functional as F

# name -> function of (image, value)
OPERATIONS = {{
{operations}
}}
# (share, layers) of each sub-policy; a layer is one of its branches (probability, operation, value, mirrored value)
POLICY = [
{policy}
]


def augment(image):
    """The image by one random sub-policy."""
    share, layers = random.choices(POLICY, [share for share, _ in POLICY])[0]
    for layer in layers:
        _, name, value, mirrored = random.choices(layer, [branch[0] for branch in layer])[0]
        image = OPERATIONS[name](image, random.choice((value, mirrored)))
    return image
'''
_TIMM = """{text}
# The nearest that timm's strings can say. Unlike this policy timm applies each operation with probability 1/2, has
# Invert and SolarizeAdd and no Identity, keeps 4 bits or fewer where this one keeps 4 or more, and counts
# magnitudes to 10.
"""


def torchvision_code(policy: Policy) -> str:
    """A policy as Python text for torchvision.

    Args:
      policy: one for all rows.

    Returns:
      Two lines with the transform of torchvision where it has this policy by a name, else a module with
      `augment(image)`, which draws with Python's `random`.

    Raises:
      UsageError: an operation or a noise that torchvision has not, or a policy per training row.
    """
    _check_plain("torchvision", policy)
    named = named_in_torchvision(policy)
    if named:
        return f"from torchvision import transforms\n\naugment = transforms.{named}\n"
    used = _used(policy)
    missing = sorted(used - TORCHVISION.keys())
    if missing:
        raise UsageError(
            f"torchvision has no {', '.join(missing)}, so that it cannot do this policy: use style=json, and jaxaug's "
            "augment.Transform in a loader of torch"
        )
    values, (share, probability) = policy.values(), policy.probabilities()
    lines = []
    for s in range(len(share)):
        if share[s] > 0:
            layers = [
                _layer(policy, values[s, i], probability[s, i], policy.op[s, i]) for i in range(policy.op.shape[1])
            ]
            lines.append(f"    ({share[s]:.6g}, [{', '.join(layers)}]),")
    operations = [f"    {name!r}: lambda image, value: {TORCHVISION[name]}," for name in sorted(used)]
    return _PROGRAM.format(operations="\n".join(operations), policy="\n".join(lines))


def timm_string(policy: Policy) -> str:
    """RandAugment as timm's `rand_augment_transform` takes it, and in comments what differs.

    Args:
      policy: RandAugment of torchvision's operations.

    Raises:
      UsageError: another policy: timm's strings choose among its own tables and cannot spell one.
    """
    _check_plain("timm", policy)
    numbers = _randaugment(policy)
    if numbers is None:
        raise UsageError(
            "timm's strings name its own policies and cannot spell another; only RandAugment comes near one: use "
            "style=json or style=torchvision"
        )
    layers, magnitude = numbers
    return _TIMM.format(text=f"rand-m{round(magnitude / 3)}-n{layers}-inc1")


def named_in_torchvision(policy: Policy) -> str:
    """What torchvision calls this policy, such as "RandAugment(num_ops=2, magnitude=9)"; "" where it has no name."""
    numbers = _randaugment(policy)
    if numbers is not None:
        return f"RandAugment(num_ops={numbers[0]}, magnitude={numbers[1]})"
    made: dict[str, Callable[[], Policy]] = {"TrivialAugmentWide()": presets.trivialaugment}
    for dataset in ("cifar10", "svhn", "imagenet"):
        made[f"AutoAugment(transforms.AutoAugmentPolicy.{dataset.upper()})"] = _autoaugment(dataset)
    return next((name for name, make in made.items() if _same(policy, make())), "")


def _autoaugment(dataset: str) -> Callable[[], Policy]:
    return lambda: presets.autoaugment(dataset)


def _randaugment(policy: Policy) -> tuple[int, int] | None:
    """(layers, magnitude of 0..30), None if it is another policy."""
    layers = policy.op.shape[1]
    # Of the operations with levels Rotate tells the magnitude without rounding.
    found = policy.level[0, 0][policy.op[0, 0] == policy.names.index("Rotate")] if "Rotate" in policy.names else []
    magnitude = round(30 * float(found[0])) if len(found) else -1
    same = 0 <= magnitude <= 30 and _same(policy, presets.randaugment(layers, magnitude))
    return (layers, magnitude) if same else None


def _same(one: Policy, other: Policy) -> bool:
    facts = ("names", "ranges", "signed", "noise")
    if one.op.shape != other.op.shape or any(list(getattr(one, x)) != list(getattr(other, x)) for x in facts):
        return False
    arrays = zip(_arrays(one), _arrays(other), strict=True)
    return all(np.allclose(a, b, atol=1e-6) for a, b in arrays)


def _arrays(policy: Policy) -> tuple[Any, ...]:
    return policy.op, policy.level, *policy.probabilities()


def _check_plain(library: str, policy: Policy) -> None:
    check_policy(library, policy)
    if policy.mix.ndim != 1:
        raise UsageError(f"{library} has no policies per training row")
    other = sorted(set(policy.noise) - {"sign"})
    if other:
        raise UsageError(f"{library} draws no value with the noise {', '.join(other)}: use style=json")


def _used(policy: Policy) -> set[str]:
    """The operations that can happen."""
    share, probability = policy.probabilities()
    happens = (probability * share[:, None, None]) > 0
    return {policy.names[n] for n in np.unique(policy.op[happens])}


def _layer(policy: Policy, values: Any, probability: Any, ops: Any) -> str:
    branches = []
    for value, chance, number in zip(values, probability, ops, strict=True):
        name = policy.names[number]
        neutral = OPS[name].neutral
        mirrors = "sign" in policy.noise and name in policy.signed and neutral is not None
        mirrored = 2 * neutral - value if mirrors and neutral is not None else value
        if chance > 0:
            branches.append(f"({chance:.6g}, {name!r}, {_number(value)}, {_number(mirrored)})")
    return f"[{', '.join(branches)}]"


def _number(value: float) -> str:
    return repr(round(float(value), 10))

"""The published policies and the random ones, as `Policy`."""

from __future__ import annotations

import fnmatch
import functools
import itertools
import math
import pathlib
from collections.abc import Callable
from typing import Any

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick
from jaxaug.ops.registry import IDENTITY, OPS
from jaxaug.policies._deepaa import NAMES as DEEPAA
from jaxaug.policies._deepaa import deepaa, load_deepaa
from jaxaug.policies._published import GEOMETRIC, published
from jaxaug.policies.autodo import BLACK, affine, autodo_color, autodo_rand
from jaxaug.policies.policy import Policy, make_policy

ENHANCERS = ("Brightness", "Color", "Contrast", "Sharpness")
# torchvision's fourteen ops of RandAugment and TrivialAugment.
TORCHVISION: tuple[str, ...] = (
    IDENTITY,
    "ShearX",
    "ShearY",
    "ShiftX",
    "ShiftY",
    "Rotate",
    *ENHANCERS,
    "Posterize",
    "Solarize",
)
TORCHVISION += ("AutoContrast", "Equalize")
# Greatest value of each op: torchvision's RandAugment and AutoAugment (level 1 of theirs).
STANDARD = {
    **{"ShearX": (0.0, 0.3), "ShearY": (0.0, 0.3), "ShiftX": (0.0, 150 / 331), "ShiftY": (0.0, 150 / 331)},
    **{"Rotate": (0.0, 30.0), "Posterize": (8.0, 4.0), "Solarize": (255.0, 0.0)},
    **dict.fromkeys(ENHANCERS, (1.0, 1.9)),
}
# torchvision's TrivialAugmentWide; its translations are whole pixels up to 32.
WIDE = {
    **{"ShearX": (0.0, 0.99), "ShearY": (0.0, 0.99), "TranslateXAbs": (0.0, 32.0), "TranslateYAbs": (0.0, 32.0)},
    **{"Rotate": (0.0, 135.0), "Posterize": (8.0, 2.0), "Solarize": (255.0, 0.0)},
    **dict.fromkeys(ENHANCERS, (1.0, 1.99)),
}
SIGNED = (*GEOMETRIC, *ENHANCERS)


def randaugment(num_layers: int = 2, magnitude: int = 9, bins: int = 31) -> Policy:
    """RandAugment (Cubuk et al. 2020) as torchvision has it: some of 14 ops, all at one magnitude.

    Args:
      num_layers: ops for each image.
      magnitude: 0..bins - 1.
      bins: steps of the magnitude.

    Raises:
      UsageError: other numbers.
    """
    if num_layers < 1 or bins < 2 or not 0 <= magnitude < bins:
        raise UsageError(
            f"randaugment: num_layers must be at least 1, bins at least 2 and magnitude in 0..{bins - 1}, got "
            f"{num_layers}, {bins} and {magnitude}"
        )
    layer = [(name, _level(name, magnitude, bins, STANDARD), 1.0) for name in TORCHVISION]
    return make_policy([[layer] * num_layers], STANDARD, signed=SIGNED, noise=("sign",), cover=BLACK)


def trivialaugment(space: str = "wide", bins: int = 31) -> Policy:
    """TrivialAugment (Müller and Hutter 2021): one op of 14 at a uniform level.

    Args:
      space: the ranges of the values, "wide" or "standard".
      bins: levels of a range.

    Raises:
      UsageError: another space, fewer than 2 bins.
    """
    if bins < 2:
        raise UsageError(f"trivialaugment: bins must be at least 2, got {bins}")
    ranges = pick("space of trivialaugment", space, {"wide": WIDE, "standard": STANDARD})
    names = ["TranslateXAbs" if n == "ShiftX" and space == "wide" else n for n in TORCHVISION]
    names = ["TranslateYAbs" if n == "ShiftY" and space == "wide" else n for n in names]
    layer = [(name, _level(name, i, bins, ranges), 1.0) for name in names for i in range(bins)]
    return make_policy([[layer]], ranges, signed=SIGNED, noise=("sign",), cover=BLACK)


def uniformaugment(num_layers: int = 2) -> Policy:
    """UniformAugment (LingChen et al. 2020): ops of the AutoAugment family, each at a uniform value.

    Each is applied with a uniform probability, that is with 1/2.

    Args:
      num_layers: ops for each image.
    """
    names = [name for name in _FAMILY if name != "Cutout"]
    layer = [(IDENTITY, 0.0, 0.5), *((name, 1.0, 0.5 / len(names)) for name in names)]
    return make_policy([[layer] * num_layers], noise=("uniform",))


# The op table of Fast AutoAugment, DADA and UniformAugment; their ranges are those of the ops.
_FAMILY: tuple[str, ...] = (
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "AutoContrast",
    "Invert",
    "Equalize",
    "Solarize",
)
_FAMILY += ("Posterize", "Contrast", "Color", "Brightness", "Sharpness", "Cutout")


def autoaugment(dataset: str = "cifar10") -> Policy:
    """AutoAugment (Cubuk et al. 2019), ops and ranges as torchvision has them.

    Args:
      dataset: of whose search, "cifar10", "svhn" or "imagenet".

    Raises:
      UsageError: another one.
    """
    name = pick("policy of autoaugment", dataset, _AUTOAUGMENT)
    short = {"shearx": "ShearX", "sheary": "ShearY", "translatex": "ShiftX", "translatey": "ShiftY"}
    short |= {op.lower(): op for op in (*TORCHVISION, "Invert")}
    branches = []
    for sub in published("autoaugment.json")[name]:
        ops = [(short[op.lower()], chance, level) for op, chance, level in sub]
        branches.append([_or_nothing(op, _level(op, level, 10, STANDARD), chance) for op, chance, level in ops])
    return make_policy(branches, STANDARD, signed=SIGNED, noise=("sign",), cover=BLACK)


def fast_autoaugment(dataset: str = "cifar10") -> Policy:
    """Fast AutoAugment (Lim et al. 2019).

    Args:
      dataset: of whose search, "cifar10" (also used for CIFAR-100), "svhn" or "imagenet".

    Raises:
      UsageError: another one.
    """
    return _pairs("fast_autoaugment.json", pick("policy of fast_autoaugment", dataset, _FAST_AUTOAUGMENT))


def dada(dataset: str = "cifar10") -> Policy:
    """DADA (Li et al. 2020).

    Args:
      dataset: of whose search, "cifar10", "cifar100", "svhn" or "imagenet".

    Raises:
      UsageError: another one.
    """
    return _pairs("dada.json", pick("policy of dada", dataset, _DADA))


def dada_space() -> Policy:
    """What DADA (Li et al. 2020) searches: the 105 pairs of the 15 ops of the AutoAugment family, equally likely.

    Every op is done with probability 1/2, at level 1/2: where a search begins.
    """
    pairs = itertools.combinations([_or_nothing(name, 0.5, 0.5) for name in _FAMILY], 2)
    return make_policy([list(pair) for pair in pairs], signed=GEOMETRIC, noise=("sign",))


_AUTOAUGMENT = {"cifar10": "CIFAR10Policy", "svhn": "SVHNPolicy", "imagenet": "ImageNetPolicy"}
_FAST_AUTOAUGMENT = {"cifar10": "fa_reduced_cifar10", "svhn": "fa_reduced_svhn", "imagenet": "fa_resnet50_rimagenet"}
_DADA = {name: f"dada_reduced_{name}" for name in ("cifar10", "cifar100", "svhn")} | {
    "imagenet": "dada_resnet50_rimagenet"
}


def get(name: str, num_layers: int = 2, magnitude: int = 9) -> Policy:
    """A preset by one word, for example "randaugment", "trivialaugment_wide", "autoaugment_svhn" or "deepaa_cifar_2".

    Args:
      name: as `list_presets` gives it.
      num_layers: of RandAugment, UniformAugment and AutoDO's.
      magnitude: of RandAugment and AutoDO's.

    Raises:
      UsageError: an unknown name, with the nearest ones; numbers that the preset cannot have.
    """
    return pick("policy", name, every(num_layers, magnitude))()


def arguments_of(name: str) -> tuple[str, ...]:
    """Which of `num_layers` and `magnitude` a preset has.

    Raises:
      UsageError: an unknown name, with the nearest ones.
    """
    make = pick("policy", name, every())
    return tuple(make.keywords) if isinstance(make, functools.partial) else ()


def load(path: str | pathlib.Path) -> Policy:
    """Read a policy: one that `Policy.save` wrote, or an archive of DeepAA's code (.npz).

    Args:
      path: of the file. Ops that are not known yet are imported, see `Policy.load`.

    Returns:
      The policy, its arrays NumPy's.

    Raises:
      UsageError: the file is missing or is no policy, or an op's module cannot be imported.
    """
    return load_deepaa(path) if pathlib.Path(path).suffix == ".npz" else Policy.load(path)


def list_presets(pattern: str = "*") -> list[str]:
    """The names of presets, sorted.

    Args:
      pattern: as of file names, "*cifar*".
    """
    return sorted(fnmatch.filter(every(), pattern))


def every(num_layers: int = 2, magnitude: int = 9) -> dict[str, Callable[[], Policy]]:
    """name -> function of no arguments that makes the preset."""
    families: list[tuple[Any, Any]] = [
        (autoaugment, _AUTOAUGMENT),
        (fast_autoaugment, _FAST_AUTOAUGMENT),
        (dada, _DADA),
        (deepaa, DEEPAA),
        (trivialaugment, ("wide", "standard")),
    ]
    both = {"num_layers": num_layers, "magnitude": magnitude}
    return {
        "randaugment": functools.partial(randaugment, **both),
        "uniformaugment": functools.partial(uniformaugment, num_layers=num_layers),
        "affine": affine,
        "dada_space": dada_space,
        "autodo_rand": functools.partial(autodo_rand, **both),
        "autodo_color": functools.partial(autodo_color, **both),
        **{f"{make.__name__}_{word}": functools.partial(make, word) for make, words in families for word in words},
    }


def _level(name: str, i: int, bins: int, ranges: dict[str, tuple[float, float]]) -> float:
    """The level in [0, 1] of bin i; torchvision takes whole bits, and whole pixels."""
    level = i / (bins - 1)
    if OPS[name].unit == "bits":
        bits = ranges[name][0] - ranges[name][1]
        return round(i / ((bins - 1) / bits)) / bits
    if OPS[name].unit == "pixels":
        return math.floor(level * ranges[name][1]) / ranges[name][1]
    return level


def _or_nothing(name: str, level: float, chance: float) -> list[tuple[str, float, float]]:
    return [(name, level, chance), (IDENTITY, 0.0, 1.0 - chance)]


def _pairs(file: str, name: str) -> Policy:
    """Sub-policies of two (op, probability, level), levels cut to [0, 1] as DADA's code does."""
    branches = [
        [_or_nothing(op, min(max(level, 0.0), 1.0), min(max(chance, 0.0), 1.0)) for op, chance, level in sub]
        for sub in published(file)[name]
    ]
    return make_policy(branches, signed=GEOMETRIC, noise=("sign",))

"""What is trained: networks, batches, and how each method is set for them. Both sides read it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """model: its slot in jaxaug. strength, covariance: of ISDA, as its papers have them for such a network."""

    model: Mapping[str, Any]
    size: int
    batch: int
    classes: int
    covariance: str
    strength: float
    policy: str
    soft_crop: Mapping[str, Any]


CIFAR_CROP = {"sigma": 12.0, "fill": "constant", "fill_std": 0.01, "closing": 0.04}
IMAGENET_CROP = {"sigma": 0.3, "relative": True, "fill": "constant", "fill_std": 0.01, "closing": 0.04}
CASES = {
    "WRN-16-4": Case(
        {"name": "wide_resnet", "depth": 16, "widen_factor": 4}, 32, 64, 10, "full", 0.5, "deepaa_cifar_1", CIFAR_CROP
    ),
    "ResNet-18": Case({"name": "resnet", "depth": 18}, 32, 64, 100, "full", 0.5, "deepaa_cifar_1", CIFAR_CROP),
    "ResNet-50": Case(
        {"name": "resnet", "depth": 50, "stem": "imagenet"},
        *(224, 8, 1000, "diagonal", 7.5, "deepaa_imagenet_1", IMAGENET_CROP),
    ),
}
# Stochastic gradient descent of both sides.
OPTIMIZER = types.MappingProxyType({"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4})
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
BATCHES = 4  # of different training rows; as many rows as one batch are trusted
PRODUCT = 2048  # rows and columns of the matrices whose product tells what the cores can do


def isda_example(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(features [3 16 8], weight [5 8], labels [3 16]) of three batches, on which both sides' ISDA must agree."""
    random = np.random.default_rng(seed)
    features, weight = random.normal(size=(3, 16, 8)), random.normal(size=(5, 8))
    return features.astype(np.float32), weight.astype(np.float32), random.integers(0, 5, (3, 16))

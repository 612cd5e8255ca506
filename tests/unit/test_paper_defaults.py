"""Defaults that a paper prescribes, so that a slip of the keyboard in one of them is noticed."""

import inspect

import pytest

from jaxaug import bilevel, policies
from jaxaug.core.registry import defaults_of, resolve

PRESCRIBED = {
    # Wang et al. 2021 (ISDA): lambda_0 on CIFAR; 7.5 on ImageNet is in the configs.
    ("loss", "isda"): {
        "strength": 0.5,
        "covariance": "full",
        "schedule": "epoch",
        "order": "update_then_use",
        "keep": 1.0,
    },
    # Lin et al. 2017: gamma = 2 works best.
    ("loss", "focal"): {"gamma": 2.0},
    # Szegedy et al. 2016, section 7.
    ("loss", "label_smoothing"): {"amount": 0.1, "over": "all"},
    # Gudovskiy et al. 2021: alpha = 0.1.
    ("loss", "learned_targets"): {"smoothing": 0.1, "rank": 0},
    ("loss", "learned_weights"): {"normalize": "batch"},
    # Zhang et al. 2021: alpha = 0.5.
    ("loss", "online_label_smoothing"): {"hard": 0.5},
    # Liu et al. 2023: k = 2, certain where all is seen, never below chance.
    ("loss", "soft_targets"): {"power": 2.0, "threshold": 1.0, "top": 1.0, "floor": -1.0, "target": True},
    # The released crop: 12 of 32 pixels, and the last 20 of 500 epochs.
    ("augment", "soft_crop"): {"sigma": 12.0, "fill_std": 0.01, "closing": 0.04, "closing_ratio": 1000.0},
    # Zhang et al. 2018 and Yun et al. 2019 on CIFAR.
    ("augment", "mixup"): {"alpha": 1.0, "probability": 1.0, "closing": 0.0},
    ("augment", "cutmix"): {"alpha": 1.0, "probability": 1.0, "closing": 0.0},
    # DeVries and Taylor 2017; black before the normalisation.
    ("augment", "cutout"): {"length": 16, "value": 0.0, "holes": 1},
    # Zhong et al. 2020, with torchvision's bounds of the ratio.
    ("augment", "random_erasing"): {"probability": 0.5, "area": (0.02, 0.33), "ratio": (0.3, 3.3)},
    # Szegedy et al. 2015, as torchvision draws it.
    ("augment", "random_resized_crop"): {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3), "attempts": 10},
    # Chen et al. 2020 (SimCLR at half of its strength, as MoCo v2 has it).
    ("augment", "color_jitter"): {
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.1,
        "probability": 0.8,
    },
    ("augment", "grayscale"): {"probability": 0.2},
    ("augment", "gaussian_blur"): {"probability": 0.5, "sigma": (0.1, 2.0)},
    # Krizhevsky et al. 2012.
    ("augment", "lighting"): {"deviation": 0.1},
    ("augment", "pad_and_crop"): {"padding": 4},
    # Cubuk et al. 2020 for ImageNet, in torchvision's units.
    ("augment", "policy"): {"preset": "randaugment", "num_layers": 2, "magnitude": 9},
    # AutoDO's code: 5 terms at 0.01; every magnitude begins at half, every probability at a fifth.
    ("solver", "neumann"): {"steps": 5, "rate": 0.01},
    ("augment", "affine"): {"probability": 0.2, "magnitude": 0.5},
    # PyTorch's, which AutoDO's code takes; Kingma and Ba 2015.
    ("meta_optimizer", "rmsprop"): {"decay": 0.99, "eps": 1e-8},
    ("meta_optimizer", "adam"): {"b1": 0.9, "b2": 0.999, "eps": 1e-8},
    ("optimizer", "adamw"): {"b1": 0.9, "b2": 0.999, "eps": 1e-8},
    ("optimizer", "sgd"): {"momentum": 0.9, "nesterov": True},
    # DeepAA's code: 16 copies of an image, 64 validation images, Adam at 0.025, 13 levels.
    ("search", "deepaa"): {"images": 16, "validation": 64, "copies": 16, "learning_rate": 0.025, "levels": 13},
    # Chen et al. 2017 (DeepLab).
    ("schedule", "polynomial"): {"power": 0.9},
}


@pytest.mark.parametrize("component", PRESCRIBED, ids=lambda one: " ".join(one))
def test_default(component):
    found = defaults_of(resolve(*component))
    assert {name: found[name] for name in PRESCRIBED[component]} == PRESCRIBED[component]


def defaults(function):
    return {p.name: p.default for p in inspect.signature(function).parameters.values() if p.default is not p.empty}


def test_policies():
    """Numbers of layers and magnitudes as torchvision has them; DeepAA's signs as its evaluation draws them."""
    assert defaults(policies.randaugment) == {"num_layers": 2, "magnitude": 9, "bins": 31}
    assert defaults(policies.trivialaugment) == {"space": "wide", "bins": 31}
    assert defaults(policies.uniformaugment) == {"num_layers": 2}
    assert defaults(policies.deepaa)["sign"] is True


def test_solvers_of_the_public_face():
    assert defaults(bilevel.neumann)["rate"] == 0.01
    assert defaults(bilevel.neumann)["steps"] == 5

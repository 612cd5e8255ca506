"""Transforms of batches: what moves or changes pixels on the device, inside jit; and behind other data loaders."""

from jaxaug.augment.affine import affine
from jaxaug.augment.basic import cutout, flip, pad_and_crop
from jaxaug.augment.collate import Collate
from jaxaug.augment.color import color_jitter, gaussian_blur, grayscale, lighting
from jaxaug.augment.compose import (
    Augmented,
    Pipeline,
    build_pipeline,
    center_crop,
    compose,
    learned_transform_of,
    normalize,
)
from jaxaug.augment.crops import random_erasing, random_resized_crop
from jaxaug.augment.functional import apply_policy
from jaxaug.augment.host_transform import Transform
from jaxaug.augment.mixing import cutmix, mixup
from jaxaug.augment.policy_transform import policy
from jaxaug.augment.scale_and_crop import random_scale_and_crop
from jaxaug.augment.soft_crop import soft_crop
from jaxaug.augment.transform import BatchTransform, LearnedTransform

__all__ = [
    "Augmented",
    "BatchTransform",
    "Collate",
    "LearnedTransform",
    "Pipeline",
    "Transform",
    "affine",
    "apply_policy",
    "build_pipeline",
    "center_crop",
    "color_jitter",
    "compose",
    "cutmix",
    "cutout",
    "flip",
    "gaussian_blur",
    "grayscale",
    "learned_transform_of",
    "lighting",
    "mixup",
    "normalize",
    "pad_and_crop",
    "policy",
    "random_erasing",
    "random_resized_crop",
    "random_scale_and_crop",
    "soft_crop",
]


def __dir__() -> list[str]:
    return sorted(__all__)

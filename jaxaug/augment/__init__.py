"""Augmentation: everything that moves or changes pixels, on the device, inside jit."""

from jaxaug.augment.direct import apply_op, augment_batch
from jaxaug.augment.policies import Policy

__all__ = ["Policy", "apply_op", "augment_batch"]

"""Batch transforms: what moves or changes pixels on the device, inside jit."""

from jaxaug.augment.functional import apply_op, apply_policy

__all__ = ["apply_op", "apply_policy"]

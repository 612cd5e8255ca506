"""Labels that a user hands over with images, checked before anything is compiled."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxaug.core.arguments import refuse_tensors
from jaxaug.core.errors import UsageError


def check_labels(name: str, labels: Any, images: Any) -> None:
    """Raises UsageError unless labels are whole numbers, [B] or a map [B H W]."""
    refuse_tensors(name, "labels", labels)
    shape, dtype = np.shape(labels), getattr(labels, "dtype", np.dtype(type(labels)))
    if shape not in (images.shape[:1], images.shape[:3]) or not jnp.issubdtype(dtype, jnp.integer):
        raise UsageError(
            f"{name}: labels must be whole numbers of shape {images.shape[:1]}, or maps {images.shape[:3]}, got "
            f"{dtype} of shape {shape}; keep soft labels and others beside: rows stay in their order"
        )

"""The operation that changes nothing."""

from __future__ import annotations

from jaxaug.ops.backend import Array, Backend
from jaxaug.ops.definitions.sources import DEEPAA
from jaxaug.ops.registry import color_op


@color_op("Identity", source=DEEPAA)
def _identity(backend: Backend, image: Array, value: Array) -> Array:
    return image

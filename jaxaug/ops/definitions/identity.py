"""The operation that changes nothing."""

from __future__ import annotations

import jax

from jaxaug.ops.backend import Backend
from jaxaug.ops.definitions.sources import DEEPAA
from jaxaug.ops.registry import color


@color("Identity", source=DEEPAA)
def _identity(backend: Backend, image: jax.Array, value: jax.Array) -> jax.Array:
    return image

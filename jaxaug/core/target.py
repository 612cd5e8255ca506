"""What is being compiled for: the devices of a mesh, which need not be those of this process."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh


class Target(NamedTuple):
    """The platform, such as "cpu" or "tpu", and the mesh over whose devices rows are spread, None where unknown."""

    platform: str
    mesh: Mesh | None = None

    @property
    def devices(self) -> int:
        """How many devices the rows are spread over."""
        return 1 if self.mesh is None else self.mesh.size


_TARGET: contextvars.ContextVar[Target | None] = contextvars.ContextVar("target", default=None)


def platform_of(mesh: Mesh) -> str:
    """The platform of a mesh's devices."""
    return mesh.devices.flat[0].platform


def traced_for(mesh: Mesh, function: Callable) -> Callable:
    """`function`, which while it is traced finds the mesh's devices in `target`, whatever this process has itself."""
    found = Target(platform_of(mesh), mesh)

    @functools.wraps(function)
    def traced(*arguments: Any, **keywords: Any) -> Any:
        token = _TARGET.set(found)
        try:
            return function(*arguments, **keywords)
        finally:
            _TARGET.reset(token)

    return traced


def target() -> Target:
    """What is being traced for: the mesh of `traced_for`, else this process's default platform.

    Code that depends on the platform asks here, because what is compiled may be for other devices than those here.
    """
    return _TARGET.get() or Target(jax.default_backend())

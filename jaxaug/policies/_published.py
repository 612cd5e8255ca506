"""What the presets of several papers share: the tables that came with them, and which operations have a direction."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import Any

from jaxaug.ops.registry import OPS

GEOMETRIC = tuple(name for name, op in OPS.items() if op.signed)


@functools.lru_cache
def published(file: str) -> dict[str, Any]:
    """The tables of a file in `policies/published`."""
    return json.loads((importlib.resources.files("jaxaug") / "policies" / "published" / file).read_text())

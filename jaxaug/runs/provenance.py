"""What a run runs on, kept beside its results so that they can be explained later."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import jax

PACKAGES = ("jaxaug", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ml-collections", "numpy")


def environment() -> dict[str, Any]:
    """Code version, packages, devices and command, as plain values for JSON."""

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    return {
        "command": sys.argv,
        "code": _code_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: version(name) for name in PACKAGES},
        "devices": [str(d.device_kind) for d in jax.devices()],
        "processes": jax.process_count(),
    }


def _code_version() -> str:
    """The commit of the source tree, with '-dirty' if files differ from it; 'unknown' outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(
            command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()

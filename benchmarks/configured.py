"""The configs of configs/, by name."""

from __future__ import annotations

import importlib.util
import pathlib

from ml_collections import ConfigDict

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "configs"


def config_of(name: str) -> ConfigDict:
    """What `--config=configs/<name>.py` gives."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()

"""The configs of configs/, by name."""

from __future__ import annotations

import pathlib

from ml_collections import ConfigDict

import jaxaug as ja

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "configs"


def config_of(name: str) -> ConfigDict:
    """What `--config=configs/<name>.py` gives."""
    return ja.train.load_config_file(str(FOLDER / f"{name}.py"))

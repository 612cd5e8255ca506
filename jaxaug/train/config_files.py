"""Configs as files: found by path or name, read, and their mistakes told."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import inspect
import pathlib
import re
import sys
import traceback

from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import hint
from jaxaug.train.config import kind_in_words


def load_config_file(argument: str) -> ConfigDict:
    """The config of a file, or of one of jaxaug's own by its name; what stands after a colon goes to its get_config.

    The folder of the file becomes importable, so that a component of one's own may lie beside the config.

    Args:
      argument: for example "configs/isda_cifar.py:resnet-110", or "isda_cifar:resnet-110".

    Raises:
      UsageError: no such file, one without get_config, or a mistake in it.
    """
    file, _, word = argument.partition(":")
    path = _config_path(file)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"jaxaug_config_{path.stem}", path)
    if spec is None:
        raise UsageError(f"{file} is no Python file, whose name would end in .py: --config is one with get_config()")
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if word and not inspect.signature(module.get_config).parameters:
            raise UsageError(f"{file} takes no word after the colon, got {word!r}")
        return module.get_config(*([word] if word else []))
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(_mistake_in(path, file, error)) from error


def _mistake_in(path: pathlib.Path, file: str, error: Exception) -> str:
    """What an exception says of a config file, with its line if it came from one."""
    lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == str(path)]
    where = f"{file}, line {lines[-1]}" if lines else file
    found = re.match(r"Could not override field '(.*?)' .*?\. (.*) is of .*'(?:.*\.)?(.*)'>$", str(error), re.DOTALL)
    if isinstance(error, TypeError) and found:
        value = found[2].strip().replace("\n", ", ")
        return f"{where}: the config's field {found[1]!r} must be {kind_in_words(found[3])}, got {value}"
    if isinstance(error, AttributeError) and "has no attribute 'items'" in str(error):
        return f"{where}: a part of the config is to be {kind_in_words('ConfigDict')}: {error}"
    if isinstance(error, ValueError):  # what a get_config refuses
        return f"{file}: {error}"
    return f"{where} cannot be read: {type(error).__name__}: {error}"


def own_configs() -> dict[str, pathlib.Path]:
    """Name -> file of jaxaug's own configs: those of the checkout, else what was installed, wherever pip puts data."""
    checkout = pathlib.Path(__file__).parents[2]
    if (checkout / "pyproject.toml").is_file():
        return {path.stem: path for path in sorted((checkout / "configs").glob("*.py"))}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        files = importlib.metadata.files("jaxaug") or ()
        return {
            pathlib.PurePath(file).stem: pathlib.Path(str(file.locate())).resolve()
            for file in files
            if file.match("share/jaxaug/configs/*.py")
        }
    return {}


def _config_path(file: str) -> pathlib.Path:
    """The file itself, else one of jaxaug's own by its name."""
    own = own_configs()
    path = own.get(file) if not pathlib.Path(file).is_file() else pathlib.Path(file)
    if path is None:
        raise UsageError(
            f"there is no config {file}: --config is a Python file with get_config(), or a name; "
            f"{hint(file, list(own))}"
        )
    return path

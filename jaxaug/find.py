"""A name in a config is an address: `find("losses", "isda.isda")` imports `jaxaug.losses.isda` and takes `isda`.

There is no table to edit: a new file or function is found because it exists. A name that starts with the path
of another package (`my_project.losses.mine`) is imported from there.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from jaxaug.errors import UsageError


def find(family: str, name: str) -> Any:
    """The module or object that `name` stands for in `jaxaug.<family>`, else in any importable package.

    Raises UsageError, with the nearest valid names, if there is none.
    """
    for root in (f"jaxaug.{family}.", ""):
        path = root + name
        module, attributes = _longest_module(path)
        if module is None or (root == "" and not attributes and "." not in name):
            continue
        found: Any = importlib.import_module(module)
        try:
            for attribute in attributes:
                found = getattr(found, attribute)
        except AttributeError:
            continue
        if not name.split(".")[-1].startswith("_"):
            return found
    raise UsageError(_unknown(f"{family} name", name, names(family)))


def names(family: str) -> list[str]:
    """Every address of a family: its modules, and `module.function` of the public functions they define."""
    package = importlib.import_module(f"jaxaug.{family}")
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"jaxaug.{family}.{info.name}")
        found.append(info.name)
        for key, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not key.startswith("_"):
                found.append(f"{info.name}.{key}")
    return found


def call(what: str, function: Callable[..., Any], *arguments: Any, options: Mapping[str, Any]) -> Any:
    """`function(*arguments, **options)`, with one clear message for an option it does not take.

    what: how the function is called in the config, for the message.
    """
    parameters = inspect.signature(function).parameters
    for key in options:
        if key not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            raise UsageError(_unknown(f"option of {what}", key, list(parameters)))
    return function(*arguments, **options)


def choose(what: str, name: str, choices: Mapping[str, Any]) -> Any:
    """`choices[name]`, or a UsageError that lists the nearest valid names."""
    if name not in choices:
        raise UsageError(_unknown(what, name, list(choices)))
    return choices[name]


def _longest_module(path: str) -> tuple[str | None, list[str]]:
    """Split `a.b.c` into the longest importable module and the attributes that follow it."""
    words = path.split(".")
    for cut in range(len(words), 0, -1):
        candidate = ".".join(words[:cut])
        try:
            if importlib.util.find_spec(candidate) is not None:
                return candidate, words[cut:]
        except (ImportError, ValueError, AttributeError):
            continue
    return None, words


def _unknown(what: str, name: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"valid names are {', '.join(valid)}."
    return f"unknown {what} {name!r}: {hint}"

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

# What a name of a family must stand for: (what it is called, test). Functions are told by what they return.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "data": ("a module with load(config)", lambda found: inspect.ismodule(found) and hasattr(found, "load")),
    "models": ("a module with a class Model", lambda found: inspect.ismodule(found) and hasattr(found, "Model")),
    "losses": ("a function that returns a LossTransform", lambda found: callable(found)),
    "augment": ("a function that returns a part", lambda found: callable(found)),
    "search": ("a function that returns a Direction", lambda found: callable(found)),
    "robustness": (
        "a module with protocol(data, config)",
        lambda found: inspect.ismodule(found) and hasattr(found, "protocol"),
    ),
}
RETURNS = {"losses": "LossTransform", "augment": "Part", "search": "Direction"}


def find(family: str, name: str) -> Any:
    """The module or function that `name` stands for in `jaxaug.<family>`, else in any importable package.

    Raises UsageError, with the nearest valid names, if there is none or it is not of the family's kind.
    """
    for root in (f"jaxaug.{family}.", ""):
        module, attributes = _longest_module(root + name)
        if module is None or (root == "" and "." not in name):
            continue
        found: Any = _import(module)
        for attribute in attributes:
            found = getattr(found, attribute, None)
        if found is not None and not KINDS[family][1](found):
            raise UsageError(f"{name!r} is not {KINDS[family][0]}; {_hint(name, names(family))}")
        if found is not None:
            return found
    raise UsageError(f"unknown {family} name {name!r}: {_hint(name, names(family))}")


def names(family: str) -> list[str]:
    """Every address of a family that ships with jaxaug."""
    package = importlib.import_module(f"jaxaug.{family}")
    modules = {
        info.name: importlib.import_module(f"jaxaug.{family}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    }
    if family not in RETURNS:
        return [name for name, module in modules.items() if KINDS[family][1](module)]
    return [
        f"{name}.{key}"
        for name, module in modules.items()
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
        if not key.startswith("_") and _returns(value) == RETURNS[family]
    ]


def options(family: str) -> dict[str, dict[str, Any]]:
    """last word -> {option: default} of every function of a family: what a config may set."""
    return {name.split(".")[-1]: defaults_of(find(family, name)) for name in names(family)}


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function that have a default, with it."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def call(what: str, function: Callable[..., Any], *arguments: Any, options: Mapping[str, Any]) -> Any:
    """`function(*arguments, **options)`, with one clear message for an option it does not take.

    what: how the function is called in the config, for the message.
    """
    parameters = inspect.signature(function).parameters
    for key in options:
        if key not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            raise UsageError(f"unknown option of {what} {key!r}: {_hint(key, list(parameters))}")
    return function(*arguments, **options)


def choose(what: str, name: str, choices: Mapping[str, Any]) -> Any:
    """`choices[name]`, or a UsageError that lists the nearest valid names."""
    if name not in choices:
        raise UsageError(f"unknown {what} {name!r}: {_hint(name, list(choices))}")
    return choices[name]


def _returns(function: Callable[..., Any]) -> str:
    annotation = inspect.signature(function).return_annotation
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _longest_module(path: str) -> tuple[str | None, list[str]]:
    """Split `a.b.c` into the longest importable module and the attributes that follow it."""
    words = path.split(".")
    for cut in range(len(words), 0, -1):
        candidate = ".".join(words[:cut])
        try:
            spec = importlib.util.find_spec(candidate)
        except ModuleNotFoundError as error:
            # `a` is missing or is no package: go on with fewer words. Anything else is missing inside `a`.
            if error.name is None or not candidate.startswith(error.name):
                raise UsageError(f"{candidate!r} cannot be imported: {error}") from error
            continue
        if spec is not None:
            return candidate, words[cut:]
    return None, words


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"{module!r} cannot be imported: {error}") from error


def _hint(name: str, valid: list[str]) -> str:
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    near = near or [full for full in valid if name in full.split(".")]
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"valid names are {', '.join(valid)}."

"""Names in a config, and the objects they stand for.

A component is registered where it is written:

    @register("loss")
    def isda(strength: float = 0.5, ...) -> LossTransform: ...

and chosen by a slot of a config, that is a name alone or `{"name": "isda", "strength": 0.25}`. A component from outside
jaxaug has a dotted name, `"my_losses.margin"`: the module is imported and the attribute taken, registered or not.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from jaxaug.core.errors import UsageError

# family -> (the package whose modules register its members, what a member is)
FAMILIES: dict[str, tuple[str, str]] = {
    "loss": ("jaxaug.losses", "a function that returns a LossTransform"),
    "augment": ("jaxaug.augment", "a function that returns a BatchTransform"),
    "model": ("jaxaug.models", "a Linen or NNX module, or a function that returns one"),
    "data": ("jaxaug.data.sources", "a function that returns a Dataset"),
    "solver": ("jaxaug.bilevel", "a function that returns an IHVPSolver"),
    "search": ("jaxaug.search", "a function or class that gives a SearchMethod"),
    "task": ("jaxaug.tasks", "a function or class that gives a Task"),
    "robustness": ("jaxaug.robustness", "a function that returns a Protocol"),
    "sink": ("jaxaug.runs.sinks", "a function or class that gives a Sink"),
    "optimizer": ("jaxaug.optim", "a function that returns an optax transformation"),
    "meta_optimizer": ("jaxaug.bilevel", "a function that returns (SparseRule, optax transformation)"),
    "schedule": ("jaxaug.optim", "a function that returns a rule (learning_rate, steps_per_epoch, epochs) -> schedule"),
}
Slot = str | Mapping[str, Any]  # "isda", or {"name": "isda", "strength": 0.25}
_T = TypeVar("_T")
_TABLES: dict[str, dict[str, Any]] = {family: {} for family in FAMILIES}
_LOADED: set[str] = set()
_OF_FLAX = ("parent", "name")  # fields that Flax adds to every Linen module
_OF_NNX = ("self", "rngs")  # what the constructor of an NNX module takes besides options
_UNSET = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of a component: its name, default and meaning (one line, "" where the docstring has none)."""

    name: str
    default: Any
    meaning: str


def register(family: str, name: str = "") -> Callable[[_T], _T]:
    """A decorator that makes a function or class known under its own name, or under `name`.

    Its keyword arguments with defaults are the options that a config may set; what each means is read from the `Args:`
    (or `Attributes:`) of its docstring.

    Args:
      family: "loss", "augment", "model", "data", "solver", "search", "task", "robustness", "sink", "optimizer",
        "meta_optimizer" or "schedule"; `FAMILIES` says what each has to return.
      name: in configs; by default the function's own.

    Raises:
      UsageError: another family.
    """

    if family not in FAMILIES:
        raise UsageError(f"unknown family {family!r}: {hint(family, list(FAMILIES))}")

    def add(component: Any) -> Any:
        _TABLES[family][name or component.__name__] = component
        return component

    return add


def is_factory(family: str, thing: Any) -> bool:
    """Whether a thing is what makes components of a family, where one that it makes is asked for: `augment.flip`."""
    return any(thing is component for component in _TABLES[family].values())


def list_names(family: str) -> list[str]:
    """Every name of a family that ships with jaxaug, or that an imported module has registered."""
    _load(family)
    return sorted(_TABLES[family])


def resolve(family: str, name: str) -> Any:
    """The component that a name stands for.

    Raises:
      UsageError: there is none, with the nearest names; or the module it should be in cannot be imported.
    """
    _load(family)
    if name in _TABLES[family]:
        return _TABLES[family][name]
    if "." in name:
        module, _, attribute = name.rpartition(".")
        found = _from_module(family, name, module, attribute)
        if found is not None:
            return found
    elif name and importlib.util.find_spec(name) is not None:
        # A file beside the config that holds one component of this family, or one function of its own name.
        found = _only_member(family, name)
        if found is not None:
            return found
    raise UsageError(f"unknown {family} {name!r}: {hint(name, list_names(family))}")


def as_slots(slots: Slot | Iterable[Slot]) -> tuple[Slot, ...]:
    """A sequence of slots; one alone is a sequence of one."""
    return (slots,) if isinstance(slots, str | Mapping) else tuple(slots)


def slot_name(slot: Slot) -> str:
    """The name of a slot."""
    if isinstance(slot, str):
        return slot
    if not isinstance(slot, Mapping) or not isinstance(slot.get("name", ""), str):
        raise UsageError(f"a component is a name or {{'name': ..., option: value}}, got {slot!r}")
    return slot.get("name", "")


def slot_options(slot: Slot) -> dict[str, Any]:
    """The options of a slot, as it gives them."""
    return {} if isinstance(slot, str) else {key: value for key, value in slot.items() if key != "name"}


def instantiate(family: str, slot: Slot, *arguments: Any, **extra: Any) -> Any:
    """`component(*arguments, **extra, **options)` for the component that a slot names.

    Raises:
      UsageError: an unknown name or option, with what is close.
    """
    name, given = slot_name(slot), slot_options(slot)
    return call(f"{family} {name!r}", resolve(family, name), *arguments, options=given, **extra)


def call(what: str, function: Callable[..., Any], *arguments: Any, options: Mapping[str, Any], **extra: Any) -> Any:
    """`function(*arguments, **extra, **options)`, with one clear message for an option it does not take or lacks.

    Args:
      what: how the function is called in the message.
    """
    check_options(what, function, options)
    parameters = _parameters(function).values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ones = [*positional[len(arguments) :], *(p for p in parameters if p.kind is p.KEYWORD_ONLY)]
    missing = [p.name for p in open_ones if p.default is _UNSET and p.name not in options and p.name not in extra]
    if missing:
        raise UsageError(f"{what} needs a value for {', '.join(map(repr, missing))}")
    return function(*arguments, **extra, **options)


def check_options(what: str, function: Callable[..., Any], options: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raises UsageError for an option that a function does not take, with what is close.

    others: options that are taken beside those of the function.
    """
    parameters = _parameters(function)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for key in options:
        if key not in parameters:
            raise UsageError(
                f"unknown option {key!r} of {what}: {hint(key, list(dict.fromkeys([*defaults_of(function), *others])))}"
            )


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of a function or class that have a default, with it."""
    return {name: p.default for name, p in _parameters(function).items() if p.default is not _UNSET}


def options_of(component: Callable[..., Any]) -> list[Option]:
    """The options of a component with their defaults and, from the Args of its docstring, a line of meaning."""
    meanings = _meanings(inspect.getdoc(component) or "")
    return [Option(name, value, meanings.get(name, "")) for name, value in defaults_of(component).items()]


def options(family: str, name: str) -> list[Option]:
    """The options of a component by its name, for example `options("loss", "isda")`.

    Raises:
      UsageError: an unknown family or name, with what is close.
    """
    return options_of(resolve(family, name))


def pick(what: str, name: str, choices: Mapping[str, Any]) -> Any:
    """`choices[name]`, or a UsageError with the nearest valid names."""
    if name not in choices:
        raise UsageError(f"unknown {what} {name!r}: {hint(name, list(choices))}")
    return choices[name]


def hint(name: str, valid: list[str]) -> str:
    """What to take instead of a name that is none of the valid ones."""
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.6)
    near = near or [one for one in valid if len(name) > 2 and (name in one or one in name)][:3]
    if near:
        return f"did you mean {' or '.join(map(repr, near))}?"
    return f"valid names are {', '.join(valid)}" if valid else "it has none"


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    # The metaclass of NNX modules takes whatever it is given; what a module takes stands in its constructor.
    of_nnx = inspect.isclass(function) and type(function).__call__ is not type.__call__
    found = inspect.signature(function.__init__ if of_nnx else function).parameters
    skipped = _OF_NNX if of_nnx else _OF_FLAX if inspect.isclass(function) and "parent" in found else ()
    return {name: p for name, p in found.items() if name not in skipped}


def _meanings(docstring: str) -> dict[str, str]:
    """option -> the first sentence of its entry in a Google-style Args section."""
    section = re.search(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)*)", docstring, re.M)
    if section is None:
        return {}
    found: dict[str, str] = {}
    indent = len(section[1]) - len(section[1].lstrip(" "))
    for entry in re.split(rf"\n(?= {{{indent}}}\S)", "\n" + section[1]):
        names, colon, text = entry.strip().partition(":")
        if colon:
            words = " ".join(text.split())
            for one in names.split(","):
                found[one.strip().split(" ")[0]] = re.split(r"(?<=[a-z0-9)\]])\.(?= [A-Z])", words)[0].rstrip(".")
    return found


def _load(family: str) -> None:
    """Import every module of the family's package, each of which registers what it has."""
    if family not in FAMILIES:
        raise UsageError(f"unknown family {family!r}: {hint(family, list(FAMILIES))}")
    package_name = FAMILIES[family][0]
    if package_name in _LOADED:
        return
    _LOADED.add(package_name)  # first, since a module may ask for names while it is imported
    try:
        package = importlib.import_module(package_name)
        for info in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package_name}.{info.name}")
    except BaseException:
        _LOADED.discard(package_name)  # so that the next call tells the same, not that a name is unknown
        raise


def _from_module(family: str, name: str, module: str, attribute: str) -> Any:
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise UsageError(
                f"unknown {family} {name!r}: there is no module {error.name!r}; it must lie beside the config or on "
                f"PYTHONPATH. Of jaxaug's own: {hint(name, list_names(family))}"
            ) from None
        raise UsageError(f"{family} {name!r}: {module!r} cannot be imported: {error}") from error
    except ImportError as error:
        raise UsageError(f"{family} {name!r}: {module!r} cannot be imported: {error}") from error
    if found is not None and not callable(found):
        raise UsageError(f"{name!r} is not {FAMILIES[family][1]}")
    return found


def _only_member(family: str, module_name: str) -> Any:
    before = set(_TABLES[family])
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"{family} {module_name!r} cannot be imported: {error}") from error
    own = [c for c in _TABLES[family].values() if getattr(c, "__module__", "") == module_name]
    new = set(_TABLES[family]) - before
    if len(new) == 1:
        return _TABLES[family][new.pop()]
    return own[0] if len(own) == 1 else getattr(module, module_name, None)

"""What a config may set, with its meaning; files in configs/ start from `default_config()` and change what differs.

A *slot* chooses a component: its name alone, or `{"name": "isda", "strength": 0.25}` with its options. `complete` fills
in the options that a config leaves out, so that a run knows each of them, and refuses what no component takes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxaug import data, optim
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import check_options, defaults_of, hint, resolve, slot_name, slot_options

# field -> (family of its component, function whose keywords every component of the slot has besides its own)
SLOTS: dict[str, tuple[str, Callable[..., Any] | None]] = {
    "task": ("task", None),
    "data": ("data", data.load),
    "model": ("model", None),
    "optim": ("optimizer", optim.create),
    "search": ("search", None),
}
SEQUENCES = {"augment.train": "augment", "augment.after": "augment", "loss": "loss", "robustness": "robustness"}
# Options of components that are slots themselves, by name.
NESTED = {"solver": "solver", "schedule": "schedule", "meta_optimizer": "meta_optimizer"}
NO_SEARCH = "none"


def default_config() -> ConfigDict:
    """The defaults: plain training of a small convnet on scikit-learn's digits."""
    return ConfigDict(
        {
            "seed": 0,  # of everything random: initial parameters, order of rows, augmentation, dropout
            "seeds": 1,  # run seed, seed + 1, ...: the table then gives mean +- standard deviation
            "variants": {},  # name -> changes of this config; each is run with every seed and compared
            "epochs": 30,
            "batch_size": 64,  # of all devices and processes together
            "eval_batch_size": 512,
            "steps_per_dispatch": 1,  # training steps per call of the device; more helps small models on a GPU
            "log_every": 50,  # steps between updates of the progress bar and checks for a non-finite loss
            "eval_every": 1,  # epochs between evaluations; the last epoch is always evaluated
            "save_every": 10,  # epochs between checkpoints; the last epoch is always saved
            "task": {"name": "classification"},  # what the model is trained for
            "data": {"name": "digits"},  # a data set, with the options of `data.load` and its own
            "place": "device",  # where images are kept; "host" sends each batch: for sets larger than a device's memory
            "augment": {
                "train": (),  # slots of transforms, in order, on the 0..255 scale
                "after": (),  # slots of transforms after normalisation
                "size": 0,  # side of the square cut from the middle, after `train` and in evaluations; 0: all
                "views": 1,  # independently augmented copies of each batch that a step sees together
            },
            "model": {"name": "convnet"},
            "loss": (),  # slots of loss transforms, in order: targets, then logits, then weights
            "optim": {"name": "sgd", "schedule": {"name": "cosine"}},
            "search": {"name": NO_SEARCH},  # what learns beside the training ("autodo", "dada") or after it ("deepaa")
            "robustness": (),  # slots of protocols that the final state is put to on the test split
            "label_issues": 0,  # after a search: list the rows it distrusts, and draw so many of the worst
        }
    )


def complete(config: ConfigDict) -> ConfigDict:
    """The config with every option of every component it names.

    Raises:
      UsageError: an unknown field, component or option, with its address and what is close.
    """
    known, found = default_config().to_dict(), config.to_dict()
    _check_fields("config", found, known)
    _check_fields("config.augment", found["augment"], known["augment"])
    for field, (family, common) in SLOTS.items():
        found[field] = _complete_slot(f"config.{field}", family, found[field], common)
    for field, family in SEQUENCES.items():
        parent, name = _parent(found, field)
        slots = parent[name]
        if isinstance(slots, str | Mapping):
            slots = (slots,)
        parent[name] = tuple(_complete_slot(f"config.{field}", family, slot) for slot in slots)
    return ConfigDict(found)


def _complete_slot(address: str, family: str, slot: Any, common: Callable[..., Any] | None = None) -> dict[str, Any]:
    """The slot with all its options, those of nested slots too."""
    try:
        name, given = slot_name(slot), slot_options(slot)
        if family == "search" and name in ("", NO_SEARCH):
            return {"name": NO_SEARCH}
        component = resolve(family, name)
        shared = defaults_of(common) if common is not None else {}
        check_options(f"{family} {name!r}", component, [key for key in given if key not in shared])
    except UsageError as error:
        raise UsageError(f"{address}: {error}") from None
    found = {"name": name, **shared, **defaults_of(component), **given}
    for option, nested in NESTED.items():
        if option in found:
            found[option] = _complete_slot(f"{address}.{option}", nested, found[option])
    return found


def apply_override(config: ConfigDict, path: str, text: str) -> None:
    """Set the field at a path, for example "loss.isda.strength", to what a command line says.

    A path goes through fields, options of components, whether the config names them or not, and, in a sequence of
    slots, the component's name or its number. A slot is set whole by a name or by a Python literal.

    Raises:
      UsageError: nothing lies at the path, with what is close; or a value of another kind.
    """
    whole = complete(config).to_dict()
    words = path.split(".")
    target: Any = config
    shadow: Any = whole
    for i, word in enumerate(words[:-1]):
        target, shadow = _step(target, shadow, word, ".".join(["config", *words[:i]]))
    last = words[-1]
    address = ".".join(["config", *words[:-1]])
    if not isinstance(shadow, Mapping):
        target, shadow = _step(target, shadow, last, address)
        raise UsageError(f"config.{path} is a component: set one of its options, {', '.join(shadow)}")
    if last not in shadow and last != "name":
        raise UsageError(f"unknown setting config.{path}: {hint(last, list(shadow))}")
    target[last] = _parse(f"config.{path}", path, text, shadow.get(last))


def _step(target: Any, shadow: Any, word: str, address: str) -> tuple[Any, Any]:
    """One word further down a path: in the config, and in the complete one. Options that are left out are filled in."""
    if isinstance(shadow, Mapping):
        if word not in shadow:
            raise UsageError(f"unknown setting {address}.{word}: {hint(word, list(shadow))}")
        if word not in target or isinstance(target[word], str):
            target[word] = {"name": slot_name(shadow[word])} if "name" in shadow[word] else {}
        return target[word], shadow[word]
    raise UsageError(f"{address} has no part {word!r}")


def _check_fields(address: str, found: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in found:
        if name not in known:
            raise UsageError(f"unknown field {address}.{name}: {hint(name, list(known))}")


def _parent(tree: dict[str, Any], field: str) -> tuple[dict[str, Any], str]:
    *path, name = field.split(".")
    for word in path:
        tree = tree[word]
    return tree, name


def copy_of(config: ConfigDict) -> ConfigDict:
    """A deep copy."""
    return copy.deepcopy(config)


def flat_items(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("loss.isda.strength", 0.5) for every value of a config; slots of a sequence go by their names."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flat_items(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree


def _parse(address: str, path: str, text: str, default: Any) -> Any:
    return text

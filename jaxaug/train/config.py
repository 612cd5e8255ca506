"""What a config may set, with its meaning; files in configs/ start from `default_config()` and change what differs.

A *slot* chooses a component: its name alone, or `{"name": "isda", "strength": 0.25}` with its options. `complete` fills
in the options that a config leaves out, so that a run knows each of them, and refuses what no component takes.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxaug import data, optim
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Option, as_slots, check_options, defaults_of, hint, resolve, slot_name, slot_options
from jaxaug.search.base import create_meta_optimizer

# field -> (family of its component, function whose keywords every component of the slot has besides its own)
SLOTS: dict[str, tuple[str, Callable[..., Any] | None]] = {
    "task": ("task", None),
    "data": ("data", data.load),
    "model": ("model", None),
    "optim": ("optimizer", optim.create),
    "search": ("search", None),
}
SEQUENCES = {
    "augment.train": "augment",
    "augment.after": "augment",
    "augment.strong": "augment",
    "loss": "loss",
    "robustness": "robustness",
    "sinks": "sink",
}
# Options that are slots themselves: (family of the component, option) -> family and common keywords of the slot.
NESTED: dict[tuple[str, str], tuple[str, Callable[..., Any] | None]] = {
    ("optimizer", "schedule"): ("schedule", None),
    ("meta_optimizer", "schedule"): ("schedule", None),
    ("search", "solver"): ("solver", None),
    ("search", "optim"): ("meta_optimizer", create_meta_optimizer),
}
# Options that are sequences of slots: (family of the component, option) -> family of the slots.
NESTED_SEQUENCES = {("loss", "loss"): "loss"}
NO_SEARCH = "none"
# What a config may set; a field with a dot lies in a group of its own. Components have options besides, see `registry`.
FIELDS = (
    Option("seed", 0, "of everything random: initial parameters, order of rows, augmentation, dropout"),
    Option("seeds", 1, "run seed, seed + 1, ...: the table then gives mean +- standard deviation"),
    Option("variants", {}, "name -> changes of this config; each is run with every seed and compared"),
    Option("epochs", 30, "passes over the training rows, or over those that the task counts"),
    Option("batch_size", 64, "of all devices and processes together"),
    Option("accumulate", 1, "micro-batches of a step: so many times less memory for activations, a third more time"),
    Option("batch_norm_groups", 1, "parts of a batch with statistics apart; as many as devices: none exchanged"),
    Option("eval_batch_size", 512, "the same for evaluations, which it does not change"),
    Option("precision", "float32", 'of the network; "bfloat16" keeps parameters, statistics and losses float32'),
    Option("average_decay", 0.0, "of an average of the weights, kept and evaluated beside them; 0: none"),
    Option("steps_per_dispatch", 1, "training steps per call of the device; more helps small models on a GPU"),
    Option("log_every", 50, "steps between updates of the progress bar and checks for a non-finite loss"),
    Option("eval_every", 1, "epochs between evaluations; the last epoch is always evaluated"),
    Option("eval_train", False, "evaluate the training rows too, without augmentation: unaugmented_train_top1 ..."),
    Option("save_every", 10, "epochs between checkpoints; the last epoch is always saved"),
    Option("task", {"name": "classification"}, "what the model is trained for"),
    Option("data", {"name": "digits"}, "a data set, with the options of `data.load` beside its own"),
    Option("mesh.data", -1, "devices along which batches are divided; -1: what is left"),
    Option("mesh.fsdp", 1, "devices along which large arrays are divided, too"),
    Option("sharding", (), '(regular expression for paths in the state, "fsdp" or an axis for each dimension), ...'),
    Option("place", "device", 'where images are kept; "host" sends each batch: for sets larger than device memory'),
    Option("prefetch", 1, "batches read ahead of the devices, which takes so much more memory; from 2 on by a thread"),
    Option("augment.train", (), "slots of transforms, in order, on the 0..255 scale"),
    Option("augment.after", (), "slots of transforms after normalisation"),
    Option("augment.strong", (), "slots that follow `train` in the strong views of a task that asks for them"),
    Option("augment.size", 0, "side of the square cut from the middle, after `train` and in evaluations; 0: all"),
    Option("augment.views", 1, "independently augmented copies of each batch that a step sees together"),
    Option("augment.views_apart", False, "BatchNorm takes its statistics of each view alone"),
    Option("model", {"name": "convnet"}, "a network"),
    Option("init_from.path", "", "weights to begin with: a run, a checkpoint of one, or a file by `jaxaug convert`"),
    Option("init_from.weights", "last", 'of a run: "last", "best" on validation, or "averaged"'),
    Option("init_from.head", "auto", '"auto": taken if its shapes are right; "keep": they must be; "new": begins anew'),
    Option("loss", (), "slots of loss transforms, in order: targets, then logits, then weights"),
    Option("optim", {"name": "sgd", "schedule": {"name": "cosine"}}, "an optimizer, with those of `optim.create`"),
    Option("search", {"name": NO_SEARCH}, 'what learns beside the training ("autodo", "dada") or after it ("deepaa")'),
    Option("robustness", (), "slots of protocols that the final state is put to on the test split"),
    Option("sinks", ("tensorboard",), 'who is told each epoch\'s figures, besides the folder: "wandb", "mlflow"'),
    Option("label_issues", 0, "after a search: list the rows it distrusts, and draw so many of the worst"),
)


def default_config() -> ConfigDict:
    """The defaults of `FIELDS`: plain training of a small convnet on scikit-learn's digits."""
    found: dict[str, Any] = {}
    for field in FIELDS:
        group, _, name = field.name.rpartition(".")
        (found.setdefault(group, {}) if group else found)[name] = copy.deepcopy(field.default)
    return ConfigDict(found)


def complete(config: ConfigDict) -> ConfigDict:
    """The config with every option of every component it names.

    Raises:
      UsageError: an unknown field, component or option, with its address and what is close.
    """
    known, found = default_config().to_dict(), config.to_dict()
    _check_fields("config", found, known)
    for group in ("augment", "mesh"):
        _check_fields(f"config.{group}", found[group], known[group])
    _check_fields("config.init_from", found["init_from"], known["init_from"])
    found["init_from"] = {**known["init_from"], **found["init_from"]}
    for field, (family, common) in SLOTS.items():
        found[field] = _complete_slot(f"config.{field}", family, found[field], common)
    for field, family in SEQUENCES.items():
        parent, name = _parent(found, field)
        slots = as_slots(parent[name])
        parent[name] = tuple(_complete_slot(f"config.{field}", family, slot) for slot in slots)
    if found["precision"] != "float32" and "dtype" in found["model"]:
        found["model"]["dtype"] = found["precision"]
    return ConfigDict(found)


def apply_override(config: ConfigDict, path: str, text: str) -> None:
    """Set the field at a path, for example "loss.isda.strength", to what a command line says.

    A path goes through fields, options of components, whether the config names them or not, and, in a sequence of
    slots, the component's name or its number from 0. A slot is set whole by a name, a sequence by names joined with
    commas, both by a Python literal too.

    Raises:
      UsageError: nothing lies at the path, with what is close; or a value of another kind.
    """
    alone = path == "init_from" and not text.startswith("{")
    words, mistakes, done = [*path.split("."), *["path"] * alone], list[UsageError](), False
    # A variant that brings the field itself would hide what is set here, so that it is set there too.
    for name, one in [
        ("", config),
        *((n, v) for n, v in expand(config).items() if words[0] in config.variants.get(n, {})),
    ]:
        tree = one.to_dict()
        try:
            _set(tree, complete(one).to_dict(), words, text, "config")
        except UsageError as error:
            mistakes.append(error)
            continue
        done = True
        changed = config.variants[name] if name else config
        with config.unlocked(), config.ignore_type():
            changed[words[0]] = tree[words[0]]
    if not done:
        raise mistakes[0]


def expand(config: ConfigDict) -> dict[str, ConfigDict]:
    """name -> the config of a variant, without `variants` and `seeds` of its own."""
    if config.seeds < 1:
        raise UsageError(f"config.seeds must be at least 1, got {config.seeds}")
    if config.seed + config.seeds > 2**32:
        raise UsageError(f"config.seed must be below 2**32, also of the last of {config.seeds} runs, got {config.seed}")
    found = {}
    for name, changes in (config.variants.to_dict() or {config.model.name: {}}).items():
        _check_fields(f"config.variants.{name}", changes, config)
        tree = {**config.to_dict(), "variants": {}, "seeds": 1}
        found[name] = ConfigDict(_merged(f"config.variants.{name}", tree, changes))
    return found


def _merged(address: str, base: Mapping[str, Any], changes: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """The tree with changes; where another component is named, the options of the one before are left out."""
    found = dict(base)
    for key, value in changes.items():
        old, here, field = base.get(key), f"{address}.{key}", f"{path}.{key}".lstrip(".")
        if field in SEQUENCES and isinstance(value, str | Mapping | tuple | list):
            found[key] = as_slots(value)
        elif isinstance(old, Mapping) and "name" in old and isinstance(value, str | Mapping):
            found[key] = _merged(here, _renamed(field, old, slot_name(value)), slot_options(value), field)
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            found[key] = _merged(here, old, value, field)
        else:
            # A slot may be written either way; what a config leaves out is checked by the component, which also knows
            # whether a number may have a fraction.
            number = "name" in base and type(old) is int and type(value) is float
            found[key] = _as_number(old, value)
            either = number or (isinstance(value, Mapping) and isinstance(old, str))
            _check_kind(here, found[key], None if either else old)
    return found


def _renamed(field: str, slot: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The slot with another name ("": its own): it keeps what every component of the slot has, and no option else."""
    if name in ("", slot.get("name")):
        return dict(slot)
    common = SLOTS[field][1] if field in SLOTS else None
    kept = defaults_of(common) if common is not None and name != NO_SEARCH else {}
    return {"name": name, **{key: value for key, value in slot.items() if key in kept}}


def _check_kind(address: str, value: Any, old: Any) -> None:
    """Raises UsageError for a value of another kind than the one it is to replace; None goes with all of them."""
    same = isinstance(value, type(old)) and isinstance(value, bool) == isinstance(old, bool)
    if old is None or value is None or same:
        return
    if not (isinstance(old, tuple | list) and isinstance(value, tuple | list)):
        raise UsageError(f"{address} must be {kind_in_words(type(old).__name__)}, got {value!r}")


def kind_in_words(name: str) -> str:
    """What values of a type are, in words."""
    known = {
        "bool": "True or False",
        "int": "a whole number",
        "float": "a number",
        "str": "a word",
        "tuple": "a sequence",
    }
    return {**known, "dict": "a literal {...}", "ConfigDict": 'a literal {...}, such as {"name": ...}'}.get(name, name)


def _set(given: Any, whole: Any, words: list[str], text: str, address: str) -> None:
    """Set what `words` lead to in the tree `given`; `whole` is the same tree with every option."""
    word, *rest = words
    if word not in whole and word != "name":
        raise UsageError(f"unknown setting {address}.{word}: {hint(word, list(whole))}")
    here, field = f"{address}.{word}", ".".join([*address.split(".")[1:], word])
    value = whole.get(word)
    if not rest:
        is_sequence = _is_sequence(field, value)
        found = _parsed(here, text, value, is_slot=_is_slot(field, value), is_sequence=is_sequence)
        if is_sequence:
            # A component that stays keeps its options.
            there = {slot_name(slot): slot for slot in as_slots(given[word])}
            found = tuple(there.get(slot, slot) if isinstance(slot, str) else slot for slot in found)
        given[word] = found
    elif _is_sequence(field, value):
        slots = [dict(slot) if isinstance(slot, Mapping) else {"name": slot} for slot in as_slots(given[word])]
        at = _number_of(here, rest[0], [slot["name"] for slot in slots])
        if len(rest) == 1:
            slots[at] = _parsed(f"{here}.{rest[0]}", text, value[at], is_slot=True, is_sequence=False)
        else:
            _set(slots[at], value[at], rest[1:], text, f"{here}.{rest[0]}")
        given[word] = tuple(slots)
    elif isinstance(value, Mapping):
        inner = given.get(word)
        given[word] = dict(inner) if isinstance(inner, Mapping) else {"name": value["name"]}
        _set(given[word], value, rest, text, here)
    else:
        raise UsageError(f"{here} is {value!r}, which has no part {rest[0]!r}")


def _number_of(address: str, word: str, names: list[str]) -> int:
    """The number of a slot in a sequence, by its number or by its component's name or the last word of it."""
    if word.isdigit() and int(word) < len(names):
        return int(word)
    for i, name in enumerate(names):
        if word in (name, name.split(".")[-1]):
            return i
    told = f"it has {', '.join(names)}" if names else "it is empty"
    raise UsageError(f"{address} has no {word!r}: {told}; put it in with --{address}={','.join([*names, word])}")


def _is_sequence(field: str, value: Any) -> bool:
    """Whether a field or an option is a sequence of slots; of an option that is empty it cannot be told, or matter."""
    of_slots = isinstance(value, tuple) and value and all(isinstance(one, Mapping) and "name" in one for one in value)
    return field in SEQUENCES or bool(of_slots)


def _is_slot(field: str, value: Any) -> bool:
    return field in SLOTS or (isinstance(value, Mapping) and "name" in value)


def _parsed(address: str, text: str, default: Any, *, is_slot: bool, is_sequence: bool) -> Any:
    """The value that a command line says, of the kind of the default."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if is_sequence and isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    if is_slot and isinstance(value, str):
        return {"name": value}
    if is_sequence and isinstance(value, list | tuple):
        return tuple(value)
    value = _like(default, value, text)
    if default is not None and type(value) is not type(default) and not (is_slot and isinstance(value, Mapping)):
        raise UsageError(f"{address} must be {kind_in_words(type(default).__name__)}, got {text!r}")
    return value


def _like(default: Any, value: Any, text: str) -> Any:
    """A value as a default of its kind is written: 1 for 1.0, true for True, one word for a tuple of one."""
    if isinstance(default, str):
        return value if isinstance(value, str) else text
    if isinstance(default, bool):
        return {"true": True, "false": False, "1": True, "0": False}.get(text.lower(), value)
    if isinstance(default, tuple):
        words = tuple(word.strip() for word in text.split(",")) if isinstance(value, str) else (value,)
        return tuple(value) if isinstance(value, list | tuple) else words
    if isinstance(default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return _as_number(default, value)


def _as_number(default: Any, value: Any) -> Any:
    """A whole number where the default has a fraction: a number like it, so that another may have one, too."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if isinstance(default, float) and is_whole else value


def _complete_slot(address: str, family: str, slot: Any, common: Callable[..., Any] | None = None) -> dict[str, Any]:
    """The slot with all its options, those of nested slots too."""
    try:
        name, given = slot_name(slot), slot_options(slot)
        if family == "search" and name in ("", NO_SEARCH):
            if given:
                raise UsageError(
                    f"{NO_SEARCH!r} takes no options, got {', '.join(given)}: set it to {NO_SEARCH!r} alone"
                )
            return {"name": NO_SEARCH}
        component = resolve(family, name)
        shared = defaults_of(common) if common is not None else {}
        check_options(f"{family} {name!r}", component, [key for key in given if key not in shared])
    except UsageError as error:
        raise UsageError(f"{address}: {error}") from None
    found = {"name": name, **shared, **defaults_of(component)}
    found |= {key: _as_number(found.get(key), value) for key, value in given.items()}
    for (of_family, option), (nested, nested_common) in NESTED.items():
        if family == of_family and option in found:
            found[option] = _complete_slot(f"{address}.{option}", nested, found[option], nested_common)
    for (of_family, option), nested in NESTED_SEQUENCES.items():
        if family == of_family and option in found:
            slots = as_slots(found[option])
            found[option] = tuple(_complete_slot(f"{address}.{option}", nested, slot) for slot in slots)
    return found


def _check_fields(address: str, found: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for name in found:
        if name not in known:
            raise UsageError(f"unknown field {address}.{name}: {hint(name, list(known))}")


def _parent(tree: dict[str, Any], field: str) -> tuple[dict[str, Any], str]:
    *path, name = field.split(".")
    for word in path:
        tree = tree[word]
    return tree, name

"""The complete runs below some folders, put together where they differ in nothing but the seed.

Reads `config.json` and `result.json` of each run's folder, and needs neither JAX nor the data. A config is told in
fields as the command line names them, "optim.learning_rate" or "loss.isda.strength" (of a second component of that name
with its number in the sequence, "loss.1.strength"), and a sequence itself in one word, "label_smoothing+isda".
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxaug.core.errors import UsageError
from jaxaug.runs.fields import LAYOUT, fields_of
from jaxaug.train import autodo_methods

# Of the rows of AutoDO's tables (Gudovskiy et al. 2021); other methods follow, by name, and then the controls.
ORDER = tuple(
    f"{prefix}{augment}{loss}".casefold()
    for augment in ("plain", *autodo_methods.AUGMENT)
    for loss in ("", *(f"_{loss}" for loss in autodo_methods.LOSS))
    for prefix in ("", "compat_")
)
CONTROLS = tuple(autodo_methods.CONTROLS)
SEEDS = ("seed", "data.seed")
# Folders of a run with no run below them, and that of runs which were started anew.
FULL_OF_FILES = ("checkpoints", "tensorboard", "wandb", "replaced")
MOST_FIELDS = 4  # that a name tells
NOT_COMPLETE, UNREADABLE, REPEATED = "not complete", "not readable", "of the config and seed of another run"


@dataclasses.dataclass(frozen=True)
class Run:
    """A complete run.

    Attributes:
      folder: where it lies.
      config: field, with dots -> value.
      result: `result.json`, metrics by name.
    """

    folder: pathlib.Path
    config: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def variant(self) -> str:
        """What a sweep calls it: the folder above `seed_<n>`, or its own."""
        path = self.folder.resolve()
        return path.parent.name if re.fullmatch(r"seed_\d+", path.name) else path.name

    @property
    def seeds(self) -> tuple[int, int]:
        """(of the training, of the data)."""
        return self.config["seed"], self.config.get("data.seed", 0)

    @property
    def task(self) -> tuple[str, float, float]:
        """(data set, noise, imbalance)."""
        return self.config["data.name"], self.config.get("data.noise", 0.0), self.config.get("data.imbalance", 1.0)

    @property
    def rest(self) -> dict[str, Any]:
        """The config without its seeds."""
        kept = (name for name in self.config if name not in SEEDS and name.split(".")[0] not in LAYOUT)
        return {name: self.config[name] for name in kept}


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds alone.

    Attributes:
      method: the variant's name.
      runs: by seed.
      apart: field -> value, what sets the group apart from others of that name and task; None where the config has no
        such field.
    """

    method: str
    runs: tuple[Run, ...]
    apart: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def distortion(self) -> str:
        """Imbalance and noise as in AutoDO's tables, for example "10-0.3"."""
        _, noise, imbalance = self.runs[0].task
        return f"{imbalance:g}-{noise:.1f}" if round(noise, 1) == noise else f"{imbalance:g}-{noise:g}"

    @property
    def name(self) -> str:
        """The method, and on lines below what sets it apart, the first fields of it."""
        told = [f"  {field}={_word(value)}" for field, value in self.apart.items()]
        more = [f"  and {len(told) - MOST_FIELDS} more"] if len(told) > MOST_FIELDS else []
        return "\n".join([self.method, *told[:MOST_FIELDS], *more])


@dataclasses.dataclass(frozen=True)
class RunTable:
    """What lies below some folders.

    Attributes:
      groups: in the order of a table.
      left_out: why -> the folders of runs that are not counted.
    """

    groups: tuple[Group, ...]
    left_out: Mapping[str, tuple[pathlib.Path, ...]]


def aggregate(folders: Iterable[str | pathlib.Path]) -> RunTable:
    """The runs at and below some folders, by data set, distortion (AutoDO's order: noise, then imbalance) and method.

    Left out are runs that are not complete or not readable, and those that repeat the config and the seed of another.

    Args:
      folders: each of one run, or of many on any level below it.

    Raises:
      UsageError: a folder that is not there, or no complete run in any of them.
    """
    tops = [pathlib.Path(folder) for folder in folders]
    runs: dict[str, Run] = {}
    left_out: dict[str, list[pathlib.Path]] = {}
    for folder in _candidates(tops):
        found = _read(folder)
        why = found if isinstance(found, str) else ""
        if isinstance(found, Run):
            first = runs.setdefault(_key(found, {**found.rest, "seeds": found.seeds}), found)
            why = "" if first is found else REPEATED
        if why:
            left_out.setdefault(why, []).append(folder)
    if not runs:
        told = [f"{len(some)} {why}, for example {some[0]}" for why, some in left_out.items()]
        raise UsageError(
            f"no complete run (a folder with config.json and result.json) in {', '.join(map(str, tops))}"
            + (f"; runs there: {'; '.join(told)}" if told else "")
        )
    by_rest: dict[str, list[Run]] = {}
    for run in runs.values():
        by_rest.setdefault(_key(run, run.rest), []).append(run)
    groups = [Group(some[0].variant, tuple(sorted(some, key=lambda run: run.seeds))) for some in by_rest.values()]
    return RunTable(_told_apart(sorted(groups, key=_place)), {why: tuple(some) for why, some in left_out.items()})


def _candidates(folders: Iterable[pathlib.Path]) -> Iterator[pathlib.Path]:
    """Every folder with a config.json, once, in the order of their names."""
    seen = set()
    for top in folders:
        if not top.is_dir():
            raise UsageError(f"{top} is not a folder")
        for path, below, files in os.walk(top):
            below[:] = sorted(name for name in below if name not in FULL_OF_FILES)
            folder = pathlib.Path(path)
            if "config.json" in files and (place := folder.resolve()) not in seen:
                seen.add(place)
                yield folder


def _read(folder: pathlib.Path) -> Run | str:
    """The run; why it is left out; or "" where config.json is that of something else."""
    result = folder / "result.json"
    if not (result.exists() or (folder / "environment.json").exists()):
        return ""
    try:
        config = dict(fields_of(json.loads((folder / "config.json").read_text(), parse_float=_shortest)))
        if not {"seed", "data.name"} <= config.keys():
            return ""
        if not result.exists():
            return NOT_COMPLETE
        return Run(folder, config, dict(json.loads(result.read_text())))
    except (OSError, TypeError, ValueError):
        return UNREADABLE


def _key(run: Run, config: Mapping[str, Any]) -> str:
    return json.dumps([run.variant, config], sort_keys=True)


def _place(group: Group) -> tuple[Any, ...]:
    """What groups are sorted by."""
    method, run = group.method.casefold(), group.runs[0]
    known = (*ORDER, None, *CONTROLS)
    return *run.task, known.index(method if method in known else None), method, json.dumps(run.rest, sort_keys=True)


def _told_apart(groups: Iterable[Group]) -> tuple[Group, ...]:
    """The groups; those of one task and method with the fields in which they differ."""
    alike: dict[Any, list[Group]] = {}
    for group in groups:
        alike.setdefault((group.runs[0].task, group.method), []).append(group)
    return tuple(
        dataclasses.replace(group, apart={field: group.runs[0].rest.get(field) for field in _differing(some)})
        for some in alike.values()
        for group in some
    )


def _differing(groups: list[Group]) -> list[str]:
    """The fields in which the groups differ; first as few as tell all of them apart, so that a name can be short."""
    configs = [group.runs[0].rest for group in groups]
    words = {name: [_word(config.get(name)) for config in configs] for config in configs for name in config}
    # What older configs had not says less of what was meant.
    names = sorted(words, key=lambda name: ("-" in words[name], name))
    fields, told = [name for name in names if _differs(name, configs)], list[str]()

    def told_apart(names: list[str]) -> int:
        return len(set(zip(*(words[name] for name in names), strict=True)))

    while fields and told_apart(told) < len(groups):
        told.append(max(fields, key=lambda name: told_apart([*told, name])))
        fields.remove(told[-1])
    return told + fields


def _differs(field: str, configs: list[dict[str, Any]]) -> bool:
    """Whether configs differ in a field; those without it only where another choice of components does not say so."""
    having = [config for config in configs if field in config]
    if len({_word(config[field]) for config in having}) > 1:
        return True
    choices = [_choices(config, field) for config in having]
    return any(field not in config and _choices(config, field) in choices for config in configs)


def _choices(config: Mapping[str, Any], field: str) -> list[Any]:
    """The names of the components, and of those in the sequences, to which a field belongs."""
    words = field.split(".")
    above = [".".join(words[:i]) for i in range(1, len(words))]
    return [config.get(name) for prefix in above for name in (prefix, f"{prefix}.name") if name != field]


def _shortest(text: str) -> int | float:
    """A number of a config, which may say 0 or 0.0 and mean the same."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _word(value: Any) -> str:
    """A value as one writes it on the command line; "-" where the config has no such field."""
    if isinstance(value, list):
        return "+".join(map(_word, value)) or "()"
    return "-" if value is None else value or '""' if isinstance(value, str) else json.dumps(value)

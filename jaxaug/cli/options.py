"""What a config may choose: the components of a family, or the options of one, each with default and meaning.

jaxaug options                 # the families and their components
jaxaug options loss            # the losses
jaxaug options loss isda       # the options of ISDA
jaxaug options config          # the fields of a config
jaxaug options config augment  # one of them, or those of a group
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxaug.cli.arguments import add_output_arguments, print_json, refuse
from jaxaug.core.errors import UsageError

if TYPE_CHECKING:
    from jaxaug.core.registry import Option

HELP = "components and their options, with default and meaning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A family and a component."""
    parser.add_argument("family", nargs="?", default="", help="such as loss, augment, model, data, search")
    parser.add_argument("name", nargs="?", default="", help="of a component, one's own as module.name")
    add_output_arguments(parser, "the list")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Print the list, which is the result: --quiet leaves nothing out."""
    refuse(others)
    sys.path.insert(0, str(pathlib.Path.cwd()))
    found, lines = _asked(chosen.family, chosen.name)
    if chosen.json:
        print_json(found, sys.stdout)
    else:
        print("\n".join(lines))


def _asked(family: str, name: str) -> tuple[Any, list[str]]:
    """What is asked for as values for JSON, and the same in lines."""
    from jaxaug.core.registry import FAMILIES, hint, list_names, options_of, resolve

    if family == "config":
        from jaxaug.train.config import FIELDS

        fields = {one.name: one for one in FIELDS if name in ("", one.name, one.name.partition(".")[0])}
        if not fields:
            raise UsageError(f"unknown field {name!r}: {hint(name, [one.name for one in FIELDS])}")
        return _described("config", "what a file in configs/ and --config.<field>=<value> set", [*fields.values()])
    if not family:
        found = {one: {"is": what, "names": list_names(one)} for one, (_, what) in FAMILIES.items()}
        return found, [f"{one} ({about['is']}): {', '.join(about['names'])}" for one, about in found.items()]
    if not name:
        told = {one: _first_line(resolve(family, one)) for one in list_names(family)}
        return told, [f"{one}: {line}" for one, line in told.items()]
    component = resolve(family, name)
    shared = SHARED.get(family)
    own = {one.name: one for one in options_of(component)}
    others = {one.name: one for one in (options_of(shared()) if shared else [])}
    # Of an option of both the family says more, and the component has the default.
    both = {name: dataclasses.replace(others[name], default=own[name].default) for name in own if name in others}
    return _described(name, _first_line(component), list((own | others | both).values()))


def _described(name: str, about: str, options: Sequence[Option]) -> tuple[dict[str, Any], list[str]]:
    """Options as values for JSON, and in lines."""
    lines = [f"  {one.name} = {one.default!r}" + (f"  {one.meaning}" if one.meaning else "") for one in options]
    values = [{"name": one.name, "default": _plain(one.default), "meaning": one.meaning} for one in options]
    return {"name": name, "is": about, "options": values}, [f"{name}: {about}", *lines]


def _plain(value: Any) -> Any:
    """A default as JSON can say it."""
    try:
        return json.loads(json.dumps(value))
    except TypeError:
        return repr(value)


def _data_options():
    from jaxaug import data

    return data.load


def _optimizer_options():
    from jaxaug import optim

    return optim.create


SHARED = {"data": _data_options, "optimizer": _optimizer_options}  # what every component of a family has besides


def _first_line(component: object) -> str:
    return (inspect.getdoc(component) or "").partition("\n")[0]

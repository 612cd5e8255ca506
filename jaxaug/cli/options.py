"""What a config may choose: the components of a family, or the options of one, each with default and meaning.

jaxaug options                 # the families and their components
jaxaug options loss            # the losses
jaxaug options loss isda       # the options of ISDA
jaxaug options config          # the fields of a config
"""

from __future__ import annotations

import argparse
import inspect
import pathlib
import sys
from collections.abc import Sequence

from jaxaug.cli.arguments import refuse

HELP = "components and their options, with default and meaning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A family and a component."""
    parser.add_argument("family", nargs="?", default="", help="such as loss, augment, model, data, search")
    parser.add_argument("name", nargs="?", default="", help="of a component, one's own as module.name")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Print the list."""
    from jaxaug.core.registry import FAMILIES, list_names, options_of, resolve

    refuse(others)
    sys.path.insert(0, str(pathlib.Path.cwd()))
    if chosen.family == "config":
        from jaxaug.train.config import default_config

        print(default_config())
    elif not chosen.family:
        for family, (_, what) in FAMILIES.items():
            print(f"{family} ({what}): {', '.join(list_names(family))}")
    elif not chosen.name:
        for name in list_names(chosen.family):
            print(f"{name}: {_first_line(resolve(chosen.family, name))}")
    else:
        component = resolve(chosen.family, chosen.name)
        print(f"{chosen.name}: {_first_line(component)}")
        shared = SHARED.get(chosen.family)
        functions = [component, *([shared()] if shared else [])]
        for option in [one for function in functions for one in options_of(function)]:
            print(f"  {option.name} = {option.default!r}" + (f"  {option.meaning}" if option.meaning else ""))


def _data_options():
    from jaxaug import data

    return data.load


def _optimizer_options():
    from jaxaug import optim

    return optim.create


SHARED = {"data": _data_options, "optimizer": _optimizer_options}  # what every component of a family has besides


def _first_line(component: object) -> str:
    return (inspect.getdoc(component) or "").partition("\n")[0]

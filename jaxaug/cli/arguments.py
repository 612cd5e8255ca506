"""What the commands share of reading their arguments, and of what they say."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any

from jaxaug.core.errors import UsageError


def refuse(others: Sequence[str]) -> None:
    """For commands that take no further arguments. Raises UsageError if there are some."""
    if others:
        raise UsageError(f"unknown arguments {' '.join(others)}: --help tells what there is")


def settings_of(others: Sequence[str], prefix: str, example: str = "--config.epochs=10") -> list[tuple[str, str]]:
    """(path, value) of settings such as "--config.epochs=3" or "--config.epochs 3", for the prefix "--config.".

    In their order, except that what has options comes before them: "--config.data.path=x --config.data=npz" names an
    option of the set that is named after it.

    example: of a setting, for the message.

    Raises:
      UsageError: an argument is none.
    """
    waiting, found = list(others), list[tuple[str, str]]()
    while waiting:
        setting, equals, value = waiting.pop(0).partition("=")
        if not setting.startswith(prefix):
            raise UsageError(f"unknown argument {setting!r}: settings look like {example}")
        if not equals:
            if not waiting:
                raise UsageError(f"{setting} needs a value: {setting}=...")
            value = waiting.pop(0)
        found.append((setting.removeprefix(prefix), value))
    return sorted(found, key=lambda one: one[0].removesuffix(".name").count("."))


def add_output_arguments(parser: argparse.ArgumentParser, what: str = "") -> None:
    """--quiet, and --json for commands with a result. what: the result, in words; "" where there is none."""
    parser.add_argument("--quiet", action="store_true", help="say nothing but mistakes, and draw no progress bar")
    if what:
        parser.add_argument("--json", action="store_true", help=f"print {what} as JSON, and all else to stderr")


@contextlib.contextmanager
def speaking(chosen: argparse.Namespace) -> Iterator[IO[str]]:
    """What is printed inside goes nowhere with --quiet, to stderr with --json; gives the stream for the result."""
    stdout = sys.stdout
    there = io.StringIO() if chosen.quiet else sys.stderr if getattr(chosen, "json", False) else stdout
    with contextlib.redirect_stdout(there):
        yield stdout


def print_json(result: Any, stream: IO[str]) -> None:
    """The result on one line."""
    print(json.dumps(result), file=stream, flush=True)

"""The commands: `jaxaug COMMAND ...`, which is `python -m jaxaug COMMAND ...`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from jaxaug.cli import (
    augment,
    convert,
    evaluate,
    export,
    label_errors,
    options,
    plan,
    plots,
    predict,
    report,
    results,
    train,
)
from jaxaug.core.errors import Interrupted, LostProcessError, UsageError

# Each module has HELP, add_arguments(parser) and run(chosen, others), others being arguments that the parser left over.
COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
    "results": results,
    "plan": plan,
    "plots": plots,
    "report": report,
    "augment": augment,
    "convert": convert,
    "label-errors": label_errors,
    "options": options,
}
MISTAKE, STOPPED, LOST = UsageError.exit_code, Interrupted.exit_code, LostProcessError.exit_code
_SPACE = "\0"  # which no argument of a command can have
EXIT_CODES = (
    "exit codes: 0, done; 2, a mistake, told in one line; 3, stopped as asked by Ctrl-C or SIGTERM: a training is "
    "saved and goes on with the same command; 4, another process of the run is gone, and it goes on likewise; 1, any "
    "other error."
)


def _at_home(argument: str) -> str:
    """The argument with its `~/`, which shells leave as it is after an equals sign."""
    option, _, value = argument.partition("=")
    return f"{option}={os.path.expanduser(value)}" if option.startswith("--") and value.startswith("~/") else argument


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command: 0, 2 after a mistake of the user's, which is told in one line, or 3 if it was stopped as asked."""
    parser = argparse.ArgumentParser("jaxaug", description=__doc__, epilog=EXIT_CODES, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar=" | ".join(COMMANDS))
    for name, module in COMMANDS.items():
        about = {"help": module.HELP, "description": module.__doc__, "epilog": EXIT_CODES}
        one = commands.add_parser(name, **about, allow_abbrev=False)
        module.add_arguments(one)
    given = [_at_home(one) for one in (sys.argv[1:] if arguments is None else arguments)]
    # argparse takes a setting with a space in it, such as "--data.path=my photos", for a positional argument; the order
    # of settings has a meaning, so that they stay in their place.
    hidden = [
        one.replace(" ", _SPACE) if one.startswith("--") and "." in one.partition("=")[0] else one for one in given
    ]
    chosen, others = parser.parse_known_args(hidden)
    others = [one.replace(_SPACE, " ") for one in others]
    try:
        COMMANDS[chosen.command].run(chosen, others)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Interrupted as stopped:
        if str(stopped):  # of several processes one tells it
            print(f"\n{stopped}\nThe same command goes on from there.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0

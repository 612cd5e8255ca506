"""What a person may want to do after a training, as commands that work where they stand."""

from __future__ import annotations

import pathlib
import shlex
import shutil
import sys


def command() -> str:
    """How this program is called: `jaxaug` where that is this environment's, else by its path, or by Python's."""
    found, own = shutil.which("jaxaug"), pathlib.Path(sys.executable).parent
    if found and pathlib.Path(found).parent == own:
        return "jaxaug"
    if not (own / "jaxaug").exists():
        return f"{_short(pathlib.Path(sys.executable))} -m jaxaug"
    short = _short(own / "jaxaug")
    return short if "/" in short else f"./{short}"


def next_steps(workdir: str | pathlib.Path, run: str | pathlib.Path) -> str:
    """The commands for a finished run, one a line, as a shell takes them.

    Args:
      workdir: the folder of all runs of the training.
      run: the folder of one of them.
    """
    steps = {
        'report "$RUN"': "all of it on one page, to open in a browser",
        'plots "$RUN"': "curves, confusion, reliability, what was learned",
        'evaluate "$RUN" --robustness=occlusion,translation': "on disturbed test images",
        'predict "$RUN" FOLDER --out=predictions.csv': "class names of your own images",
        'export "$RUN" --out=model.stablehlo': "the network, to be used without jaxaug",
        f"results {shlex.quote(_short(pathlib.Path(workdir).parent))}": "one table of all runs",
    }
    widest = max(map(len, steps))
    lines = [f"{command()} {step:<{widest}}  # {what}" for step, what in steps.items()]
    return "\n  ".join(["next:", f"RUN={shlex.quote(_short(pathlib.Path(run)))}", *lines])


def _short(path: pathlib.Path) -> str:
    """Relative to where the person stands, if it is below."""
    path = path.absolute()
    return str(path.relative_to(pathlib.Path.cwd())) if path.is_relative_to(pathlib.Path.cwd()) else str(path)

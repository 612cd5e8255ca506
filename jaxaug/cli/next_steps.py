"""What a person may want to do after a training, as commands that work where they stand."""

from __future__ import annotations

import pathlib
import shutil
import sys


def command() -> str:
    """How this program is called: `jaxaug` where that is this environment's, else its Python with -m jaxaug."""
    found, own = shutil.which("jaxaug"), pathlib.Path(sys.executable).parent
    if found and pathlib.Path(found).parent == own:
        return "jaxaug"
    return f"{_short(pathlib.Path(sys.executable))} -m jaxaug"


def next_steps(workdir: str | pathlib.Path, run: str | pathlib.Path) -> str:
    """The commands for a finished run, one a line.

    Args:
      workdir: the folder of all runs of the training.
      run: the folder of one of them.
    """
    call, one = command(), _short(pathlib.Path(run))
    steps = {
        f"plots {one}": "curves, confusion, reliability, learned weights",
        f"evaluate {one} --robustness=occlusion,translation": "on disturbed test images",
        f"predict {one} FOLDER --out=predictions.csv": "class names of your own images",
        f"export {one} --out=model.stablehlo": "the network, to be used without jaxaug",
        f"results {_short(pathlib.Path(workdir).parent)}": "one table of all runs",
    }
    widest = max(map(len, steps))
    return "\n".join(["next:", *(f"  {call} {step:<{widest}}  # {what}" for step, what in steps.items())])


def _short(path: pathlib.Path) -> str:
    """Relative to where the person stands, if it is below."""
    path = path.absolute()
    return str(path.relative_to(pathlib.Path.cwd())) if path.is_relative_to(pathlib.Path.cwd()) else str(path)

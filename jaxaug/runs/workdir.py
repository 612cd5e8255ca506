"""The folder of a run: its config, code version and environment, its log and its result.

config.json, environment.json, metrics.jsonl (one line for each evaluated epoch), tensorboard/, checkpoints/,
curves.png, reliability.png, robustness.json and .png (if asked for), result.json (only when the run is complete).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import pathlib
import platform
import subprocess
import sys
from typing import Any

import jax
from ml_collections import ConfigDict
from jaxaug.core.sharding import any_process
from jaxaug.core.sharding import is_main_process
from jaxaug.core.errors import UsageError
from jaxaug.core.atomic_io import write_text

PACKAGES = ("jaxaug", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "ml-collections", "numpy")


def fingerprint(config: ConfigDict) -> str:
    """Six letters that differ between configs: the default workdir carries them, so that a changed flag starts
    a run of its own and the same command resumes.
    """
    return hashlib.sha256(_text(config).encode()).hexdigest()[:6]


POLICY = "policy.json"  # a policy that was searched, in the folder of its run


class Workdir:
    """The folder of one run. Only the main process reads and writes; on the others the methods do nothing.

    Raises UsageError, on every process, if it cannot be written or holds a run of another config.
    """

    def __init__(self, path: str | pathlib.Path, config: ConfigDict):
        self.path = pathlib.Path(path).resolve()
        self.checkpoints = self.path / "checkpoints"
        self._text = _text(config)
        self._board: Any = None
        mistake = self._mistake() if is_main_process() else ""
        # All processes stop together: one alone would leave the others waiting for it.
        if any_process(bool(mistake)):
            raise UsageError(mistake or f"process 0 cannot use the workdir {self.path}; see its message")

    def _mistake(self) -> str:
        """Why this folder cannot be used, or nothing."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / ".writable").write_text("")
            (self.path / ".writable").unlink()
        except OSError as error:
            return f"cannot write to the workdir {self.path}: {error}. Choose another --workdir."
        saved = self.path / "config.json"
        return _difference(json.loads(saved.read_text()), json.loads(self._text), self.path) if saved.exists() else ""

    def begin(self) -> None:
        """Write what the run is, once its config has proved to be usable."""
        if is_main_process():
            write_text(self.path / "config.json", self._text)
            write_text(self.path / "environment.json", json.dumps(environment(), indent=1))

    def complete(self) -> bool:
        """Whether the run has its result."""
        return any_process(is_main_process() and (self.path / "result.json").exists())

    def result(self) -> dict[str, Any]:
        """The result of a complete run."""
        return json.loads((self.path / "result.json").read_text()) if is_main_process() else {}

    def history(self, until_step: int | None = None) -> list[dict[str, float]]:
        """The records logged so far; those after `until_step` (of epochs that will run again) are dropped for good."""
        file = self.path / "metrics.jsonl"
        if not is_main_process() or not file.exists():
            return []
        records = read_history(file)
        if until_step is not None:
            records = [r for r in records if r["step"] <= until_step]
            write_text(file, "".join(json.dumps(r) + "\n" for r in records))
        return records

    def log(self, record: dict[str, float]) -> None:
        """Add one record to metrics.jsonl and to TensorBoard."""
        if not is_main_process():
            return
        with (self.path / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        if self._board is None:
            from tensorboardX import SummaryWriter  # slow to import, and only here

            self._board = SummaryWriter(str(self.path / "tensorboard"))
        for name, value in record.items():
            if name not in ("step", "epoch"):
                self._board.add_scalar(name, value, int(record["step"]))

    def finish(self, result: dict[str, Any]) -> None:
        """Write result.json, which marks the run as complete."""
        if is_main_process():
            write_text(self.path / "result.json", json.dumps(result, indent=1))

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """The config of the run in a folder as it was given, with the tuples of which JSON makes lists.

    Raises UsageError if there is none, or if it cannot be read.
    """
    try:
        return _with_tuples(json.loads((folder / "config.json").read_text()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} is not the folder of a run, its config.json cannot be read: {error}") from None




def environment() -> dict[str, Any]:
    """What this run runs on: code version, packages, devices, command."""

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return "not installed"

    return {
        "command": sys.argv,
        "code": _code_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "devices": [str(d.device_kind) for d in jax.devices()],
        "processes": jax.process_count(),
    }


def _code_version() -> str:
    """The commit of the source tree, with '-dirty' if files differ from it; 'unknown' outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(
            command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _text(config: ConfigDict) -> str:
    return json.dumps(config.to_dict(), indent=1, sort_keys=True, default=list)


def _with_tuples(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _with_tuples(value) for key, value in tree.items()}
    return tuple(map(_with_tuples, tree)) if isinstance(tree, list) else tree


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(tree, dict) and tree:
        return {k: v for key, value in tree.items() for k, v in _flat(value, f"{prefix}.{key}").items()}
    return {prefix.lstrip("."): tree}


def _difference(saved: dict, current: dict, path: pathlib.Path) -> str:
    before, now = _flat(saved), _flat(current)
    changed = [k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k)]
    lines = "\n".join(f"  {k}: there {before.get(k)!r}, now {now.get(k)!r}" for k in changed[:5])
    if not changed:
        return ""
    return (
        f"the workdir {path} holds a run of another config:\n{lines}\n"
        "Choose another --workdir, or delete that one to start again."
    )

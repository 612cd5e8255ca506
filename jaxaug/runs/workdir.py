"""The folder of a run: its config, code version and environment, its log and its result."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import any_process, is_main_process
from jaxaug.runs.history import append_record, read_history, write_history
from jaxaug.runs.provenance import environment

# What a run leaves in its folder.
CONFIG = "config.json"  # every field it was run with
ENVIRONMENT = "environment.json"  # code version, packages, devices, command
METRICS = "metrics.jsonl"  # one line for each evaluated epoch
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
ROWS = "rows.npz"  # the training rows and labels, where some were left out or changed
ROBUSTNESS = "robustness.json"  # every level of the protocols that were asked for
PER_EXAMPLE = "per_example.npz"  # what was learned about each training row
POLICY = "policy.json"  # a policy that was searched
RESULT = "result.json"  # only when the run is complete


class Workdir:
    """The folder of one run. Only the main process reads and writes; on the others the methods do nothing.

    Args:
      path: the folder, made if need be.
      config: every field of the run, values of JSON or tuples.

    Raises:
      UsageError: on every process, if it cannot be written or holds a run of another config.
    """

    def __init__(self, path: str | pathlib.Path, config: Mapping[str, Any]):
        self.path = pathlib.Path(path).resolve()
        self.checkpoints = self.path / CHECKPOINTS
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
        saved = self.path / CONFIG
        return _difference(json.loads(saved.read_text()), json.loads(self._text), self.path) if saved.exists() else ""

    def begin(self) -> None:
        """Write what the run is, once its config has proved to be usable."""
        if is_main_process():
            write_text(self.path / CONFIG, self._text)
            write_text(self.path / ENVIRONMENT, json.dumps(environment(), indent=1))

    def complete(self) -> bool:
        """Whether the run has its result."""
        return any_process(is_main_process() and (self.path / RESULT).exists())

    def result(self) -> dict[str, Any]:
        """The result of a complete run."""
        return json.loads((self.path / RESULT).read_text()) if is_main_process() else {}

    def history(self, until_step: int | None = None) -> list[dict[str, float]]:
        """The records logged so far; those after `until_step` (of epochs that will run again) are dropped for good."""
        file = self.path / METRICS
        if not is_main_process() or not file.exists():
            return []
        records = read_history(file)
        if until_step is not None:
            records = [r for r in records if r["step"] <= until_step]
            write_history(file, records)
        return records

    def log(self, record: Mapping[str, float]) -> None:
        """Add one record to the history and to TensorBoard; it has "step" and "epoch" among its figures."""
        if not is_main_process():
            return
        append_record(self.path / METRICS, record)
        if self._board is None:
            from tensorboardX import SummaryWriter  # slow to import, and only here

            self._board = SummaryWriter(str(self.path / TENSORBOARD))
        for name, value in record.items():
            if name not in ("step", "epoch"):
                self._board.add_scalar(name, value, int(record["step"]))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, which marks the run as complete."""
        if is_main_process():
            write_text(self.path / RESULT, json.dumps(dict(result), indent=1))

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def fingerprint(config: Mapping[str, Any]) -> str:
    """Six letters that differ between configs.

    The default workdir carries them, so that a changed flag starts a run of its own and the same command resumes.
    """
    return hashlib.sha256(_text(config).encode()).hexdigest()[:6]


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """The config of the run in a folder as it was given, with the tuples of which JSON makes lists.

    Raises:
      UsageError: there is none, or it cannot be read.
    """
    try:
        return _with_tuples(json.loads((folder / CONFIG).read_text()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} is not the folder of a run, its {CONFIG} cannot be read: {error}") from None


def _text(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=1, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    """What json does not know: mappings that are no dicts, and sequences that are no lists."""
    return dict(value.items()) if hasattr(value, "items") else list(value)


def _with_tuples(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _with_tuples(value) for key, value in tree.items()}
    return tuple(map(_with_tuples, tree)) if isinstance(tree, list) else tree


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(tree, dict) and tree:
        return {k: v for key, value in tree.items() for k, v in _flat(value, f"{prefix}.{key}").items()}
    return {prefix.lstrip("."): tree}


def _difference(saved: dict[str, Any], current: dict[str, Any], path: pathlib.Path) -> str:
    before, now = _flat(saved), _flat(current)
    changed = [k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k)]
    lines = "\n".join(f"  {k}: there {before.get(k)!r}, now {now.get(k)!r}" for k in changed[:5])
    if not changed:
        return ""
    return (
        f"the workdir {path} holds a run of another config:\n{lines}\n"
        "Choose another --workdir, or delete that one to start again."
    )

"""The folder of a run: its config, what it has read, code version and environment, its log and its result."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import platform
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import CannotGoOnError, UsageError
from jaxaug.core.file_lock import hold
from jaxaug.core.sharding import any_process, is_main_process
from jaxaug.runs.history import RESTART, append_record, read_history, write_history
from jaxaug.runs.inputs import Inputs, differences, read_inputs, save_inputs
from jaxaug.runs.mirror import REPLACED, checkpoints_of, keep_mirror, push, set_aside_there
from jaxaug.runs.provenance import environment
from jaxaug.runs.sinks.base import Sinks

# What a run leaves in its folder.
CONFIG = "config.json"  # every field it was run with
INPUTS = "inputs.json"  # digests of all that it has read
ROWS = "rows.npz"  # the rows of every split: their numbers, labels and files
SIGNATURE = "signature.json"  # what its network takes and says
ENVIRONMENT = "environment.json"  # code version, packages, devices, command
METRICS = "metrics.jsonl"  # one line for each evaluated epoch
CHECKPOINTS = "checkpoints"
ROBUSTNESS = "robustness.json"  # every level of the protocols that were asked for
PER_EXAMPLE = "per_example.npz"  # what was learned about each training row
POLICY = "policy.json"  # a policy that was searched
TEMPERATURE = "temperature.json"  # by which its logits are calibrated
RESULT = "result.json"  # only when the run is complete
LOCK = ".lock"  # held by the process that works in the folder

_T = TypeVar("_T")


class Workdir:
    """The folder of one run. Only the main process reads and writes; on the others the methods do nothing.

    Args:
      path: the folder, made if need be.
      config: every field of the run, values of JSON or tuples.
      may_differ: fields that say on what it is carried out, in which a run that goes on may differ.

    Raises:
      UsageError: on every process, if it cannot be written or another process works in it.
      CannotGoOnError: likewise, if it holds a run of another config.
    """

    def __init__(self, path: str | pathlib.Path, config: Mapping[str, Any], may_differ: Collection[str] = ()):
        self.path = pathlib.Path(path).resolve()
        self.checkpoints = checkpoints_of(self.path, CHECKPOINTS)
        self._text, self._may_differ = _text(config), may_differ
        self._lock: int | None = None
        self._inputs: tuple[Inputs, tuple[str, ...]] | None = None
        self._sinks = Sinks(())
        try:
            self._on_main(self._open, None)
        except UsageError:
            self.close()
            raise

    def _open(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path / LOCK)
        except OSError as error:
            raise UsageError(f"cannot write to the workdir {self.path}: {error}. Choose another --workdir.") from None
        saved = self.path / CONFIG
        if saved.exists():
            there, now = (_without(one, self._may_differ) for one in (_read_json(saved), json.loads(self._text)))
            _check_same(there, now, self.path)
        if not (self.path / RESULT).exists():
            self._sinks = Sinks(json.loads(self._text).get("sinks", ("tensorboard",)))

    def _on_main(self, function: Callable[[], _T], otherwise: _T) -> _T:
        """What the main process gets; a mistake stops all processes: one alone would leave the others waiting."""
        found, mistake = otherwise, None
        if is_main_process():
            try:
                found = function()
            except UsageError as error:
                mistake = error
        if any_process(mistake is not None):
            if any_process(isinstance(mistake, CannotGoOnError)):
                raise mistake or CannotGoOnError(f"process 0 cannot go on in {self.path}; see its message")
            raise mistake or UsageError(f"process 0 cannot use the workdir {self.path}; see its message")
        return found

    def touched(self, facts: str) -> bool:
        """Whether what the run has read may have changed since.

        Args:
          facts: as `Inputs.facts`.
        """

        def compared() -> bool:
            saved = _read_inputs(self.path / INPUTS)
            return saved is None or not facts or saved["facts"] != facts

        return self._on_main(compared, False)

    def check_inputs(self, read: Callable[[], Inputs], accept: bool = False) -> None:
        """Refuse to go on with other inputs than the run has read before; `begin` writes them down.

        Args:
          read: gives what is read now; called on the main process alone.
          accept: go on, and keep note of it.

        Raises:
          CannotGoOnError: on every process, with what differs.
        """

        def compared() -> None:
            inputs, saved = read(), _read_inputs(self.path / INPUTS) if (self.path / CONFIG).exists() else None
            told = [] if saved is None else differences(saved["inputs"], self.path / ROWS, inputs)
            if told and not accept:
                raise CannotGoOnError(
                    f"the run in {self.path} has read something else before:\n"
                    + "".join(f"  {line}\n" for line in told)
                    + f"Undo that, choose another --workdir, {RESTART}; --accept_inputs goes on, or returns the result "
                    "there is, as it stands."
                )
            self._inputs = inputs, (*(saved or {"accepted": ()})["accepted"], *told)

        self._on_main(compared, None)

    def keep_inputs(self) -> None:
        """Write down what `check_inputs` was given."""
        if self._inputs is not None:
            save_inputs(self.path / INPUTS, self.path / ROWS, *self._inputs)

    def begin(self) -> None:
        """Write what the run is, once its config has proved to be usable."""
        if is_main_process():
            self.keep_inputs()
            write_text(self.path / CONFIG, self._text)
            write_text(self.path / ENVIRONMENT, json.dumps(environment(), indent=1))
            self._push()
        self._on_main(self._begin_sinks, None)

    def _begin_sinks(self) -> None:
        self._sinks.begin(self.path, json.loads(self._text))

    def complete(self) -> bool:
        """Whether the run has its result."""
        return any_process(is_main_process() and (self.path / RESULT).exists())

    def result(self) -> dict[str, Any]:
        """The result of a complete run. Raises CannotGoOnError if it is damaged."""
        return self._on_main(lambda: _read_json(self.path / RESULT), {})

    def history(self, until_step: int | None = None) -> list[dict[str, float]]:
        """The records logged so far; those after `until_step` (of epochs that will run again) are dropped for good.

        Raises:
          CannotGoOnError: one of them is damaged.
        """
        return self._on_main(lambda: self._history(until_step), [])

    def _history(self, until_step: int | None) -> list[dict[str, float]]:
        file = self.path / METRICS
        if not file.exists():
            return []
        records = read_history(file)
        if until_step is not None:
            records = [r for r in records if r["step"] <= until_step]
            write_history(file, records)
        return records

    def log(self, record: Mapping[str, float]) -> None:
        """Add one record to the history and to the sinks; it has "step" and "epoch" among its metrics."""
        if not is_main_process():
            return
        append_record(self.path / METRICS, record)
        self._begin_sinks()
        self._sinks.log(record)
        self._push()

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, which marks the run as complete."""
        if is_main_process():
            write_text(self.path / RESULT, json.dumps(dict(result), indent=1))
            self._push()
            self._sinks.finish(result)

    def close(self) -> None:
        """Close the sinks, and let other processes have the folder."""
        self._sinks.close()
        if is_main_process():
            self._push()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _push(self) -> None:
        """Send what changed to the bucket, if there is one; it is told if that fails."""
        try:
            push(self.path)
        except UsageError as error:  # a training of days must not end with a server
            print(error)


def set_aside(path: str | pathlib.Path) -> pathlib.Path:
    """Move a run's folder to `replaced/<its name>-<number>` beside it -> where it lies now.

    Raises:
      UsageError: it cannot be moved.
    """
    path = pathlib.Path(path).resolve()
    parent = path.parent / REPLACED
    number = 1
    while (target := parent / f"{path.name}-{number}").exists():
        number += 1
    try:
        set_aside_there(path, target.name)
        parent.mkdir(exist_ok=True)
        os.rename(path, target)
        keep_mirror(target, path)
    except OSError as error:
        raise UsageError(f"{path} cannot be moved to {target}: {error}. Choose another --workdir.") from None
    return target


def fingerprint(config: Mapping[str, Any], may_differ: Collection[str] = ()) -> str:
    """Six letters that differ between configs, but for the fields in which a run that goes on may differ.

    The default workdir carries them, so that a changed flag starts a run of its own and the same command resumes.
    """
    return hashlib.sha256(_text(_without(config, may_differ)).encode()).hexdigest()[:6]


def read_config(folder: pathlib.Path) -> dict[str, Any]:
    """The config of the run in a folder as it was given, with the tuples of which JSON makes lists.

    Raises:
      UsageError: there is none, or it cannot be read.
    """
    if not (folder / CONFIG).exists():
        raise UsageError(
            f"{folder} is not the folder of a run: it has no {CONFIG}; a training names its folders, such as "
            "runs/<config>/<variant>/seed_0"
        )
    try:
        return _with_tuples(json.loads((folder / CONFIG).read_text()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} is not the folder of a run, its {CONFIG} cannot be read: {error}") from None


def _locked(file: pathlib.Path) -> int:
    """A descriptor of the file, whose lock ends with it or the process, however that ends.

    Raises UsageError if another process holds it, and OSError.
    """
    file.touch()
    try:
        held = hold(file)
    except BlockingIOError:
        who = file.read_text(errors="replace") or "another process"
        raise UsageError(
            f"{who} works in the workdir {file.parent}: wait for it, stop it, or choose another --workdir"
        ) from None
    with contextlib.suppress(OSError):  # a full disk has no room for the name
        file.write_text(f"process {os.getpid()} on {platform.node()}")
    return held


def _read_json(file: pathlib.Path) -> dict[str, Any]:
    """A file that the run wrote itself."""
    try:
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise ValueError("it holds no object")
        return found
    except (OSError, ValueError) as error:
        raise CannotGoOnError(
            f"{file} is damaged: {error}. Put back a copy, choose another --workdir, {RESTART}."
        ) from None


def _read_inputs(file: pathlib.Path) -> dict[str, Any] | None:
    """What the run has read; None where an older version wrote nothing down."""
    try:
        return read_inputs(file) if file.exists() else None
    except (OSError, ValueError) as error:
        raise CannotGoOnError(
            f"{file}, which says what the run has read, is damaged: {error}. Put back a copy, remove it to go on "
            f"unseen, choose another --workdir, {RESTART}."
        ) from None


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


def _without(config: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in names}


def _check_same(saved: dict[str, Any], current: dict[str, Any], path: pathlib.Path) -> None:
    before, now = _flat(saved), _flat(current)
    changed = [k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k)]
    lines = "\n".join(f"  {k}: there {before.get(k)!r}, now {now.get(k)!r}" for k in changed[:5])
    if changed:
        raise CannotGoOnError(
            f"the workdir {path} holds a run of another config:\n{lines}\nChoose another --workdir, {RESTART}."
        )

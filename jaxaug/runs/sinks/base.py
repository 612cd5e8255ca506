"""What a sink is, and what several of them need."""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot, as_slots, instantiate, slot_name

_PROGRESS = ("step", "epoch")  # of a record, which are no metrics


class Sink(Protocol):
    """Takes the records of one run, on its main process. It is made before anything expensive, and used from `begin`.

    What `log` and `finish` raise does not stop a training: the sink is left, and `metrics.jsonl` has every record.
    """

    def begin(self, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
        """Begin, or go on with what was begun for this folder.

        Args:
          folder: of the run, where the sink may keep what it needs to go on.
          config: every field of the run.

        Raises:
          UsageError: records cannot be sent, and what to do.
        """

    def log(self, record: Mapping[str, float]) -> None:
        """Take the record of an epoch: "step", "epoch" and metrics by name."""

    def finish(self, result: Mapping[str, Any]) -> None:
        """Take the result of a run that is complete."""

    def close(self) -> None:
        """Send what is waiting; the run has ended, or was interrupted and may go on."""


class Sinks:
    """The sinks of one run as one; a sink that fails is left, with a line that says so.

    Args:
      slots: of components of the family "sink".

    Raises:
      UsageError: an unknown sink or option, or a package that is not installed.
    """

    def __init__(self, slots: Iterable[Slot]):
        slots = as_slots(slots)
        self._sinks: dict[str, Sink] = {slot_name(slot): instantiate("sink", slot) for slot in slots}
        self._begun = False

    def begin(self, folder: pathlib.Path, config: Mapping[str, Any]) -> None:
        """Begin all of them, once. Raises UsageError if one cannot."""
        for name, sink in () if self._begun else self._sinks.items():
            try:
                sink.begin(folder, config)
            except UsageError:
                raise
            except Exception as error:  # as such it would leave other processes waiting
                raise UsageError(f"the sink {name!r} cannot begin: {error!r}. Mend that, or leave it out") from error
        self._begun = True

    def log(self, record: Mapping[str, float]) -> None:
        """Hand on the record of an epoch."""
        self._each(lambda sink: sink.log(record))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Hand on the result."""
        if self._begun:
            self._each(lambda sink: sink.finish(result))

    def close(self) -> None:
        """Close those that were begun."""
        if self._begun:
            self._each(lambda sink: sink.close())

    def _each(self, do: Callable[[Sink], None]) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                do(sink)
            except Exception as error:  # of many kinds; a training of days must not end with a server
                del self._sinks[name]
                print(f"{name} takes no more records: {error!r}; metrics.jsonl has them all")


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record or a result by name, without its step and epoch."""
    return {name: value for name, value in record.items() if name not in _PROGRESS and _is_number(value)}


def first_line(error: Exception) -> str:
    """The first line of what an exception says, without its full stop."""
    return str(error).partition("\n")[0].rstrip(".")


def need(package: str, name: str) -> None:
    """Raises UsageError, with what to do, if a package is not installed.

    Args:
      package: as it is imported and installed.
      name: of the sink.
    """
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{package} is not installed: pip install {package}, or leave out the sink {name!r}")


def kept_id(folder: pathlib.Path, name: str) -> str:
    """What a sink has called the run of a folder before; "" if it has not begun yet."""
    file = folder / f"{name}.id"
    return file.read_text().strip() if file.exists() else ""


def keep_id(folder: pathlib.Path, name: str, identity: str) -> None:
    """Remember what a sink calls the run of a folder."""
    write_text(folder / f"{name}.id", identity + "\n")


def run_name(folder: pathlib.Path) -> str:
    """The last two words of a run's folder, such as "isda/seed_0"."""
    return "/".join(folder.resolve().parts[-2:])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

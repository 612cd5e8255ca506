"""What a command on a folder of images has finished, kept in the folder that it writes until all is done."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.core.file_lock import hold

JOURNAL = "unfinished.jsonl"


@dataclasses.dataclass(frozen=True)
class Finished:
    """An image whose copies are all written.

    Attributes:
      name: of the image below its folder.
      target: the name of its copies, without `_<copy>.png`.
      facts: of the file when it was read, see `core.digest.facts_of`.
      visible: of each copy, the share in 0..1 of the image that is still seen.
    """

    name: str
    target: str
    facts: str
    visible: list[float]


class Journal:
    """The file `unfinished.jsonl` in the folder that a command writes: its options, then a line for each image done.

    The folder is read when the journal is made, and written from `begin` on.

    Args:
      out: the folder.
      command: the options that decide what is written, as values of JSON.
      overwrite: use a folder with something else in it; what an unfinished command did is done anew.

    Attributes:
      found: what the same command, interrupted, had finished, by the image's name.

    Raises:
      UsageError: the folder is not empty and nothing says that the same command wrote it.
    """

    def __init__(self, out: pathlib.Path, command: Mapping[str, Any], overwrite: bool):
        self._out, self._file = out, out / JOURNAL
        self._header = {"command": dict(command)}
        self._lines: TextIO | None = None
        self._held: int | None = None
        lines = _lines_of(self._file)
        before = next(lines, None)
        if before != self._header and not overwrite and out.exists() and any(out.iterdir()):
            raise UsageError(self._refusal(before))
        entries = (_entry_of(line) for line in lines) if before == self._header else ()
        self.found: dict[str, Finished] = {entry.name: entry for entry in entries if entry is not None}

    def begin(self, kept: Mapping[str, Finished]) -> None:
        """Make the folder if need be and write the command and what stays finished.

        Raises:
          UsageError: another process is writing into the folder.
          OSError: the folder cannot be written.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        try:
            self._held = hold(self._out)
        except BlockingIOError:
            raise UsageError(
                f"another process is writing into {self._out}: wait for it, or choose another folder"
            ) from None
        records = [self._header, *map(dataclasses.asdict, kept.values())]
        write_text(self._file, "".join(json.dumps(record) + "\n" for record in records))
        # Line by line, so that a killed process loses one line at most.
        self._lines = self._file.open("a", buffering=1)

    def add(self, entry: Finished) -> None:
        """Add an image whose copies are all written. Raises OSError."""
        assert self._lines is not None, "begin() comes first"
        self._lines.write(json.dumps(dataclasses.asdict(entry)) + "\n")

    def close(self) -> None:
        """Leave the journal where it is, for the same command to go on."""
        if self._lines is not None:
            self._lines.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def remove(self) -> None:
        """All is done: the folder holds what was asked for and nothing else."""
        self._file.unlink()
        self.close()

    def _refusal(self, before: Any) -> str:
        if not (isinstance(before, dict) and isinstance(before.get("command"), dict)):
            return f"{self._out} is not empty: choose another folder, or overwrite to write into it"
        old, new = before["command"], self._header["command"]
        differing = [
            f"another {name}" if isinstance(value, str) else f"{name} {old.get(name)} instead of {value}"
            for name, value in new.items()
            if old.get(name) != value
        ]
        return (
            f"{self._out} holds what an interrupted command with {', '.join(differing)} has written: repeat that one "
            "and it goes on, choose another folder, or overwrite to begin anew"
        )


def _lines_of(file: pathlib.Path) -> Iterator[Any]:
    """The values of a file of JSON lines; None for a line that a killed process or a full disk has left unfinished."""
    if not file.is_file():
        return
    for line in file.read_text(errors="replace").split("\n"):
        try:
            yield json.loads(line)
        except ValueError:
            yield None


def _entry_of(record: Any) -> Finished | None:
    try:
        return Finished(**record)
    except TypeError:
        return None

"""The records of a run, one line of JSON for each evaluated epoch, the oldest first."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import CannotGoOnError

Record = dict[str, float]
RESTART = "or --restart, which starts anew and keeps what is there in a folder `replaced` beside it"


def read_history(file: pathlib.Path) -> list[Record]:
    """The records of a metrics.jsonl, without the last one if a killed process left it half written.

    Raises:
      CannotGoOnError: another line is no record, with its number.
    """
    lines = file.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line or b"null")
            if line and not isinstance(record, dict):
                raise ValueError("it is no record")
        except ValueError as error:
            if number == len(lines):  # cut before its end was written
                break
            raise CannotGoOnError(
                f"line {number} of {file} is damaged: {error}. Mend or remove it, put back a copy, {RESTART}."
            ) from None
        records += [record] if line else []
    return records


def append_record(file: pathlib.Path, record: Mapping[str, float]) -> None:
    """Add one record to a metrics.jsonl, which is made if need be."""
    with file.open("a") as lines:
        lines.write(json.dumps(dict(record)) + "\n")


def write_history(file: pathlib.Path, records: Iterable[Mapping[str, float]]) -> None:
    """Make these the records of a metrics.jsonl, whole or not at all."""
    write_text(file, "".join(json.dumps(dict(record)) + "\n" for record in records))

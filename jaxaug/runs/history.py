"""The records of a run, one line of JSON for each evaluated epoch, the oldest first."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping

from jaxaug.core.atomic_io import write_text

Record = dict[str, float]


def read_history(file: pathlib.Path) -> list[Record]:
    """The records of a metrics.jsonl, without the last one if a killed process left it half written."""
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]


def append_record(file: pathlib.Path, record: Mapping[str, float]) -> None:
    """Add one record to a metrics.jsonl, which is made if need be."""
    with file.open("a") as lines:
        lines.write(json.dumps(dict(record)) + "\n")


def write_history(file: pathlib.Path, records: Iterable[Mapping[str, float]]) -> None:
    """Make these the records of a metrics.jsonl, whole or not at all."""
    write_text(file, "".join(json.dumps(dict(record)) + "\n" for record in records))

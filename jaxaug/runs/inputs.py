"""What a run has read: kept beside its config, and compared when the same command is given again."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxaug.core.atomic_io import write_npz, write_text
from jaxaug.core.digest import digest_of_array
from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import read_npz

_SHOWN = 5  # differences


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What decides a run's result besides its config.

    Attributes:
      digests: name of an input, such as "train_image" or "config.search.network" -> what tells its content.
      rows: name of an input -> array [N] that is kept whole, so that a difference can be told row by row.
      facts: what is the same as long as the files that were read are untouched; "" where that is not known.
    """

    digests: Mapping[str, str]
    rows: Mapping[str, np.ndarray]
    facts: str = ""

    def all_digests(self) -> dict[str, str]:
        """name -> digest of every input."""
        return {**self.digests, **{name: digest_of_array(array) for name, array in self.rows.items()}}


def save_inputs(file: pathlib.Path, rows_file: pathlib.Path, inputs: Inputs, accepted: tuple[str, ...] = ()) -> None:
    """Write the digests as JSON, and the rows as .npz.

    Args:
      file, rows_file: where.
      inputs: what was read.
      accepted: differences from what was read before, which were agreed to.
    """
    # The rows first: without the digests nobody looks at them.
    write_npz(rows_file, inputs.rows)
    content: dict[str, Any] = {"inputs": inputs.all_digests(), "facts": inputs.facts}
    write_text(file, json.dumps({**content, "accepted": accepted} if accepted else content, indent=1))


def read_inputs(file: pathlib.Path) -> dict[str, Any]:
    """{"inputs": {name: digest}, "facts", "accepted"} as saved.

    Raises:
      ValueError: it cannot be read, or is not such a file.
    """
    found = json.loads(file.read_text())
    if not isinstance(found, dict) or not isinstance(found.get("inputs"), dict):
        raise ValueError("it has no inputs")
    return {"facts": "", "accepted": [], **found}


def differences(saved: Mapping[str, str], rows_file: pathlib.Path, present: Inputs) -> list[str]:
    """What differs between what was read before and what is read now, one sentence for each input that both know.

    Args:
      saved: name -> digest, as `read_inputs` gives them.
      rows_file: the rows of then; where it is damaged, only that they differ is told.
      present: what is read now.
    """
    now = present.all_digests()
    changed = [name for name in now if name in saved and saved[name] != now[name]]
    before = _read_rows(rows_file) if set(changed) & set(present.rows) else {}
    told = []
    for name in changed:
        if name in before and name in present.rows:
            told.append(f"{_words(name)}: {_difference(before[name], present.rows[name])}")
        else:
            told.append(f"{_words(name)}: not what it was")
    return told if len(told) <= _SHOWN else [*told[:_SHOWN], f"and {len(told) - _SHOWN} more"]


def _words(name: str) -> str:
    """ "train_label" -> "train label"; an address in a config stays."""
    return name if "." in name else name.replace("_", " ")


def _difference(before: np.ndarray, now: np.ndarray) -> str:
    shared = min(len(before), len(now))
    other = np.flatnonzero(before[:shared] != now[:shared])
    told = [f"{len(now)} instead of {len(before)}"] if len(before) != len(now) else []
    if len(other):
        row = int(other[0])
        told.append(
            f"{len(other)} of {shared} differ, first row {row}: there {_said(before[row])}, now {_said(now[row])}"
        )
    return ", ".join(told) or "not what it was"


def _said(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read_rows(file: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        return read_npz(file)
    except UsageError:
        return {}

"""What the commands share of reading their arguments."""

from __future__ import annotations

from collections.abc import Sequence

from jaxaug.core.errors import UsageError


def refuse(others: Sequence[str]) -> None:
    """For commands that take no further arguments. Raises UsageError if there are some."""
    if others:
        raise UsageError(f"unknown arguments {' '.join(others)}: --help tells what there is")

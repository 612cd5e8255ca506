"""Names for files that are made of others."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Sequence


def names_without_endings(paths: Sequence[pathlib.PurePath]) -> list[str]:
    """The paths, with "/", without their endings; with it where two would share a name.

    Args:
      paths: each another.
    """
    bare = [path.with_suffix("") for path in paths]
    often = collections.Counter([*paths, *bare])
    return [(short if often[short] == 1 else long).as_posix() for short, long in zip(bare, paths, strict=True)]

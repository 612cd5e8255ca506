"""A config in fields as the command line names them; needs no JAX."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Fields that say on what a run is carried out and who is told of it, not what it is: one that goes on may have others.
LAYOUT = ("mesh", "sharding", "prefetch", "sinks")


def fields_of(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(field, value) for all of a config, as it is read from JSON.

    A field has the names on the way to it with dots between; a sequence of slots is told as "isda+focal", and each
    option of a slot as "loss.isda.strength", of a second component of that name with its number.
    """
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from fields_of(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(tree, list) and tree and all(isinstance(slot, dict) and "name" in slot for slot in tree):
        names = [slot["name"] for slot in tree]
        yield prefix, "+".join(names)
        for i, (name, slot) in enumerate(zip(names, tree, strict=True)):
            options = {key: value for key, value in slot.items() if key != "name"}
            if options:
                yield from fields_of(options, f"{prefix}.{i if name in names[:i] else name}")
    else:
        yield prefix, tree

"""What devices tell each other in a compiled program: its collectives, read from XLA's text of it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping

# What each sends per device, as a share of the bytes of its whole result, in a ring of g devices: an all-reduce is a
# reduce-scatter and an all-gather.
_SENT = {
    "all-reduce": lambda g: 2 * (g - 1) / g,
    "all-gather": lambda g: (g - 1) / g,
    "reduce-scatter": lambda g: (g - 1) / g,
    "all-to-all": lambda g: (g - 1) / g,
    "collective-permute": lambda g: 1.0,
    "ragged-all-to-all": lambda g: (g - 1) / g,
}
_LINE = re.compile(
    rf"=\s*(?P<shape>\(.*?\)|\S+)\s+(?P<kind>{'|'.join(_SENT)})(?P<start>-start)?\((?P<operands>.*)$", re.M
)
_SHAPE = re.compile(r"\b(pred|[subf]\d+|bf16|f8\w*|c64|c128|token)\[([\d,]*)\]")
_GROUPS = re.compile(r"replica_groups=(?:\{\{([\d,]*)\}|\[(\d+),(\d+)\])")


@dataclasses.dataclass(frozen=True)
class Collectives:
    """Of one kind: how many there are, and the bytes of their whole results.

    sent: bytes that each device sends for them in rings. What is in a loop is counted once.
    """

    count: int = 0
    bytes: int = 0
    sent: float = 0.0


def collectives_of(text: str, devices: int) -> dict[str, Collectives]:
    """{kind: Collectives}, such as "all-reduce", of an optimised program's text. devices: that it runs on."""
    found: dict[str, Collectives] = {}
    for kind, size, group in _each(text, devices):
        before = found.get(kind, Collectives())
        sent = before.sent + size * _SENT[kind](group)
        found[kind] = Collectives(before.count + 1, before.bytes + size, sent)
    return dict(sorted(found.items()))


def bytes_of(found: Mapping[str, Collectives]) -> int:
    """Of all kinds together."""
    return sum(one.bytes for one in found.values())


def _each(text: str, devices: int) -> Iterator[tuple[str, int, int]]:
    """(kind, bytes of the whole result, devices that take part) of each collective among more than one device."""
    for line in _LINE.finditer(text):
        group = _group_size(line["operands"], devices)
        sizes = [_bytes(*shape) for shape in _SHAPE.findall(line["shape"])]
        if group == 1 or not sizes:
            continue
        # A started one gives its operands and then its results; of an all-reduce the two are one.
        if line["start"] and line["kind"] != "all-reduce":
            sizes = sizes[len(sizes) // 2 :]
        size = sum(sizes) * (group if line["kind"] == "reduce-scatter" else 1)
        yield line["kind"], size, group


def _group_size(operands: str, devices: int) -> int:
    found = _GROUPS.search(operands)
    if found is None:
        return devices
    return int(found[3]) if found[3] else len(found[1].split(",")) if found[1] else devices


def _bytes(kind: str, extents: str) -> int:
    if kind == "token":
        return 0
    bits = 8 if kind == "pred" or kind.startswith("f8") else int(re.sub(r"\D", "", kind))
    return math.prod(int(n) for n in extents.split(",") if n) * max(bits, 8) // 8

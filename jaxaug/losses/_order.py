"""Loss transforms that contradict each other, found by what they declare to read and write."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import hint
from jaxaug.core.types import LossTransform

WRITTEN = frozenset({"logits", "targets", "dominant", "weight", "extra"})
READ = WRITTEN | {"label", "visibility", "mix_ratio", "features", "kernel", "progress"}
# Where something made of the targets or logits stays as it was when they change later. A weight may well be that of the
# targets before.
LASTING = frozenset({"logits", "extra"})
SPOKEN = {"dominant": "largest targets"}


def check_order(members: Mapping[str, LossTransform]) -> None:
    """Raises UsageError where a transform undoes or outdates what one before it did, naming both.

    What is not declared, and what an undeclared transform stands between, is taken to be as it should.

    Args:
      members: {name: transform}, in order.
    """
    for name, transform in members.items():
        for given, known in ((transform.reads, READ), (transform.writes, WRITTEN)):
            for field in sorted((given or frozenset()) - known):
                raise UsageError(f"{name}: reads and writes name fields of a loss, {hint(field, sorted(known))}")
    for run in _declared_runs(members):
        for (earlier, first), (later, second) in itertools.combinations(run, 2):
            _check_pair(earlier, first, later, second)


def joint_fields(transforms: Iterable[LossTransform]) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """(reads, writes) of transforms in a row, (None, None) if one is undeclared."""
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    for one in transforms:
        if one.reads is None or one.writes is None:
            return None, None
        reads, writes = reads | (one.reads - writes), writes | one.writes
    return reads, writes


def _declared_runs(members: Mapping[str, LossTransform]) -> list[list[tuple[str, LossTransform]]]:
    """The members in order, cut where one is undeclared."""
    runs: list[list[tuple[str, LossTransform]]] = [[]]
    for name, one in members.items():
        if one.reads is None or one.writes is None:
            runs.append([])
        else:
            runs[-1].append((name, one))
    return runs


def _check_pair(earlier: str, first: LossTransform, later: str, second: LossTransform) -> None:
    assert first.reads is not None
    assert first.writes is not None
    assert second.reads is not None
    assert second.writes is not None
    undone = (first.writes & second.writes) - second.reads - {"dominant"}
    for field in sorted(undone):
        raise UsageError(
            f"chain: {later!r} makes the {field} anew, which undoes what {earlier!r} did to them: put {later!r} before "
            f"{earlier!r}, or leave one of them out"
        )
    outdated = (first.reads - first.writes) & second.writes if first.writes & LASTING else frozenset()
    for field in sorted(outdated):
        raise UsageError(
            f"chain: {earlier!r} goes by the {SPOKEN.get(field, field)}, which {later!r} changes after it: put "
            f"{later!r} before {earlier!r}"
        )

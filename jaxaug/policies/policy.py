"""One type for every policy of the field: sub-policies of layers of branches, a branch is (operation, level, logit).

RandAugment has one sub-policy of n layers with a branch per op; AutoAugment 25 of two layers with the branches "op" and
"nothing"; DeepAA one of six layers with 139 branches each.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import flax.struct
import jax
import numpy as np

from jaxaug.core.arguments import described
from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import IDENTITY, OPS, find_op

FORMAT = "jaxaug policy 1"
Array = jax.Array | np.ndarray
SHOWN = 4  # ops in the one line that stands for a policy
NOISES = ("uniform", "normal", "sign")
RGB_MEAN = (125.0, 123.0, 114.0)  # of CIFAR-10, the cover color of the AutoAugment family


class Policy(flax.struct.PyTreeNode, eq=False):  # hashed by identity, as arrays cannot be
    """What may happen to an image: S sub-policies, L layers, R branches (N: one policy per training row, or none).

    Arrays of NumPy mark a policy whose values are known before anything is compiled, arrays of JAX one that may be
    learned.

    Attributes:
      mix: [*N S], log of the odds of the sub-policies.
      logits: [*N S L R], of the branches of a layer.
      level: [*N S L R] in [0, 1]; a branch's value is low + level * (high - low).
      op: [S L R] int32, a position in `names`.
      names: of the ops.
      ranges: (low, high) of each name.
      signed: names whose value is mirrored about the op's neutral value by the noise "sign".
      noise: in this order, "uniform" (low + U[0, 1) * (value - low)), "normal" (neutral + N(0, 1) * (value - neutral)),
        "sign" (mirrored with probability 1/2).
      cover: color of what is erased and of what a crop uncovers.
    """

    mix: Array
    logits: Array
    level: Array
    op: Array
    names: tuple[str, ...] = flax.struct.field(pytree_node=False)
    ranges: tuple[tuple[float, float], ...] = flax.struct.field(pytree_node=False)
    signed: tuple[str, ...] = flax.struct.field(pytree_node=False, default=())
    noise: tuple[str, ...] = flax.struct.field(pytree_node=False, default=())
    cover: tuple[float, ...] = flax.struct.field(pytree_node=False, default=RGB_MEAN)

    def __repr__(self) -> str:
        """One line: how many sub-policies, layers and branches, and which ops."""
        shape = getattr(self.op, "shape", ())
        if len(shape) != 3:  # not filled with arrays: as a tree of axes or shardings
            return f"Policy(op={self.op!r})"
        rows = f"{self.mix.shape[0]} rows of " if getattr(self.mix, "ndim", 1) == 2 else ""
        more = f" and {len(self.names) - SHOWN} more" if len(self.names) > SHOWN else ""
        counts = ", ".join(_counted(n, word) for n, word in zip(shape, ("sub-policy", "layer", "branch"), strict=True))
        return f"Policy({rows}{counts}; {_counted(len(self.names), 'op')}: {', '.join(self.names[:SHOWN])}{more})"

    def probabilities(self) -> tuple[np.ndarray, np.ndarray]:
        """(share [*N S] of each sub-policy, probability [*N S L R] of each branch) in float64."""
        return _softmax(np.asarray(self.mix, np.float64)), _softmax(np.asarray(self.logits, np.float64))

    def values(self) -> Any:
        """[*N S L R]: the physical value of each branch before noise."""
        low, high = (np.asarray(side)[self.op] for side in zip(*self.ranges, strict=True))
        return low + self.level * (high - low)

    def with_layers(self, count: int) -> Policy:
        """The policy with its first layer `count` times; its arrays are NumPy's."""
        wide = {name: np.repeat(getattr(self, name)[..., :1, :], count, axis=-2) for name in ("logits", "level", "op")}
        return self.replace(**wide)

    def save(self, path: str | pathlib.Path) -> None:
        """Write the policy as JSON, branch by branch: [op, level, probability].

        The modules that define ops from outside jaxaug are named in the file, so that `load` finds the ops again.

        Args:
          path: of the file.

        Raises:
          UsageError: a policy per training row.
        """
        if self.mix.ndim != 1:
            raise UsageError("a policy per training row cannot be saved as JSON; it is part of the run's checkpoint")
        share, probability = self.probabilities()
        subs = []
        for s in range(self.op.shape[0]):
            layers = [
                [
                    [self.names[self.op[s, i, r]], float(self.level[s, i, r]), float(probability[s, i, r])]
                    for r in range(self.op.shape[2])
                    if probability[s, i, r] > 0
                ]
                for i in range(self.op.shape[1])
            ]
            subs.append({"share": float(share[s]), "layers": layers})
        facts = {"ranges": dict(zip(self.names, self.ranges, strict=True)), "signed": self.signed, "noise": self.noise}
        if modules := _modules_of(self.names):
            facts["modules"] = modules
        text = json.dumps({"format": FORMAT, **facts, "cover": self.cover, "subpolicies": subs})
        write_text(pathlib.Path(path), text.replace('{"share"', '\n{"share"').replace("[[[", "\n [[["))

    @classmethod
    def load(cls, path: str | pathlib.Path) -> Policy:
        """Read a policy that `save` wrote.

        If it has ops that are not known yet, the modules that define them are imported; they may lie beside the file or
        in the working directory. So do not load a file from a folder whose modules you would not run.

        Args:
          path: of the file.

        Returns:
          The policy, its arrays NumPy's.

        Raises:
          UsageError: the file is missing or is no policy, or an op's module cannot be imported.
        """
        path = pathlib.Path(path)
        try:
            found = json.loads(path.read_text())
            if found["format"] != FORMAT:
                raise ValueError(f"its format is {found['format']!r}")
            if not set(found["ranges"]) <= set(OPS):
                _import_modules(path, found.get("modules", []))
            subs, ranges = found["subpolicies"], {name: tuple(pair) for name, pair in found["ranges"].items()}
            signed, noise, cover = (tuple(found[name]) for name in ("signed", "noise", "cover"))
            branches = [[[tuple(branch) for branch in layer] for layer in sub["layers"]] for sub in subs]
            return make_policy(
                branches, ranges, [sub["share"] for sub in subs], signed=signed, noise=noise, cover=cover
            )
        except UsageError:
            raise
        except OSError as error:
            raise UsageError(f"cannot read the policy {path}: {error.strerror}") from None
        except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
            raise UsageError(f"{path} is not a policy of jaxaug (format {FORMAT!r}): {error}") from None


def make_policy(
    branches: list[list[list[tuple[str, float, float]]]],
    ranges: dict[str, tuple[float, float]] | None = None,
    shares: list[float] | None = None,
    *,
    signed: tuple[str, ...] = (),
    noise: tuple[str, ...] = (),
    cover: tuple[float, ...] = RGB_MEAN,
) -> Policy:
    """Make a policy from sub-policies of layers of branches (op, level, probability).

    All sub-policies have equally many layers; where branches are fewer, ones of probability 0 are added.

    Args:
      branches: one list for each sub-policy, in it one for each layer. Levels are in 0..1, probabilities are relative.
      ranges: (low, high) of the values by op; those of the ops where none is given.
      shares: how likely each sub-policy is, relatively; equally by default.
      signed: ops whose value the noise "sign" mirrors.
      noise: of "uniform", "normal" and "sign", see `Policy`.
      cover: color of what is erased and of what a crop uncovers.

    Returns:
      The policy.

    Raises:
      UsageError: unknown ops, also of ranges; levels outside of [0, 1], a layer without probability, unknown noise, a
        range that is not two finite numbers, a cover outside of 0..255.
    """
    ranges = ranges or {}
    _check_branches(branches)
    _check_ranges(ranges, cover)
    used = {IDENTITY, *(branch[0] for sub in branches for layer in sub for branch in layer)}
    for name in sorted({*used, *signed}):
        find_op(name)
    names = tuple(name for name in OPS if name in used)
    if any(kind not in NOISES for kind in noise):
        raise UsageError(f"the noise of a policy must be among {NOISES}, got {noise}")
    width = max(len(layer) for sub in branches for layer in sub)
    shape = (len(branches), len(branches[0]), width)
    op, level, probability = np.zeros(shape, np.int32), np.zeros(shape), np.zeros(shape)
    for s, sub in enumerate(branches):
        for i, layer in enumerate(sub):
            for r, (name, at, chance) in enumerate(layer):
                op[s, i, r], level[s, i, r], probability[s, i, r] = names.index(name), at, chance
    if not (level.min() >= 0 and level.max() <= 1 and probability.min() >= 0 and (probability.sum(-1) > 0).all()):
        raise UsageError("levels must be in [0, 1], probabilities at least 0 and not all 0 in a layer")
    share = np.ones(len(branches)) if shares is None else np.asarray(shares, np.float64)
    if share.shape != (len(branches),) or not (share.min() >= 0 and share.sum() > 0):
        raise UsageError(f"shares must be one number of at least 0 for each of {len(branches)} sub-policies: {shares}")
    with np.errstate(divide="ignore"):
        mix, logits = np.log(share), np.log(probability)
    pairs = tuple(ranges.get(name, (OPS[name].low, OPS[name].high)) for name in names)
    return Policy(mix, logits, level, op, names, pairs, signed, noise, cover)


def _check_branches(branches: Any) -> None:
    if len({len(sub) for sub in branches}) != 1 or not all(sub and all(sub) for sub in branches):
        raise UsageError("the sub-policies of a policy must have equally many layers, at least one, none of them empty")
    for branch in (branch for sub in branches for layer in sub for branch in layer):
        if len(branch) != 3 or not isinstance(branch[0], str):
            raise UsageError(f"a branch of a policy is (op, level, probability), got {branch!r}")


def _check_ranges(ranges: Mapping[str, Any], cover: Any) -> None:
    for name, pair in ranges.items():
        find_op(name)
        if np.shape(pair) != (2,) or not np.isfinite(pair).all():
            raise UsageError(f"the range of {name} in a policy must be two finite numbers (low, high), got {pair!r}")
    colors = np.asarray(cover, np.float64)
    if colors.ndim != 1 or not len(colors) or not ((colors >= 0) & (colors <= 255)).all():
        raise UsageError(f"the cover of a policy must be one number in 0..255 for each channel, got {cover!r}")


def check_policy(name: str, policy: Any) -> None:
    """Raises UsageError unless it is a Policy; with the remedy, for the function of that name."""
    if isinstance(policy, str):
        raise UsageError(f"{name}: policy must be a Policy, got a name: use policies.get({policy!r})")
    if not isinstance(policy, Policy):
        raise UsageError(
            f"{name}: policy must be a Policy, as policies.get and Policy.load give it, got {described(policy)}"
        )


def _softmax(x: np.ndarray) -> np.ndarray:
    odds = np.exp(x - x.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


def _counted(count: int, word: str) -> str:
    plural = {"sub-policy": "sub-policies", "branch": "branches"}.get(word, f"{word}s")
    return f"{count} {word if count == 1 else plural}"


def _modules_of(names: Sequence[str]) -> list[str]:
    """The modules outside of jaxaug that define ops; a script that was run as one by its file's name."""
    found = {find_op(name).apply.__module__ for name in names}
    if "__main__" in found:
        found.remove("__main__")
        file = getattr(sys.modules["__main__"], "__file__", None)  # a notebook has none
        found |= {pathlib.Path(file).stem} if file else set()
    return sorted(name for name in found if name.partition(".")[0] != "jaxaug")


def _import_modules(path: pathlib.Path, names: Sequence[str]) -> None:
    with _importable(path.absolute().parent, pathlib.Path.cwd()):
        for name in names:
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise UsageError(
                    f"the policy {path} has operations of the module {name!r}, which cannot be imported ({error}): put "
                    f"{name.replace('.', '/')}.py beside the policy or into the working directory, or its folder on "
                    "PYTHONPATH"
                ) from None


@contextlib.contextmanager
def _importable(*folders: pathlib.Path) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders if str(folder) not in before]
    try:
        yield
    finally:
        sys.path[:] = before

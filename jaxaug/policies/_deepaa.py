"""DeepAA's policies (Zheng et al. 2022): the published ones, and the archives that its code writes."""

from __future__ import annotations

import pathlib

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import open_npz
from jaxaug.core.registry import pick
from jaxaug.ops.registry import OPS
from jaxaug.policies._published import GEOMETRIC, published
from jaxaug.policies.policy import Policy, make_policy

FILE = "deepaa.json"
NAMES = ("cifar_1", "cifar_2", "imagenet_1", "imagenet_2")
RESIZED_CROPS = (1.0, 0.08)  # from the whole image to the smallest
CUTOUTS = {False: 16.0, True: 60.0}  # pixels, on CIFAR and on ImageNet
CROPS = (0.0, 4.0)
_ARRAYS = ("policy_probs", "ops", "mags", "l_mags", "op_names")


def deepaa(name: str = "cifar_2", sign: bool = True) -> Policy:
    """DeepAA (Zheng et al. 2022).

    The ImageNet policies name a RandCutout that the released code cannot run on images; it is read as 60 pixels.

    Args:
      name: "cifar_1", "cifar_2" (for CIFAR-10 and 100), "imagenet_1" or "imagenet_2".
      sign: mirror geometric values with probability 1/2, as the released evaluation does and its search does not.

    Raises:
      UsageError: another name.
    """
    found = pick("policy of deepaa", name, published(FILE)["policies"])
    pairs = [
        (pair["op"], 1.0 if pair["value"] is None else pair["level"] / (found["n_levels"] - 1))
        for pair in found["pairs"]
    ]
    return _policy(pairs, found["probs"], sign)


def load_deepaa(path: str | pathlib.Path, sign: bool = True) -> Policy:
    """Read the archive that DeepAA's search writes, `policy_DeepAA_<time>.npz`; nothing in it is executed.

    Args:
      path: with the arrays policy_probs [layers S], ops [S] and mags [S] (numbers of an op and of a level), l_mags (how
        many levels) and op_names.
      sign: see `deepaa`.

    Raises:
      UsageError: it cannot be read, lacks one of the arrays, or names an op that there is not.
    """
    with open_npz(path) as archive:
        missing = [name for name in _ARRAYS if name not in archive.files]
        if missing:
            raise UsageError(f"{path} is no policy of DeepAA's code: it has no array {missing[0]!r}")
        arrays = {name: archive[name] for name in _ARRAYS}
    probabilities, ops = arrays["policy_probs"], np.ravel(arrays["ops"])
    names = [str(name).partition(":")[0] for name in np.ravel(arrays["op_names"])]
    levels = np.ravel(arrays["mags"]) / max(int(np.max(arrays["l_mags"], initial=0)) - 1, 1)
    if probabilities.ndim != 2 or not probabilities.shape[-1] == len(ops) == len(levels):
        shapes = ", ".join(f"{name} {list(arrays[name].shape)}" for name in _ARRAYS[:3])
        raise UsageError(f"{path} is no policy of DeepAA's code: {shapes} should be [layers S], [S] and [S]")
    if ops.dtype.kind not in "iu" or not ((ops >= 0) & (ops < len(names))).all():
        raise UsageError(f"{path} is no policy of DeepAA's code: its ops are not numbers of {len(names)} op_names")
    pairs = [(names[op], float(level)) for op, level in zip(ops, levels, strict=True)]
    return _policy(pairs, probabilities.tolist(), sign)


def _policy(pairs: list[tuple[str, float]], probabilities: list[list[float]], sign: bool) -> Policy:
    """Layers whose branches are the pairs (op, level), each with its probability in each layer."""
    large = any(op.startswith("RandResizeCrop") for op, _ in pairs)
    found = []
    for op, level in pairs:
        name = next((known for known in ("RandResizeCrop", "RandCutout") if op.startswith(known)), op)
        if name not in OPS:
            raise UsageError(f"a policy of DeepAA's code names the op {op!r}, which there is not")
        # An op that is drawn has no level of its own: its range says all.
        found.append((name, level if OPS[name].neutral is not None and not name.startswith("Rand") else 1.0))
    layers = [
        [(name, level, chance) for (name, level), chance in zip(found, layer, strict=True)] for layer in probabilities
    ]
    ranges = {op: pair for op, pair in _ranges().items() if OPS[op].neutral is not None}
    ranges |= {"RandCutout": (0.0, CUTOUTS[large]), "RandCrop": CROPS, "RandResizeCrop": RESIZED_CROPS}
    return make_policy([layers], ranges, signed=GEOMETRIC, noise=("sign",) if sign else ())


def _ranges() -> dict[str, tuple[float, float]]:
    """The same for all policies."""
    return {
        op: (pair[0], pair[1]) for op, pair in published(FILE)["policies"][NAMES[0]]["op_ranges"].items() if op in OPS
    }

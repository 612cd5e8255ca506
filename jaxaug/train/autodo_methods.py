"""The methods of AutoDO's tables (Gudovskiy et al., CVPR 2021) as changes of a config, and the controls beside them.

A method is what augments, then what the losses learn: SEP_BOTH, RAND, NONE_WGHT. NONE, RAND, AUTO (Fast AutoAugment)
and DADA are fixed; SHA learns one affine augmentation for all rows, SEP one for each. WGHT learns weights, SOFT soft
labels, BOTH both.
"""

from __future__ import annotations

import copy
from typing import Any

from jaxaug.core.errors import UsageError

AUGMENT = ("NONE", "RAND", "AUTO", "DADA", "SHA", "SEP")
LOSS = ("NONE", "WGHT", "SOFT", "BOTH")
# The eight commands of the released README.
ALL = "NONE+RAND+AUTO+DADA+SHA+SEP+SEP_WGHT+SEP_BOTH"
WEIGHTS, TARGETS = "weights.learned_weights", "targets.learned_targets"
CHAINS: dict[str, tuple[str, ...]] = {"NONE": (), "WGHT": (WEIGHTS,), "SOFT": (TARGETS,), "BOTH": (TARGETS, WEIGHTS)}
SHARING = {"SHA": "shared", "SEP": "per_row"}

# What the released code does where ours differs; see docs/deviations.md.
RELEASED: dict[str, Any] = {
    "augment": {"affine": {"geometry": "kornia_0.4.1", "upscale": 4}},
    "loss": {
        "learned_targets": {"smoothing": 0.05},
        "learned_weights": {"normalise": "none"},
        "divergence": {"symmetric": True},  # only for distorted data
    },
    "search": {
        "direction": "directions.neumann",
        "neumann": {"steps": 5, "rate": 0.01, "scaled": False},
        "part": ("head", "kernel"),
        "curvature": "hessian",
    },
}
# What says how far a method brings anything: each is worth a line beside it.
CONTROLS: dict[str, dict[str, Any]] = {
    "train_and_validation": {"data": {"rows": "both"}},
    "validation_only": {"data": {"rows": "validation"}},
}


def variants(
    methods: str,
    *,
    parts: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    rand: tuple[int, int] = (3, 15),
    colour: tuple[int, int] | None = None,
    auto: str = "fast_autoaugment_cifar10",
    dada: str = "dada_cifar10",
) -> dict[str, dict[str, Any]]:
    """name -> changes of a config, for `config.variants`: plain training, the methods, the controls.

    methods: joined by "+"; "all" for the eight of the released README; "compat_" before one asks for the released
    code's choices (`RELEASED`). parts: addresses of augmentations that every run has, after the policies; before: of
    those before them. rand: (layers, magnitude) of RAND; colour: of the colour policy under SHA and SEP, None for none.
    auto, dada: their policies. Raises UsageError for an unknown method.
    """
    names = methods.replace("all", ALL).split("+")
    policies = {
        "RAND": {"preset": "autodo_rand", "layers": rand[0], "magnitude": rand[1]},
        "AUTO": {"preset": auto},
        "DADA": {"preset": dada},
    }
    if colour is not None:
        policies |= {key: {"preset": "autodo_colour", "layers": colour[0], "magnitude": colour[1]} for key in SHARING}

    def one(name: str) -> dict[str, Any]:
        augment, loss = _read(name.removeprefix("compat_"))
        train = (*before, *(("policy.policy",) if augment in policies else ()), *parts)
        changes: dict[str, Any] = {"augment": {"train": train}, "loss": {"chain": CHAINS[loss]}}
        if augment in policies:
            changes["augment"]["policy"] = policies[augment]
        if augment in SHARING:
            changes["augment"] |= {"train": (*train, "affine.affine"), "affine": {"learned": SHARING[augment]}}
        if augment in SHARING or loss != "NONE":
            changes["search"] = {"name": "autodo"}
        if name.startswith("compat_"):
            changes = _merged(RELEASED, changes)
            changes["loss"]["chain"] += ("targets.divergence",) if TARGETS in CHAINS[loss] else ()
        return changes

    plain = one("NONE")
    controls = {name: _merged(plain, changes) for name, changes in CONTROLS.items()}
    return {"plain": plain} | {name: one(name) for name in names if name != "NONE"} | controls


def _read(name: str) -> tuple[str, str]:
    augment, _, loss = name.partition("_")
    if augment not in AUGMENT or (loss or "NONE") not in LOSS:
        raise UsageError(
            f"unknown method {name!r} of AutoDO: one of {', '.join(AUGMENT)}, then perhaps one of _{', _'.join(LOSS)}; "
            "several joined by +, or all"
        )
    return augment, loss or "NONE"


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Both, the second where they differ."""
    found = copy.deepcopy(first)
    for name, value in second.items():
        found[name] = _merged(found[name], value) if isinstance(value, dict) and name in found else value
    return found

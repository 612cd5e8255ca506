"""The methods of AutoDO's tables (Gudovskiy et al., CVPR 2021) as changes of a config, and the controls beside them.

A method is what augments, then what the losses learn: SEP_BOTH, RAND, NONE_WGHT. NONE, RAND, AUTO (Fast AutoAugment)
and DADA are fixed; SHA learns one affine augmentation for all rows, SEP one for each. WGHT learns weights, SOFT soft
labels, BOTH both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import Slot

AUGMENT = ("NONE", "RAND", "AUTO", "DADA", "SHA", "SEP")
LOSS = ("NONE", "WGHT", "SOFT", "BOTH")
# The eight commands of the released README.
ALL = "NONE+RAND+AUTO+DADA+SHA+SEP+SEP_WGHT+SEP_BOTH"
WEIGHTS, TARGETS = "learned_weights", "learned_targets"
CHAINS: dict[str, tuple[str, ...]] = {"NONE": (), "WGHT": (WEIGHTS,), "SOFT": (TARGETS,), "BOTH": (TARGETS, WEIGHTS)}
SHARING = {"SHA": "shared", "SEP": "per_row"}

# What the released code does where ours differs, by component; see docs/deviations.md.
RELEASED: dict[str, dict[str, Any]] = {
    "affine": {"geometry": "kornia_0.4.1", "upscale": 4},
    TARGETS: {"smoothing": 0.05},
    WEIGHTS: {"normalize": "none"},
    "search": {
        "solver": {"name": "neumann", "steps": 5, "rate": 0.01, "scaled": False},
        "part": ("head", "kernel"),
        "curvature": "hessian",
    },
}
DIVERGENCE = {"name": "kl_divergence", "symmetric": True}  # of the released code, only for distorted data
# WRN-28-10 as its code builds it, and what it erases behind the normalisation: with the mean color of the data set.
NETWORK = {
    **{"name": "wide_resnet", "depth": 28, "widen_factor": 10, "dropout_rate": 0.0, "activation": "celu"},
    **{"initialiser": "pytorch", "stride_on": 2, "raw_shortcut": True, "conv_bias": True},
}
ERASING = {"name": "random_erasing", "probability": 0.5}
SEARCH_START = 51  # the first pass is before the epoch with this number, counted from 0
# What says how far a method brings anything: each is worth a line beside it.
CONTROLS: dict[str, dict[str, Any]] = {
    "train_and_validation": {"data": {"rows": "both"}},
    "validation_only": {"data": {"rows": "validation"}},
}


def variants(
    methods: str,
    *,
    transforms: Sequence[Slot] = (),
    before: Sequence[Slot] = (),
    after: Sequence[Slot] = (),
    rand: tuple[int, int] = (3, 15),
    color: tuple[int, int] | None = None,
    auto: str = "fast_autoaugment_cifar10",
    dada: str = "dada_cifar10",
) -> dict[str, dict[str, Any]]:
    """name -> changes of a config, for `config.variants`: plain training, the methods, the controls.

    Args:
      methods: joined by "+"; "all" for the eight of the released README; "compat_" before one asks for the released
        code's choices (`RELEASED`).
      transforms: slots of augmentations that every run has, after the policies.
      before: of those before them.
      after: of those behind the normalisation; the learned affine augmentation then comes behind these.
      rand: (layers, magnitude) of RAND.
      color: of the color policy under SHA and SEP, None for none.
      auto, dada: their policies.

    Raises:
      UsageError: an unknown method.
    """
    names = methods.replace("all", ALL).split("+")
    policies = {"RAND": _policy("autodo_rand", rand), "AUTO": _policy(auto), "DADA": _policy(dada)}
    if color is not None:
        policies |= dict.fromkeys(SHARING, _policy("autodo_color", color))

    def one(name: str) -> dict[str, Any]:
        method, released = name.removeprefix("compat_"), name.startswith("compat_")
        augment, loss = _read(method)

        def slot(component: str, **options: Any) -> dict[str, Any]:
            return {"name": component, **(RELEASED.get(component, {}) if released else {}), **options}

        train = [*before, *([policies[augment]] if augment in policies else []), *transforms]
        affine = [slot("affine", learned=SHARING[augment])] if augment in SHARING else []
        stages = {"train": tuple(train), "after": (*after, *affine)} if after else {"train": (*train, *affine)}
        chain = [slot(component) for component in CHAINS[loss]]
        chain += [DIVERGENCE] if released and TARGETS in CHAINS[loss] else []
        changes: dict[str, Any] = {"augment": stages, "loss": tuple(chain)}
        searches = augment in SHARING or loss != "NONE"
        changes["search"] = slot("search") if released and searches else {}
        changes["search"]["name"] = "autodo" if searches else "none"
        return changes

    plain = one("NONE")
    controls = {name: {**plain, **changes} for name, changes in CONTROLS.items()}
    return {"plain": plain} | {name: one(name) for name in names if name != "NONE"} | controls


def grid(variants: dict[str, dict[str, Any]], settings: Sequence[tuple[float, float]]) -> dict[str, dict[str, Any]]:
    """Every variant for every setting (imbalance, share of wrong labels): "SEP_BOTH_10_noise_10" has 10 % wrong."""
    found = {}
    for name, changes in variants.items():
        for imbalance, noise in settings:
            data = {**changes.get("data", {}), "imbalance": imbalance, "noise": noise}
            one = {**changes, "data": data}
            if DIVERGENCE in one["loss"] and (imbalance, noise) == (1, 0):
                # The released code's divergence is symmetric for distorted data alone.
                plain = {**DIVERGENCE, "symmetric": False}
                one["loss"] = tuple(plain if slot == DIVERGENCE else slot for slot in one["loss"])
            found[f"{name}_{imbalance:g}_noise_{100 * noise:g}"] = one
    return found


def schedule(learning_rate: float, **options: Any) -> dict[str, Any]:
    """The cosine of the released code: from a tenth, down to a thousandth, a warm-up of five epochs within it."""
    start, floor = learning_rate / 10, learning_rate * 1e-3
    common = {"name": "cosine", "per": "epoch", "floor": floor, "warmup": 5.0, "start": start, "overlap": True}
    return {**common, **options}


def search_schedule(learning_rate: float) -> dict[str, Any]:
    """The cosine of the search, whose first pass has the number 1 of as many epochs as there are, and one."""
    return schedule(learning_rate, first=1, longer_by=1)


def _policy(preset: str, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """Slot of a policy; size: (layers, magnitude) of those that have one."""
    return {"name": "policy", "preset": preset} | ({"num_layers": size[0], "magnitude": size[1]} if size else {})


def _read(name: str) -> tuple[str, str]:
    augment, _, loss = name.partition("_")
    if augment not in AUGMENT or (loss or "NONE") not in LOSS:
        raise UsageError(
            f"unknown method {name!r} of AutoDO: one of {', '.join(AUGMENT)}, then perhaps one of _{', _'.join(LOSS)}; "
            "several joined by +, or all"
        )
    return augment, loss or "NONE"

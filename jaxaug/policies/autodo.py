"""The policies of AutoDO (Gudovskiy et al. 2021), as its released code draws them."""

from __future__ import annotations

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import OPS
from jaxaug.policies.policy import Policy, make_policy

BLACK = (0.0,)
# In the order in which the released affine map composes them.
AFFINE = {
    **{"ScaleX": (1.0, 1.5), "ScaleY": (1.0, 1.5), "Rotate": (0.0, 30.0)},
    **{"TranslateX": (0.0, 0.45), "TranslateY": (0.0, 0.45), "ShearX": (0.0, 0.3), "ShearY": (0.0, 0.3)},
}
COLOURS = {"Color": (0.1, 1.9), "Sharpness": (0.1, 1.9)}
COLOUR = ("Identity", "AutoContrast", "Equalize", "Invert", *COLOURS)
MOVES = {name: pair for name, pair in AFFINE.items() if OPS[name].signed}
MOST = 30  # magnitudes are 0..30


def affine(probability: float = 0.2, magnitude: float = 0.5) -> Policy:
    """AutoDO's affine augmentation: seven layers, each a gate with the given probability, both numbers in 0..1.

    Values are normal about the neutral one, with a deviation of `magnitude` times the range: 0.5 of the size, 30
    degrees, 0.45 of the side, 0.3 pixels per pixel. The defaults are where the published search begins. Raises
    UsageError for other numbers.
    """
    if not (0 <= probability <= 1 and 0 <= magnitude <= 1):
        raise UsageError(f"affine: probability and magnitude must be in 0..1, got {probability} and {magnitude}")
    gates = [[(name, magnitude, probability), ("Identity", 0.0, 1.0 - probability)] for name in AFFINE]
    return make_policy([gates], AFFINE, noise=("normal",), cover=BLACK)


def autodo_rand(layers: int = 3, magnitude: int = 5) -> Policy:
    """AutoDO's "RAND" control: `layers` of 11 ops, values uniform up to `magnitude` of 0..30, moves mirrored at random.

    The published magnitudes: MNIST 3 and 5, SVHN 3 and 7, CIFAR 3 and 15, ImageNet 2 and 9 (layers and magnitude).
    Raises UsageError for other numbers.
    """
    return _uniform("autodo_rand", (*COLOUR, *MOVES), layers, magnitude)


def autodo_colour(layers: int = 3, magnitude: int = 5) -> Policy:
    """The colour ops that AutoDO puts before its affine map: `autodo_rand` without moves. Raises UsageError alike."""
    return _uniform("autodo_colour", COLOUR, layers, magnitude)


def _uniform(what: str, names: tuple[str, ...], layers: int, magnitude: int) -> Policy:
    if layers < 1 or not 0 <= magnitude <= MOST:
        raise UsageError(f"{what}: layers must be at least 1 and magnitude in 0..{MOST}, got {layers} and {magnitude}")
    layer = [(name, magnitude / MOST if OPS[name].neutral is not None else 0.0, 1.0) for name in names]
    return make_policy([[layer] * layers], COLOURS | MOVES, signed=tuple(MOVES), noise=("uniform", "sign"), cover=BLACK)

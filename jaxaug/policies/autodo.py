"""The policies of AutoDO (Gudovskiy et al. 2021), as its released code draws them."""

from __future__ import annotations

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import IDENTITY, OPS
from jaxaug.policies.policy import Policy, make_policy

BLACK = (0.0,)
# In the order in which the released affine map composes them.
AFFINE = {
    **{"ScaleX": (1.0, 1.5), "ScaleY": (1.0, 1.5), "Rotate": (0.0, 30.0)},
    **{"TranslateX": (0.0, 0.45), "TranslateY": (0.0, 0.45), "ShearX": (0.0, 0.3), "ShearY": (0.0, 0.3)},
}
ENHANCED = {"Color": (0.1, 1.9), "Sharpness": (0.1, 1.9)}
COLOR = (IDENTITY, "AutoContrast", "Equalize", "Invert", *ENHANCED)
MOVES = {name: pair for name, pair in AFFINE.items() if OPS[name].signed}
MOST = 30  # magnitudes are 0..30


def affine(probability: float = 0.2, magnitude: float = 0.5) -> Policy:
    """AutoDO's affine augmentation: seven layers, each a gate.

    Values are normal about the neutral one. The defaults are where the published search begins.

    Args:
      probability: of each gate, in 0..1.
      magnitude: standard deviation in 0..1 of 0.5 of the size, 30 degrees, 0.45 of the side, 0.3 pixels per pixel.

    Raises:
      UsageError: other numbers.
    """
    if not (0 <= probability <= 1 and 0 <= magnitude <= 1):
        raise UsageError(f"affine: probability and magnitude must be in 0..1, got {probability} and {magnitude}")
    gates = [[(name, magnitude, probability), (IDENTITY, 0.0, 1.0 - probability)] for name in AFFINE]
    return make_policy([gates], AFFINE, noise=("normal",), cover=BLACK)


def autodo_rand(num_layers: int = 3, magnitude: int = 5) -> Policy:
    """AutoDO's "RAND" control: some of 11 ops, values uniform up to the magnitude, displacements mirrored at random.

    The published numbers of layers and magnitudes: MNIST 3 and 5, SVHN 3 and 7, CIFAR 3 and 15, ImageNet 2 and 9.

    Args:
      num_layers: ops for each image.
      magnitude: 0..30.

    Raises:
      UsageError: other numbers.
    """
    return _uniform("autodo_rand", (*COLOR, *MOVES), num_layers, magnitude)


def autodo_color(num_layers: int = 3, magnitude: int = 5) -> Policy:
    """The color ops that AutoDO puts before its affine map: `autodo_rand` without displacements.

    Args:
      num_layers: ops for each image.
      magnitude: 0..30.

    Raises:
      UsageError: other numbers.
    """
    return _uniform("autodo_color", COLOR, num_layers, magnitude)


def _uniform(what: str, names: tuple[str, ...], num_layers: int, magnitude: int) -> Policy:
    if num_layers < 1 or not 0 <= magnitude <= MOST:
        raise UsageError(
            f"{what}: num_layers must be at least 1 and magnitude in 0..{MOST}, got {num_layers} and {magnitude}"
        )
    layer = [(name, magnitude / MOST if OPS[name].neutral is not None else 0.0, 1.0) for name in names]
    ranges, noise = ENHANCED | MOVES, ("uniform", "sign")
    return make_policy([[layer] * num_layers], ranges, signed=tuple(MOVES), noise=noise, cover=BLACK)

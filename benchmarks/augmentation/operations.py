"""RandAugment(2, 9) as torchvision defines it: for the contenders that have no RandAugment of their own."""

import numpy as np

LAYERS = 2
BIN = 9 / 30
POSTERIZE_BITS = 8 - round(4 * BIN)
NAMES = (
    "identity",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "auto_contrast",
    "equalize",
)


def magnitudes(size):
    """Magnitude 9 of 0..30 by name: slopes, pixels, degrees, factors less 1, bits, a threshold on 0..255.

    All but posterize and solarize take either sign.
    """
    shear, translate, factor = 0.3 * BIN, 150 / 331 * size * BIN, 0.9 * BIN
    return {
        **dict.fromkeys(NAMES, 0.0),
        **dict.fromkeys(("shear_x", "shear_y"), shear),
        **dict.fromkeys(("translate_x", "translate_y"), float(int(translate))),
        "rotate": 30 * BIN,
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), factor),
        "posterize": POSTERIZE_BITS,
        "solarize": 255 * (1 - BIN),
    }


def draw(seed, count, names=NAMES):
    """(index into names [count 2], sign +1 or -1 [count 2]): every image has operations of its own."""
    generator = np.random.default_rng(seed)
    chosen = generator.integers(len(names), size=(count, LAYERS))
    return chosen, generator.integers(2, size=(count, LAYERS)) * 2.0 - 1.0

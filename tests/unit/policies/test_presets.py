"""The values that published policies reach, as torchvision has them in code of its own."""

import pytest

from jaxaug.policies import presets

# torchvision 0.2x, `_augmentation_space`: (first, last) of 31 bins, translations of a square of 331 pixels.
RANDAUGMENT = {
    **{"ShearX": (0, 0.3), "ShearY": (0, 0.3), "Rotate": (0, 30), "Posterize": (8, 4), "Solarize": (255, 0)},
    **{"ShiftX": (0, 150 / 331), "ShiftY": (0, 150 / 331)},
    **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), (1, 1.9)),
}
TRIVIALAUGMENT = {
    **{"ShearX": (0, 0.99), "ShearY": (0, 0.99), "Rotate": (0, 135), "Posterize": (8, 2), "Solarize": (255, 0)},
    **{"TranslateXAbs": (0, 32), "TranslateYAbs": (0, 32)},
    **dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), (1, 1.99)),
}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (presets.randaugment(), RANDAUGMENT),
        (presets.trivialaugment(), TRIVIALAUGMENT),
        (presets.trivialaugment("standard"), RANDAUGMENT),
    ],
    ids=("randaugment", "trivialaugment", "trivialaugment standard"),
)
def test_ranges(policy, expected):
    found = dict(zip(policy.names, policy.ranges, strict=True))
    assert {name: found[name] for name in expected} == expected
    assert set(found) - set(expected) == {"Identity", "AutoContrast", "Equalize"}  # which have no value

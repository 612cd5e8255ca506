"""Policies as text for torchvision and timm; pixels are compared where torchvision is installed."""

import itertools

import numpy as np
import pytest
from PIL import Image

import jaxaug as ja
from jaxaug.core.errors import UsageError
from jaxaug.policies.other_libraries import TORCHVISION, timm_string, torchvision_code

IMAGE = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)


def one_op(name, level=0.3, **facts):
    return ja.policies.make_policy([[[(name, level, 1.0)]]], **facts)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (ja.policies.randaugment(3, 12), "RandAugment(num_ops=3, magnitude=12)"),
        (ja.policies.trivialaugment(), "TrivialAugmentWide()"),
        (ja.policies.autoaugment("svhn"), "AutoAugment(transforms.AutoAugmentPolicy.SVHN)"),
    ],
    ids=("randaugment", "trivialaugment", "autoaugment"),
)
def test_what_torchvision_has_by_name(policy, name):
    assert torchvision_code(policy) == f"from torchvision import transforms\n\naugment = transforms.{name}\n"


def test_any_other_is_a_program():
    policy = ja.policies.make_policy(
        [[[("Rotate", 1.0, 0.25), ("Identity", 0.0, 0.75)]], [[("Invert", 0.0, 1.0)]]],
        {"Rotate": (0.0, 30.0)},
        [1.0, 3.0],
        signed=("Rotate",),
        noise=("sign",),
    )
    text = torchvision_code(policy)
    compile(text, "policy.py", "exec")
    assert "(0.25, [[(0.25, 'Rotate', 30.0, -30.0), (0.75, 'Identity', 0.0, 0.0)]])," in text
    assert "(0.75, [[(1, 'Invert', 0.0, 0.0)]])," in text
    assert "jaxaug" not in text.partition('"""\n\nimport')[2]


def test_pixels_are_equal():
    pytest.importorskip("torchvision")
    for name, level in itertools.product(TORCHVISION, (0.1, 0.73)):
        program = {}
        exec(torchvision_code(one_op(name, level)), program)
        expected = ja.policies.apply_numpy(0, IMAGE, one_op(name, level))
        expected = expected[0] if isinstance(expected, tuple) else expected
        np.testing.assert_array_equal(np.asarray(program["augment"](Image.fromarray(IMAGE))), expected)


def test_timm_says_what_differs():
    text = timm_string(ja.policies.randaugment(2, 9))
    assert text.startswith("rand-m3-n2-inc1\n# The nearest that timm's strings can say.")


@pytest.mark.parametrize(
    ("policy", "express", "message"),
    [
        (
            one_op("Cutout"),
            torchvision_code,
            "torchvision has no Cutout, so that it cannot do this policy: use style=json",
        ),
        (one_op("Rotate", noise=("uniform",)), torchvision_code, "draws no value with the noise uniform"),
        (one_op("Rotate"), timm_string, "timm's strings name its own policies and cannot spell another"),
    ],
    ids=("op", "noise", "timm"),
)
def test_what_the_other_library_cannot_do(policy, express, message):
    with pytest.raises(UsageError, match=message):
        express(policy)

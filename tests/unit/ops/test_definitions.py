"""Exactness: every op equals the golden files and PIL itself, bit for bit, under both schedulers."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pil_oracle
from helpers.op_runner import NAMES, drawn, through, value_of
from helpers.settings import GOLDEN
from PIL import Image
from sklearn.datasets import load_sample_images

from jaxaug.core.errors import UsageError
from jaxaug.ops import apply_numpy, uint8
from jaxaug.ops.functional import apply_op
from jaxaug.ops.registry import OPS

SCHEDULERS = ("map", "fused")
# The same op under torchvision's name.
TORCHVISION = {"TranslateX": "ShiftX", "TranslateY": "ShiftY"}


def golden_cases():
    """(op, image, value, random, expected) of every case of the released DeepAA operations, 32 x 32."""
    golden = np.load(GOLDEN / "deepaa_ops_32.npz")
    images = golden["in_32"]
    for key in golden.files:
        kind, _, rest = key.partition("/")
        name = rest.partition("/")[0]
        op, _, sign = name.partition("_")
        if kind not in ("eval", "search") or key.endswith("draws"):
            continue
        expected = golden[key]
        for i, image in enumerate(images):
            for j, result in enumerate(expected[i]):
                random, value = np.full(4, 0.5), 0.0
                if op.startswith("Rand"):
                    draws = golden[f"{key}/draws"][i, j]
                    # The released code draws positions where ours draws shares.
                    share = {"RandCrop": (draws + 0.5) / 9}.get(op, draws / (1 if op == "RandFlip" else 32))
                    random[: len(draws)] = share
                    value = {"RandCrop": 4, "RandCutout": 16, "RandCutout60": 60}.get(op, 0)
                elif len(expected[i]) == 13:
                    # The search kept its levels as shares in float32: a grey level apart in a few places.
                    share = float(np.float32(j / 12)) if kind == "search" else j / 12
                    value = value_of(op, share)
                    value = -value if sign == "neg" else value
                yield op, image, value, random, result


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_golden_operations(scheduler):
    """22 operations x 13 levels x 6 images, and those with chance of their own on the draws of the released code."""
    ops, images, values, random, expected = (list(column) for column in zip(*golden_cases(), strict=True))
    assert len(ops) == 1836
    result = through(np.stack(images), drawn(ops, values, np.stack(random)), scheduler)
    differ = (result != np.stack(expected)).reshape(len(ops), -1).sum(1)
    assert {op: int(n) for op, n in zip(ops, differ, strict=True) if n} == {}


def odd_images(channels=3):
    """Two real photos, noise, few levels, one color: 30 x 47."""
    rng = np.random.default_rng(0)
    photos = [photo[100:160:2, 200:294:2] for photo in load_sample_images().images]
    noise = rng.integers(0, 256, (30, 47, 3))
    images = [*photos, noise, 90 + noise % 5, np.full_like(noise, 131)]
    return np.stack(images).astype(np.uint8)[..., :channels]


@pytest.mark.parametrize(("scheduler", "channels"), [("map", 3), ("fused", 3), ("map", 1)])
def test_any_value_equals_pil(scheduler, channels):
    """Random float32 values at a size that is not square: no pixel differs, but for Rotate's float32 cosines."""
    rng = np.random.default_rng(1)
    ops = [op for op in pil_oracle.OPS if not op.startswith("Scale") for _ in range(8)]
    assert set(ops) | {"RandResizeCrop", "ScaleX", "ScaleY"} == set(NAMES)
    shares = np.concatenate([np.tile([0.0, 1.0], (len(ops) // 8, 1)), rng.random((len(ops) // 8, 6))], axis=1).ravel()
    values = np.float32([value_of(op, share) for op, share in zip(ops, shares, strict=True)])
    values = np.where([op == "RandCrop" for op in ops], np.round(values), values)  # whole pixels of padding
    random = rng.random((len(ops), 4)).astype(np.float32)
    images = odd_images(channels)
    for image in images:
        result = through(np.repeat(image[None], len(ops), axis=0), drawn(ops, values, random), scheduler)
        wrong = dict.fromkeys(ops, 0)
        for op, value, chance, found in zip(ops, values, random, result, strict=True):
            wrong[op] += int((found != pil_oracle.apply(op, image, value, chance)).sum())
        turned = wrong.pop("Rotate")
        assert {op: n for op, n in wrong.items() if n} == {}
        # A 16.16 coefficient from a float32 cosine is off by one unit now and then.
        assert turned <= 8 * image.size * 1e-4


def test_known_angles_equal_pil():
    """Values that are known before compiling go through float64: no pixel differs, Rotate included."""
    rng = np.random.default_rng(2)
    image = odd_images()[0]
    values = rng.uniform(-180, 180, 32)
    values[:4] = 0, 90, 180, -270
    result = np.asarray(apply_op("Rotate", np.repeat(image[None], 32, axis=0), values))
    for value, found in zip(values, result, strict=True):
        np.testing.assert_array_equal(found, pil_oracle.apply("Rotate", image, value))


def test_scaling_follows_pil():
    """No pixel differs but where a sample falls between two pixels: PIL scales in float64, everything else in 16.16."""
    images, values = np.repeat(odd_images(), 8, axis=0), np.tile(np.linspace(0.7, 1.5, 8), 5)
    for op, axis in (("ScaleX", 1), ("ScaleY", 0)):
        for value, image, found in zip(values, images, np.asarray(apply_op(op, images, values)), strict=True):
            side = image.shape[axis]
            source = side / 2 + (np.arange(side) + 0.5 - side / 2) / value
            clear = np.abs(source - np.round(source)) > 1e-3
            expected = pil_oracle.apply(op, image, value)
            np.testing.assert_array_equal(found.compress(clear, axis), expected.compress(clear, axis))


def test_torchvision_randaugment():
    """The fourteen operations of torchvision's RandAugment at bin 9, both signs."""
    golden = np.load(GOLDEN / "soft_augmentation.npz")
    magnitudes = dict(zip(golden["ra_op_names"], golden["ra_op_mag9"], strict=True))
    ops, images, values, expected = [], [], [], []
    for key in golden.files:
        parts = key.split("_")
        if parts[0] != "ra" or len(parts) != 4:
            continue
        name, sign, image = parts[1:]
        op, value = TORCHVISION.get(name, name), magnitudes[name] * (1 if sign == "p" else -1)
        value = value / 32 if op.startswith("Shift") else value
        ops.append(op)
        values.append(1 + value if OPS[op].neutral == 1 else value)
        images.append(golden[f"ra_img_{image}"])
        expected.append(golden[key])
    assert len(ops) > 40
    result = through(np.stack(images), drawn(ops, values))
    differ = (result != np.stack(expected)).reshape(len(ops), -1).sum(1)
    assert {op: int(n) for op, n in zip(ops, differ, strict=True) if n} == {}


@pytest.mark.parametrize("op", [name for name, op in OPS.items() if op.neutral is not None])
def test_neutral_value_changes_nothing(op):
    images = odd_images()
    draw = drawn([op] * 5, np.full(5, OPS[op].neutral, np.float32), np.full((5, 4), 0.3))
    np.testing.assert_array_equal(through(images, draw), images)


def test_contrast_of_a_large_image():
    """Twelve million bright pixels: the sum of their grey levels does not fit 31 bits."""
    large = jnp.full((1, 3000, 4000), 201, jnp.uint8).at[0, 0].set(0)
    wanted = int(np.mean(np.asarray(large), dtype=np.float64) + 0.5)
    assert int(uint8.mean(large)) == wanted


def test_resized_crop_follows_pil():
    """Pillow rounds its weights to fixed point: one grey level, in fewer than 0.1 % of the values."""
    rng = np.random.default_rng(3)
    random = rng.random((48, 4)).astype(np.float32)
    images = np.repeat(odd_images(), 10, axis=0)[:48]
    draw = drawn(["RandResizeCrop"] * 48, np.full(48, 0.08), random)
    found = through(images, draw).astype(int)
    wrong = 0
    for image, chance, result in zip(images, draw.random[:, 0], found, strict=True):
        box = OPS["RandResizeCrop"].apply(uint8, jnp.float32(0.08), chance, *image.shape[:2])
        top, left, rows, columns = (int(edge) for edge in box)
        cut = Image.fromarray(image[top : top + rows, left : left + columns])
        expected = np.asarray(cut.resize((image.shape[1], image.shape[0]), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(expected - result).max() <= 1
        wrong += (expected != result).sum()
    assert wrong < 1e-3 * found.size


ENHANCED = {"Contrast", "Color", "Brightness", "Sharpness"}
REFUSED = ("AutoContrast", "Invert", "Equalize", "Solarize", "Posterize")


def rgba():
    image = np.random.default_rng(3).integers(0, 256, (9, 14, 4)).astype(np.uint8)
    image[:3, :, 3] = 0
    return image


@pytest.mark.parametrize("op", [name for name in pil_oracle.OPS if "utout" not in name and name not in REFUSED])
def test_rgba_equals_pil(op):
    """Op by op: what ImageEnhance changes leaves the alpha alone, what moves pixels takes it along."""
    image, value = rgba(), {"RandCrop": 3.0}.get(op, value_of(op, 0.8))
    if op.startswith("Scale"):
        value = 2.0  # where no sample falls between two pixels
    expected = pil_oracle.apply(op, image, value, np.full(4, 0.3))
    np.testing.assert_array_equal(apply_numpy([(op, value, np.full(4, 0.3))], image).image, expected)
    if op in ENHANCED:
        np.testing.assert_array_equal(apply_op(op, image, value), expected)
        smooth = np.asarray(apply_op(op, image, value, exact=False))
        np.testing.assert_array_equal(smooth[..., 3], image[..., 3])
        assert abs(smooth - expected).max() < 2


@pytest.mark.parametrize("op", REFUSED)
def test_rgba_that_pil_refuses(op):
    with pytest.raises(OSError, match="not supported for"):
        pil_oracle.apply(op, rgba(), value_of(op, 0.5))
    for refused in (apply_op, lambda op, image, value: apply_numpy([(op, value)], image)):
        with pytest.raises(UsageError, match=rf"'{op}' needs .* got 4: leave the alpha out, images\[\.\.\., :3\]"):
            refused(op, rgba(), value_of(op, 0.5))

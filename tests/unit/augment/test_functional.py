"""A policy on plain arrays, and as a transform of a pipeline."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import pil_oracle
from helpers.settings import double_precision

from jaxaug.augment import build_pipeline, functional
from jaxaug.augment.functional import apply_policy
from jaxaug.augment.policy_transform import augment_batch, execution_settings
from jaxaug.augment.policy_transform import policy as policy_transform
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import make_mesh, sharded_along
from jaxaug.core.types import Batch, Progress
from jaxaug.ops import apply_op
from jaxaug.policies import presets
from jaxaug.policies.policy import Policy, make_policy

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))
SMALL = make_policy([[[("Rotate", 0.9, 0.5), ("Invert", 0, 0.25), ("CutoutAbs", 0.5, 0.25)]]], noise=("sign",))


def images_of(count=13, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 12, 16, channels), dtype=np.uint8)


def test_augment_batch():
    """uint8 in and out, another draw for another key, the same for the same, the visible share of each image."""
    images = images_of()
    first, visible = apply_policy(jax.random.key(0), images, SMALL)
    again, _ = apply_policy(jax.random.key(0), jnp.asarray(images), SMALL)
    other, _ = apply_policy(jax.random.key(1), images, SMALL)
    assert first.dtype == jnp.uint8
    assert first.shape == images.shape
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()
    inverted = (np.asarray(first) == 255 - images).all((1, 2, 3))
    assert inverted.any()
    np.testing.assert_array_equal(np.asarray(visible)[inverted], 1)
    assert 0.3 < visible.min() < 1


@pytest.mark.parametrize("cores", [1, 2, 3, 5])
def test_any_number_of_cores_gives_the_same(cores, monkeypatch):
    """Also where the batch cannot be divided evenly."""
    monkeypatch.setattr(functional.os, "sched_getaffinity", lambda _: set(range(cores)))
    image, visible = apply_policy(jax.random.key(0), images_of(), SMALL)
    monkeypatch.setattr(functional.os, "sched_getaffinity", lambda _: {0})
    expected, share = apply_policy(jax.random.key(0), images_of(), SMALL)
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(visible, share)


def test_inside_jit_and_a_gradient():
    """A user's own jitted step may call it; in float32 it is differentiable in the images and the levels."""
    images = images_of(5)
    inside = jax.jit(lambda key, images: apply_policy(key, images, SMALL))
    outside = apply_policy(jax.random.key(3), images, SMALL)
    np.testing.assert_array_equal(inside(jax.random.key(3), images)[0], outside[0])
    turn = make_policy([[[("Rotate", 0.9, 1.0)]]])

    def total(level, images):
        floats, _ = apply_policy(jax.random.key(0), images, turn.replace(level=level), exact=False)
        return jnp.mean(floats[..., 0] * jnp.arange(16))

    slopes = jax.grad(total, argnums=(0, 1))(jnp.asarray(turn.level, jnp.float32), jnp.asarray(images, jnp.float32))
    assert all(np.isfinite(slope).all() and np.abs(slope).sum() > 0 for slope in slopes)
    alone = jax.grad(lambda level: total(level, jnp.asarray(images, jnp.float32)))(jnp.asarray(turn.level, jnp.float32))
    np.testing.assert_allclose(alone, slopes[0], rtol=1e-4)


def test_nothing_and_several_devices():
    """An empty batch stays empty; a batch that is spread over devices stays spread, with the same pixels."""
    image, visible = apply_policy(jax.random.key(0), images_of(0), SMALL)
    assert image.shape == (0, 12, 16, 3)
    assert visible.shape == (0,)
    rows = sharded_along(make_mesh(), 0)
    spread, _ = apply_policy(jax.random.key(0), jax.device_put(images_of(8), rows), SMALL)
    assert len(spread.sharding.device_set) == 2
    np.testing.assert_array_equal(spread, apply_policy(jax.random.key(0), images_of(8), SMALL)[0])


def test_under_float64():
    """A user who has switched JAX to float64 gets the same uint8 images and float32 ones."""
    policy = presets.uniformaugment(1)
    expected = apply_policy(jax.random.key(0), images_of(), policy)[0]
    with double_precision():
        np.testing.assert_array_equal(apply_policy(jax.random.key(0), images_of(), policy)[0], expected)
        assert apply_policy(jax.random.key(0), images_of(), policy, exact=False)[0].dtype == jnp.float32


@pytest.mark.parametrize("channels", [1, 3])
def test_apply_op(channels):
    images = images_of(4, channels)
    for op, values in (("Rotate", [10.0, -33.3, 90, 0]), ("Brightness", [0.3, 1.4, 1, 2]), ("Posterize", [4, 5, 6, 7])):
        found = np.asarray(apply_op(op, images, np.asarray(values)))
        for image, value, result in zip(images, values, found, strict=True):
            np.testing.assert_array_equal(result, pil_oracle.apply(op, image, value))
    floats = apply_op("Brightness", images.astype(np.float32), jnp.asarray([0.3, 1.4, 1, 2]), exact=False)
    np.testing.assert_allclose(floats[0], images[0] * 0.3, rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: apply_op("Rotat", images_of(), np.zeros(13)), "did you mean 'Rotate'"),
        (lambda: apply_op("Rotate", images_of(), np.zeros(12)), r"shape \(13,\)"),
        (lambda: apply_op("Rotate", images_of().astype(np.float32), np.zeros(13)), "images must be uint8"),
        (lambda: apply_op("Color", images_of(channels=2), np.zeros(13)), "1, 3 or 4 channels, got 2"),
        (lambda: apply_policy(jax.random.key(0), images_of()[0], SMALL), "images must be uint8"),
        (
            lambda: apply_policy(jax.random.key(0), images_of(channels=2), SMALL),
            "needs images with 1 or 3 channels, got 2",
        ),
        (lambda: apply_policy(jax.random.key(0), images_of(), "randaugment"), "policy must be a Policy"),
        (lambda: apply_policy(jax.random.key(0), images_of().astype(int), SMALL, exact=False), "uint8 or float32"),
        (lambda: apply_op("Invert", np.zeros((1, 20_000, 1, 1), np.uint8), np.zeros(1)), "too large"),
        (lambda: policy_transform(scheduler="threads"), "scheduler must be one of"),
        (lambda: policy_transform(softens=("Rotat",)), "did you mean 'Rotate'"),
        (lambda: policy_transform(preset="autoaugment"), "did you mean 'autoaugment_"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def batch_of(images, label=None):
    count = len(images)
    return Batch(jnp.asarray(images), jnp.zeros(count, jnp.int32) if label is None else label, jnp.arange(count))


@pytest.mark.parametrize("scheduler", ["map", "fused"])
def test_policy_is_a_transform(scheduler, tmp_path):
    """By a preset and by a file; the visibility only where something softens; float images are rounded first."""
    SMALL.save(tmp_path / "policy.json")
    options = {"file": str(tmp_path / "policy.json"), "scheduler": scheduler}
    batch = batch_of(images_of(64))
    plain = jax.jit(policy_transform(**options))(jax.random.key(0), batch, {}, HALF)
    soft = jax.jit(policy_transform(**options, softens=("all",)))(jax.random.key(0), batch, {}, HALF)
    floats = jax.jit(policy_transform(**options))(
        jax.random.key(0), batch_of(images_of(64) + np.float32(0.3)), {}, HALF
    )
    assert plain.visibility is None
    np.testing.assert_array_equal(plain.image, soft.image)
    np.testing.assert_array_equal(plain.image, floats.image)
    direct_image, visible = apply_policy(jax.random.key(0), images_of(64), Policy.load(tmp_path / "policy.json"))
    np.testing.assert_array_equal(plain.image, direct_image)
    np.testing.assert_allclose(soft.visible_fraction, visible, atol=1e-6)


def test_visibility_goes_on_through_two_policies():
    """What one transform hid stays hidden in the next."""
    seen = np.zeros((8, 12, 16, 3), np.uint8)
    seen[:, 3:9, 2:15] = 1
    batch = batch_of(seen).replace(visibility=jnp.asarray(seen[..., 0], jnp.float32))
    turn = make_policy([[[("Rotate", 0.9, 0.5), ("ShearX", 0.9, 0.5)]] * 2], noise=("sign",))
    settings = execution_settings(turn, True, "map")
    after = jax.jit(lambda key: augment_batch(key, batch, turn, settings, ("Rotate", "ShearX")))(jax.random.key(0))
    np.testing.assert_allclose(after.visibility, after.image[..., 0], atol=1e-6)
    assert (np.asarray(after.visibility) != np.asarray(batch.visibility)).any()


def test_label_maps_follow():
    label = jnp.asarray(np.random.default_rng(0).integers(1, 9, (8, 12, 16)), jnp.int32)
    transform = policy_transform("deepaa_cifar_1", scheduler="map")
    augment, _ = build_pipeline([transform], mean=(0.5,) * 3, std=(0.5,) * 3)
    seen = augment(batch_of(images_of(8), label), {}, jax.random.key(0), HALF, train=True)
    assert seen.label.shape == label.shape
    assert (np.asarray(seen.label) != np.asarray(label)).any()
    assert seen.image.dtype == jnp.float32

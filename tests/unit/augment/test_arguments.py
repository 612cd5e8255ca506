"""Keys, images, labels, policies and progress of a user: what is taken, and what is told with its remedy."""

import jax
import numpy as np
import pytest

from jaxaug import augment, ops, policies
from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import make_policy

POLICY = make_policy([[[("Invert", 0.0, 0.5), ("Identity", 0.0, 0.5)]]])
IMAGES = np.zeros((4, 8, 10, 3), np.uint8)


class Tensor:
    """What a tensor of torch looks like."""

    __module__ = "torch"
    shape, ndim, dtype = (4, 8, 10, 3), 4, "torch.uint8"


PIPELINE = augment.compose(augment.flip())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5, IMAGES), r"key must be a key, such as jax.random.key\(0\), or a whole number, got float"),
        ((None, IMAGES), "got NoneType"),
        ((True, IMAGES), "got bool"),
        ((jax.random.split(jax.random.key(0)), IMAGES), r"must be one key, got \(2,\) of them"),
        ((0, Tensor()), "images is a torch.Tensor: pass images.numpy"),
        ((0, IMAGES.transpose(0, 3, 1, 2)), r"channels last, \[B H W C\].*transpose\(0, 2, 3, 1\)"),
        ((0, IMAGES[0]), "images must be uint8 or float32"),
        ((0, IMAGES.astype(int)), "images must be uint8 or float32"),
        ((0, IMAGES, np.zeros(3, int)), r"labels must be whole numbers of shape \(4,\), or maps \(4, 8, 10\)"),
        ((0, IMAGES, np.zeros((4, 5))), "keep soft labels and others beside"),
        ((0, IMAGES, Tensor()), "labels is a torch.Tensor"),
        ((2**63, IMAGES), r"a seed must be at least 0 and below 2\*\*32, got 9223372036854775808"),
        ((0, IMAGES.transpose(0, 3, 1, 2).astype(np.float32)), r"channels last, \[B H W C\]"),
    ],
)
def test_pipelines_tell_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=message):
        PIPELINE(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, IMAGES, "randaugment"), r"got a name: use policies.get\('randaugment'\)"),
        ((0, IMAGES, augment.flip()), "policy must be a Policy, as policies.get and Policy.load give it"),
        ((0, IMAGES.transpose(0, 3, 1, 2), POLICY), "channels last"),
        ((0, Tensor(), POLICY), "augment.Collate, which takes tensors"),
        (("0", IMAGES, POLICY), "key must be a key"),
    ],
)
def test_policies_tell_what_to_do(arguments, message):
    with pytest.raises(UsageError, match=f"^apply_policy: .*{message}"):
        augment.apply_policy(*arguments)


UNIT = np.linspace(0.25, 1.0, 4 * 8 * 10 * 3, dtype=np.float32).reshape(4, 8, 10, 3)


@pytest.mark.fault("float images within 0..1 for {what}", "refused where they are known, with the remedy")
@pytest.mark.parametrize(
    ("what", "call"),
    {
        "ops": lambda images: ops.invert(images, exact=False),
        "a policy": lambda images: augment.apply_policy(0, images, POLICY, exact=False),
        "a pipeline of gray levels": lambda images: augment.compose(augment.grayscale())(0, images),
        "a pipeline that normalizes": lambda images: augment.compose(mean=(0.5,), std=(0.2,))(0, images),
    }.items(),
)
def test_another_scale(what, call):
    """Refused where values are known; black images say nothing of their scale."""
    with pytest.raises(UsageError, match=r"0\.\.255 scale, got floats within 0\.25\.\.1: multiply them by 255"):
        call(UNIT)
    call(0 * UNIT)


def test_a_scale_that_does_not_matter():
    """What moves pixels alone takes floats on any scale; behind jit nothing is known of them."""
    moved = augment.compose(augment.flip(1.0))(0, UNIT).images
    np.testing.assert_array_equal(moved, UNIT[:, :, ::-1])
    jitted = jax.jit(lambda images: ops.invert(images, exact=False))(UNIT)
    np.testing.assert_allclose(jitted, 255 - UNIT)


@pytest.mark.parametrize("wrong", [5.0, -0.1, np.float32(np.nan)])
def test_progress_outside(wrong):
    with pytest.raises(UsageError, match=r"augment: progress is the share .* in 0\.\.1, got"):
        PIPELINE(0, IMAGES, progress=wrong)
    collate = augment.Collate(augment.flip())
    collate.progress = wrong
    with pytest.raises(UsageError, match="Collate: progress is the share"):
        collate(IMAGES)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (augment.Transform, "Transform"),
        (policies.initial_offsets, "initial_offsets"),
        (policies.policy_statistics, "policy_statistics"),
        (lambda policy: policies.learned_policy(policy, {}), "learned_policy"),
        (lambda policy: policies.apply_numpy(policy, np.random.default_rng(0), IMAGES[0]), "sample_numpy"),
    ],
)
def test_policies_by_name(call, name):
    with pytest.raises(UsageError, match=rf"{name}: policy must be .*use policies.get\('randaugment'\)"):
        call("randaugment")


def test_other_things_for_transforms_and_generators():
    with pytest.raises(UsageError, match=r"got a name: use augment.flip\(\) or policies.get\('flip'\)"):
        augment.compose("flip")
    with pytest.raises(UsageError, match="got a name"):
        augment.Collate("randaugment")
    with pytest.raises(UsageError, match=r"rng must be a generator, as np.random.default_rng\(0\) gives it, got 0"):
        policies.apply_numpy(POLICY, 0, IMAGES[0])


def test_policies_print_in_one_line():
    for name in policies.list():
        assert len(repr(policies.get(name))) < 150

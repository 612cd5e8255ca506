"""Policies that a search may change, as transforms: one for all or one for each row."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.policy_offsets import BRANCHES, GATES, random_offsets

from jaxaug.augment import build_pipeline
from jaxaug.augment.policy_transform import policy as policy_transform
from jaxaug.core.errors import UsageError
from jaxaug.core.types import Batch, Progress
from jaxaug.policies import presets
from jaxaug.policies.learnable import initial_offsets, learned_policy
from jaxaug.policies.policy import Policy, make_policy
from jaxaug.viz.policy import distribution

HALF = Progress(jnp.asarray(0.5), jnp.asarray(0.5))
KEY = jax.random.key(0, impl="unsafe_rbg")  # compiles in a tenth of the time


def batch_of(count=6, **fields):
    image = np.random.default_rng(0).integers(0, 256, (count, 7, 10, 1), dtype=np.uint8)
    return Batch(jnp.asarray(image), jnp.zeros(count, jnp.int32), jnp.arange(count) + 100, **fields)


@functools.lru_cache
def slopes_of(policy, learned, scheduler="fused", border="edge"):
    """A jitted (offsets, batch) -> (gradient of the weighted images, images) of the transform of a policy."""
    part = policy_transform(policy, exact=False, learned=learned, scheduler=scheduler, border=border)

    def total(offsets, batch):
        own, shared = ({"policy": offsets}, {}) if learned == "per_row" else ({}, {"policy": offsets})
        image = part(KEY, batch.replace(per_example=own), shared, HALF).image
        weight = jnp.asarray(np.random.default_rng(5).normal(size=image.shape), jnp.float32)
        return jnp.sum(image * weight, axis=(1, 2, 3)) @ WEIGHT[: len(image)], image

    return jax.jit(jax.grad(total, has_aux=True))


MOVES = make_policy([[[(op, 0.4, 0.6), ("Identity", 0, 0.4)] for op in ("ScaleX", "Rotate")]], noise=("normal",))
WEIGHT = jnp.asarray([1.0, 0.0, 2.0, 1.0, 1.0, 1.0])  # a row whose loss does not count


def test_one_for_each_row_or_one_for_all():
    """Rows that agree give the images of one policy for all, whose gradient is their sum; no row reaches another's."""
    shared = random_offsets(MOVES, size=0.3)
    own = jax.tree.map(lambda x: jnp.broadcast_to(x, (6, *x.shape)), shared)
    slope, image = slopes_of(MOVES, "shared")(shared, batch_of())
    rows, images = slopes_of(MOVES, "per_row")(own, batch_of())
    np.testing.assert_allclose(images, image, atol=1e-3)
    for name in slope:
        np.testing.assert_allclose(rows[name].sum(0), slope[name], rtol=1e-3, atol=0.1)
    reached = np.abs(rows["logits"]).sum((1, 2, 3)) > 0
    np.testing.assert_array_equal(reached, WEIGHT > 0)


@pytest.mark.parametrize(
    ("policy", "schedulers"), [(GATES, ("map", "fused")), (BRANCHES, ("fused",))], ids=["gates", "branches"]
)
def test_schedulers_agree_and_nothing_is_not_a_number(policy, schedulers):
    """Images and gradients, also at offsets of a hundred."""
    for size in (1.0, 100.0):
        offsets, batch = random_offsets(policy, 6, size=size), batch_of()
        found = [slopes_of(policy, "per_row", how, "fill")(offsets, batch) for how in schedulers]
        np.testing.assert_allclose(found[0][1], found[-1][1], atol=1e-3)
        for name, slope in found[0][0].items():
            assert np.isfinite(slope).all()
            assert size > 1 or np.abs(slope).max() > 1
            np.testing.assert_allclose(slope, found[-1][0][name], rtol=1e-3, atol=0.05)


def test_runs_under_vmap():
    """A leading axis of runs, each with its own offsets, gives what each gives alone."""
    offsets, alone = random_offsets(MOVES, 3, 6), slopes_of(MOVES, "per_row")
    slopes, images = jax.jit(jax.vmap(alone, (0, None)))(offsets, batch_of())
    slope, image = alone(jax.tree.map(lambda x: x[1], offsets), batch_of())
    np.testing.assert_allclose(images[1], image, atol=1e-3)
    for name in slope:
        np.testing.assert_allclose(slopes[name][1], slope[name], rtol=1e-3, atol=0.05)


def test_learned_policy(tmp_path):
    """No offsets: the policy, its levels within 0.02..0.98; what is impossible stays so; it can be saved and drawn."""
    policy = make_policy([[[("Rotate", 1.0, 0.7), ("Invert", 0, 0.0), ("Identity", 0, 0.3)]]] * 2, shares=[3, 1])
    offsets = random_offsets(policy, size=9)
    same, moved = (learned_policy(policy, given) for given in (initial_offsets(policy), offsets))
    for found, wanted in zip(same.probabilities(), policy.probabilities(), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(same.level[0, 0, 0], 0.98, rtol=1e-6)
    share, probability = moved.probabilities()
    np.testing.assert_allclose(share[0] / share[1], 3 * np.exp(offsets["mix"][0] - offsets["mix"][1]), rtol=1e-5)
    assert (probability[..., 1] == 0).all()
    moved.save(tmp_path / "policy.json")
    np.testing.assert_allclose(Policy.load(tmp_path / "policy.json").probabilities()[1], probability[..., [0, 2]])
    distribution(moved)
    with pytest.raises(UsageError, match="one learned policy in a config"):
        learned_policy(presets.affine(), initial_offsets(policy))


def test_in_a_pipeline():
    """It says what it begins with, begins there where nothing is there, and takes views."""
    transform = policy_transform("affine", exact=False, learned="per_row", softens=("all",), border="edge")
    augment, meta = build_pipeline([transform], mean=(0.5,), std=(0.5,), views=2)
    assert {name: zeros.shape for name, zeros in meta.per_example["policy"].items()} == {
        "logits": (1, 7, 1),
        "level": (1, 7, 1),
    }
    rows = jax.tree.map(lambda x: jnp.broadcast_to(x, (6, *x.shape)), dict(meta.per_example))
    run = jax.jit(lambda batch: augment(batch, {}, KEY, HALF, train=True))
    there = run(batch_of(per_example=rows))
    assert there.image.shape == jax.eval_shape(run, batch_of()).image.shape == (12, 7, 10, 1)
    assert (there.image[:6] != there.image[6:]).any()
    assert 0.5 < there.visible_fraction.min() < there.visible_fraction.max() == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learned": "shared"}, "set exact=False"),
        ({"learned": "rows", "exact": False}, "learned must be one of"),
        ({"border": "edge"}, "needs exact=False"),
        ({"border": "wrap", "exact": False}, "border must be one of"),
        ({"preset": "autodo_rand", "magnitude": 31}, "magnitude in 0..30"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(UsageError, match=message):
        policy_transform(**options)

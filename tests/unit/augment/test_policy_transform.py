"""Policies on label maps: moved as their image is, nearest and void outside, image by image and all at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.augment.policy_transform import policy
from jaxaug.core.sharding import sharded_along
from jaxaug.core.types import Batch
from jaxaug.ops.registry import VOID
from jaxaug.policies.policy import make_policy

MOVES = make_policy([[[("Rotate", 0.6, 1.0), ("ShearX", 0.4, 1.0)], [("TranslateY", 0.5, 1.0), ("Flip", 0.5, 1.0)]]])


def levels(rows=8, side=12):
    """A batch whose label maps say what the images show: 1 to 144."""
    level = np.broadcast_to(np.arange(1, side**2 + 1).reshape(side, side), (rows, side, side))
    image = jnp.asarray(np.repeat(level[..., None], 3, axis=3), jnp.uint8)
    return Batch(image, jnp.asarray(level, jnp.int32), jnp.arange(rows))


def applied(batch, preset, scheduler):
    transform = policy(preset, scheduler=scheduler)
    return jax.jit(lambda batch: transform(jax.random.key(3), batch, {}, None))(batch)


@pytest.mark.parametrize("scheduler", ["map", "fused"])
def test_maps_move_as_pixels(scheduler):
    """Exactly, for uint8 samples the nearest pixel; what is black was uncovered. The fused one on two devices."""
    batch = levels()
    if scheduler == "fused":
        mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
        batch = jax.device_put(batch, sharded_along(mesh, 0))
    found = applied(batch, MOVES, scheduler)
    shown = np.asarray(found.image[..., 0], np.int32)
    np.testing.assert_array_equal(found.label, np.where(shown == 0, VOID, shown))
    assert 0 < (np.asarray(found.label) == VOID).mean() < 0.7
    assert len(np.unique(np.asarray(found.label), axis=0)) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["deepaa_cifar_1", "randaugment"])
def test_presets(preset):
    """Both schedulers, with all operations; only labels that were there, and void."""
    batch = levels()
    one, two = (applied(batch, preset, scheduler) for scheduler in ("map", "fused"))
    np.testing.assert_array_equal(one.label, two.label)
    np.testing.assert_array_equal(one.image, two.image)
    label = np.asarray(one.label)
    assert set(np.unique(label)) <= {VOID, *range(1, 145)}
    assert (label == VOID).any()
    assert (label != np.asarray(batch.label)).any(axis=(1, 2)).mean() > 0.4

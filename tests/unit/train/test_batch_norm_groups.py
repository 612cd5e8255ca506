"""BatchNorm of parts of a batch: the same on one device and two, without messages where a device has whole parts."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import module_of

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import make_mesh, replicated, sharded_along
from jaxaug.core.target import traced_for
from jaxaug.models.api import init_model
from jaxaug.planning.compiled import cost_of
from jaxaug.train.experiment import build_experiment
from jaxaug.train.objective import Parts

ROWS, SIDE, CHANNELS = 16, 4, 8


class Net(nn.Module):
    """A convolution, a norm, dropout and a head."""

    @nn.compact
    def __call__(self, image, train):
        maps = nn.BatchNorm(not train, momentum=0.9)(nn.Conv(CHANNELS, (3, 3))(image))
        features = nn.Dropout(0.5, deterministic=not train)(nn.relu(maps).mean((1, 2)))
        return features, nn.Dense(3, name="head")(features)


@functools.cache
def begun():
    return jax.jit(lambda: init_model(Net(), jax.random.key(0), (SIDE, SIDE, 2)))()


def step_of(groups, mesh=None):
    """(jitted (params, images) -> (loss, (output, state)), gradient; what it is called with)."""
    parts = Parts(None, Net(), None, None, steps_per_epoch=1, epochs=1, groups=groups)
    params, state = begun()
    image = jnp.asarray(np.random.default_rng(0).normal(size=(ROWS, SIDE, SIDE, 2)), jnp.float32)

    def loss(params, image):
        output, after = parts.trained(params, state, image, jax.random.key(1))
        return jnp.sum(output.logits**2), (output.features, after)

    step = jax.value_and_grad(loss, has_aux=True)
    if mesh is None:
        return jax.jit(step), (params, image)
    places = (replicated(mesh), sharded_along(mesh, 0))
    return jax.jit(traced_for(mesh, step), in_shardings=places), (params, image)


def test_groups_are_the_same_wherever_they_lie():
    alone, given = step_of(2)
    spread, _ = step_of(2, make_mesh())
    expected, found = jax.device_get((alone(*given), spread(*given)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), expected, found)
    whole = jax.device_get(step_of(1)[0](*given))
    assert np.abs(whole[0][1][0] - expected[0][1][0]).max() > 1e-3  # of all rows, other statistics


def test_groups_on_their_devices_exchange_the_gradient_alone():
    mesh, sent = make_mesh(), {}
    numbers = sum(x.size for x in jax.tree.leaves(begun()))
    for groups in (1, 2):
        jitted, given = step_of(groups, mesh)
        sent[groups] = cost_of(jitted, *given, platform="cpu", devices=2).collectives["all-reduce"]
    # Gradients and running statistics, once, with the loss.
    assert sent[2].bytes <= 4 * (numbers + 2)
    assert sent[2].bytes < sent[1].bytes


def test_groups_that_do_not_divide_a_batch():
    config = module_of("smoke").get_config()
    config.batch_norm_groups = 5
    with pytest.raises(UsageError, match=r"config\.batch_norm_groups: 5 groups do not divide"):
        build_experiment(config)

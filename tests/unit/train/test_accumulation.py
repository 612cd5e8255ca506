"""A step in micro-batches is the step on the whole batch, whatever the losses compare across its rows."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import make_mesh, put_global, replicated, sharded_along
from jaxaug.core.types import Batch, MetaParams, TrainState
from jaxaug.models.api import init_model
from jaxaug.tasks.classification import Classification
from jaxaug.train.objective import Parts, make_objective

ROWS, CLASSES, STEPS = 24, 3, 3
# Soft targets by what is seen, AutoDO's weights by row, and ISDA, which uses the statistics of the batch at once.
CHAIN = (
    {"name": "soft_targets", "power": 2.0},
    "mixed_targets",
    {"name": "learned_weights", "normalize": "batch"},
    {"name": "isda", "schedule": "constant", "covariance": "full"},
)


class Net(nn.Module):
    """A convolution, a norm and a head."""

    norm: str = "group"

    @nn.compact
    def __call__(self, image, train):
        x = nn.Conv(8, (3, 3))(image)
        x = nn.GroupNorm(2)(x) if self.norm == "group" else nn.BatchNorm(not train, momentum=0.9)(x)
        features = nn.relu(x).mean((1, 2))
        return features, nn.Dense(CLASSES, name="head")(features)


class TwoHeads(nn.Module):
    """Label maps, with a second head in training."""

    @nn.compact
    def __call__(self, image, train):
        maps = nn.Conv(8, (3, 3))(image)
        head, auxiliary = nn.Dense(CLASSES, name="head"), nn.Dense(CLASSES, name="auxiliary_head")
        return (maps, head(maps), (image, auxiliary(image))) if train or self.is_initializing() else (maps, head(maps))


def parts_of(accumulate, norm="group", chain=CHAIN, groups=1):
    def augment(batch, shared, key, progress, *, train):
        return batch

    sizes = {"groups": groups, "accumulate": accumulate}
    return Parts(Classification(), Net(norm), augment, losses.create(chain), steps_per_epoch=1, epochs=9, **sizes)


def batch_of(seed=0):
    """Rows of unequal classes, one without a label, partly hidden and mixed."""
    random = np.random.default_rng(seed)
    label = np.where(np.arange(ROWS) < ROWS // 2, 0, np.arange(ROWS) % CLASSES)
    label[5] = -1
    return Batch(
        random.normal(size=(ROWS, 4, 4, 2)).astype(np.float32),
        label.astype(np.int32),
        np.arange(ROWS, dtype=np.int32),
        visibility=random.uniform(0.3, 1, (ROWS, 4, 4)).astype(np.float32),
        mix_ratio=random.uniform(0.5, 1, ROWS).astype(np.float32),
    )


@functools.cache
def step_of(accumulate, norm="group", groups=1):
    """(begun state, weights of the rows, jitted plain gradient descent)."""
    parts = parts_of(accumulate, norm, groups=groups)
    params, model_state = jax.jit(lambda: init_model(parts.model, jax.random.key(0), (4, 4, 2)))()
    chain = parts.chain.init(CLASSES, 8)
    state = TrainState(jnp.zeros((), jnp.int32), params, model_state, (), chain, MetaParams(), (), jax.random.key(1))
    weight = {"weight": np.random.default_rng(7).normal(size=ROWS).astype(np.float32)}
    objective = jax.value_and_grad(make_objective(parts), has_aux=True)

    @jax.jit
    def step(state, batch, weight):
        (loss, aux), grads = objective(state.params, MetaParams(weight), state, batch, jax.random.key(2))
        params = jax.tree.map(lambda p, g: p - 0.3 * g, state.params, grads)
        after = state.replace(params=params, model_state=aux.model_state, loss_state=aux.loss_state)
        return after, loss, aux.sums

    return state, weight, step


def trained(accumulate, place=lambda tree, rows: tree, **options):
    """What is known after some steps: (state, losses, sums)."""
    state, weight, step = step_of(accumulate, **options)
    state, found = place(state, False), []
    for seed in range(STEPS):
        state, loss, sums = step(state, place(batch_of(seed), True), place(weight, True))
        found.append((loss, sums))
    return jax.device_get((state.params, state.model_state, state.loss_state, found))


def assert_close(one, other, tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), one, other)


def test_micro_batches_are_the_large_batch():
    """Parameters, losses, figures and ISDA's counts, means and covariances after three steps, within 1e-6."""
    assert_close(trained(4), trained(1), 1e-6)


def test_on_two_devices():
    """The same with the rows of every micro-batch spread over both."""
    mesh = make_mesh()
    assert mesh.size == 2

    def place(tree, rows):
        if not rows:
            return jax.device_put(tree, replicated(mesh))
        return put_global(tree, sharded_along(mesh, 0))

    assert_close(trained(4, place), trained(1), 1e-6)


def test_batch_norm_knows_its_micro_batch_alone():
    """Running means are those of the whole batch; variances lack that of the micro-batches' means (law of variance)."""
    image = jnp.asarray(batch_of().image)
    found = {}
    for count in (1, 4):
        parts = parts_of(count, "batch", chain=())
        params, begun = jax.jit(lambda: init_model(Net("batch"), jax.random.key(0), (4, 4, 2)))()
        found[count] = jax.jit(parts.trained)(params, begun, image, jax.random.key(1))[1]["BatchNorm_0"]
    convolved = nn.Conv(8, (3, 3)).apply({"params": params["Conv_0"]}, image)
    means = convolved.reshape(ROWS // 4, 4, 4, 4, 8).mean((0, 2, 3))
    np.testing.assert_allclose(found[4]["mean"], found[1]["mean"], atol=1e-6)
    np.testing.assert_allclose(found[1]["var"] - found[4]["var"], 0.1 * means.var(0), atol=1e-6)
    assert means.var(0).max() > 1e-3


def test_rows_stay_in_order_with_views_apart():
    """Every micro-batch has rows of every view, and what is said of them is in the order of the batch."""
    image = jnp.asarray(batch_of().image)
    once, twice = parts_of(1, groups=2), parts_of(3, groups=2)
    params, begun = step_of(4)[0].params, step_of(4)[0].model_state
    expected, output = (jax.jit(parts.trained)(params, begun, image, jax.random.key(1))[0] for parts in (once, twice))
    assert_close(output, expected, 1e-6)


def test_label_maps_and_a_second_head():
    """Maps and the parameters of both heads are those of the whole batch, in micro-batches and with views apart."""
    image = jnp.asarray(batch_of().image)
    params, begun = jax.jit(lambda: init_model(TwoHeads(), jax.random.key(0), (4, 4, 2)))()
    expected, *others = (
        jax.jit(dataclasses.replace(parts_of(count, chain=(), groups=groups), model=TwoHeads()).trained)(
            params, begun, image, jax.random.key(1)
        )[0]
        for count, groups in ((1, 1), (3, 1), (1, 2))
    )
    assert expected.auxiliary.kernel.shape == (2, CLASSES)
    for output in others:
        assert_close(output, expected, 1e-6)


def test_memory_is_that_of_a_micro_batch():
    """What the derivative keeps of the convolution is one micro-batch's, as the compiled step says."""
    state, weight, step = step_of(4)
    text = step.lower(state, batch_of(), weight).as_text()
    assert f"tensor<{ROWS // 4}x4x4x8xf32>" in text
    assert f"tensor<{ROWS}x4x4x8xf32>" not in text
    assert f"tensor<4x{ROWS // 4}x4x4x8xf32>" not in text


def test_rows_that_cannot_be_divided():
    parts = parts_of(5)
    params, begun = step_of(4)[0].params, step_of(4)[0].model_state
    with pytest.raises(UsageError, match="24 images cannot be divided into 5 micro-batches"):
        parts.trained(params, begun, jnp.asarray(batch_of().image), jax.random.key(1))

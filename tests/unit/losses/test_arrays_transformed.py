"""The losses on plain arrays under jit, vmap and scan, on several devices, and in a checkpoint."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from helpers.loss_arrays import ISDA, B, D, K, arrays
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxaug import losses


# Each form of the covariance in each of its two ways through the classes (K above B, or below), once.
@pytest.mark.parametrize("name", ["full, K=3", "diagonal, K=20"])
def test_jit_vmap_and_scan(name):
    """Several heads at once are each as alone; steps in a scan are the steps one by one; one example needs no batch."""
    transform, classes = ISDA[name]
    loss, given = losses.chain(losses.label_smoothing(), transform), arrays(classes=classes)
    state = loss.init(classes, D)

    @jax.jit
    def step(kernel, state):
        now = {**given, "kernel": kernel, "logits": given["features"] @ kernel}
        return losses.apply(loss, state, **now)

    @jax.jit
    def transformed(kernels, state):
        scanned = jax.lax.scan(lambda state, kernel: step(kernel, state)[::-1], state, kernels)
        return jax.vmap(step, in_axes=(0, None))(kernels, state), scanned

    kernels = jnp.stack([given["kernel"], 2 * given["kernel"]])
    alone = [step(kernel, state) for kernel in kernels]
    together, (scanned, values) = transformed(kernels, state)
    jax.tree.map(lambda x, *y: np.testing.assert_allclose(x, jnp.stack(y), rtol=1e-5, atol=1e-6), together, *alone)
    first, after = alone[0]
    second, after = step(kernels[1], after)
    np.testing.assert_allclose(values, [first, second], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), scanned, after)


def test_vmap_over_examples():
    """Inside vmap an example has no leading axis: the parts are the same as in a batch."""
    loss = losses.chain(losses.label_smoothing(), losses.focal())

    def one(logits, label):
        return losses.apply(loss, loss.init(K), logits=logits, labels=label)[0]

    each = jax.vmap(one)(arrays()["logits"], arrays()["labels"])
    together = losses.apply(loss, loss.init(K), logits=arrays()["logits"], labels=arrays()["labels"], per_example=True)
    np.testing.assert_allclose(each, together[0], rtol=1e-6)


def two_devices():
    return jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])


def of_kernel(loss, given, state, kernel):
    return losses.apply(loss, state, **{**given, "kernel": kernel, "logits": given["features"] @ kernel})


@pytest.mark.parametrize("name", ["full, K=3", "diagonal, K=20"])
def test_sharded_arrays(name):
    """Under jit with rows spread over devices, and the statistics by class: value, gradient and state as on one."""
    transform, classes = ISDA[name]
    classes = classes + classes % 2  # so that two devices share them
    given, mesh = arrays(classes=classes), two_devices()
    state = transform.init(classes, D)
    gradient = jax.jit(jax.value_and_grad(functools.partial(of_kernel, transform), argnums=2, has_aux=True))
    expected = gradient(given, state, given["kernel"])
    by_row = {
        k: jax.device_put(x, NamedSharding(mesh, P("data"))) if np.ndim(x) and len(x) == B else x
        for k, x in given.items()
    }
    by_class = jax.device_put(state, NamedSharding(mesh, P("data")))
    for begun in (state, by_class):
        actual = gradient(by_row, begun, given["kernel"])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), actual, expected)


@pytest.mark.parametrize(("name", "checked"), [("full, K=3", True), ("full, K=20", False), ("diagonal, K=20", True)])
def test_shard_map(name, checked):
    """With an axis name the statistics are those of all shards, as on one device; without, each shard has its own."""
    transform, classes = ISDA[name]
    given, over_all = arrays(classes=classes), losses.isda(2.0, name.split(",")[0], axis_name="data")
    kernel, state = given["kernel"], transform.init(classes, D)
    rows = {key: given[key] for key in ("features", "labels")}
    shard_map = functools.partial(jax.shard_map, mesh=two_devices(), check_vma=checked)

    @functools.partial(jax.jit, static_argnums=0)
    def gradient(loss, kernel, rows, state):
        return jax.value_and_grad(lambda k: of_kernel(loss, {**given, **rows}, state, k), has_aux=True)(kernel)

    @jax.jit
    @functools.partial(shard_map, in_specs=(P(), P("data"), P()), out_specs=P())
    def together(kernel, rows, state):
        (value, after), slope = gradient(over_all, kernel, rows, state)
        # shard_map sums the gradients of what all shards share by itself if it checks what they share.
        return jax.lax.pmean(value, "data"), slope / 2 if checked else jax.lax.pmean(slope, "data"), after

    @jax.jit
    @functools.partial(shard_map, in_specs=(P(), P("data"), P("data")), out_specs=P("data"))
    def alone(kernel, rows, states):
        results = gradient(transform, kernel, rows, jax.tree.map(lambda x: x[0], states))[0]
        return jax.tree.map(lambda x: x[None], results)

    (value, after), slope = gradient(transform, kernel, rows, state)
    equal = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(equal, together(kernel, rows, state), (value, slope, after))
    halves = [
        gradient(transform, kernel, {k: x[at] for k, x in rows.items()}, state)[0] for at in np.split(np.arange(B), 2)
    ]
    both = alone(kernel, rows, jax.tree.map(lambda x: jnp.stack([x, x]), state))
    jax.tree.map(lambda x, *y: equal(x, jnp.stack(y)), both, *halves)


def test_state_is_saved(tmp_path):
    """orbax saves the state of a chain and gives it back."""
    loss = losses.chain(losses.label_smoothing(), losses.isda(), losses.isda(covariance="diagonal"))
    state = losses.apply(loss, loss.init(K, D), **arrays())[1]
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "loss", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "loss", loss.init(K, D))
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)

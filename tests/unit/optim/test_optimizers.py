"""The update rules against PyTorch's, and what each optimiser refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxaug import optim
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import options_of


def create(name="sgd", **options):
    options = {"learning_rate": 0.1, "weight_decay": 0.01, "schedule": "constant", **options}
    return optim.create(name, steps_per_epoch=1, epochs=5, **options)[0]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", ["all", "kernels"])
def test_sgd_is_pytorchs(nesterov, decay):
    """d = g + wd p;  v = m v + d;  p -= lr (d + m v if nesterov else v), decay on all parameters or kernels."""
    tx = create(nesterov=nesterov, decay=decay)
    rng = np.random.default_rng(0)
    params = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    ours, state = jax.tree.map(jnp.asarray, params), None
    velocity = jax.tree.map(np.zeros_like, params)
    state = tx.init(ours)
    for _ in range(4):
        grads = {k: rng.normal(size=v.shape) for k, v in params.items()}
        updates, state = tx.update(jax.tree.map(lambda g: jnp.asarray(g, jnp.float32), grads), state, ours)
        ours = jax.tree.map(lambda p, u: p + u, ours, updates)
        for name in params:
            d = grads[name] + (0.01 * params[name] if decay == "all" or name == "kernel" else 0)
            velocity[name] = 0.9 * velocity[name] + d
            params[name] = params[name] - 0.1 * (d + 0.9 * velocity[name] if nesterov else velocity[name])
    for name in params:
        np.testing.assert_allclose(ours[name], params[name], rtol=1e-5)


def test_clip_and_adamw():
    tx = create(momentum=0.0, nesterov=False, weight_decay=0.0, clip=1.0)
    grads = {"w": jnp.asarray([30.0, 40.0])}
    update, _ = tx.update(grads, tx.init(grads), grads)
    np.testing.assert_allclose(update["w"], [-0.06, -0.08], rtol=1e-5)
    for options, expected in [({"clip": 1.0}, [0.6, 0.8 + 0.5]), ({"clip_decayed": 1.0}, [30.0, 90.0])]:
        # The decay of 0.5 times (0, 1 or 100), added after the clipping or within it.
        weight = {"w": jnp.asarray([0.0, 1.0 if "clip" in options else 100.0])}
        tx = create(momentum=0.0, nesterov=False, weight_decay=0.5, **options)
        update, _ = tx.update(grads, tx.init(grads), weight)
        expected = np.asarray(expected) / (np.linalg.norm(expected) if "clip_decayed" in options else 1.0)
        np.testing.assert_allclose(update["w"], -0.1 * expected, rtol=1e-5)
    with pytest.raises(UsageError, match="clip_decayed must be at least 0"):
        create(clip_decayed=-1.0)
    tx = create("adamw")
    update, _ = tx.update(grads, tx.init(grads), {"w": jnp.zeros(2)})
    np.testing.assert_allclose(update["w"], [-0.1, -0.1], rtol=1e-4)


def test_adamw_is_optaxs():
    """By default, and with every option set."""
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    grads = jax.tree.map(lambda x: 0.3 * x, params)
    for options in ({}, {"b1": 0.5, "b2": 0.9, "eps": 1e-3}):
        ours, theirs = create("adamw", **options), optax.adamw(0.1, weight_decay=0.01, **options)
        found, expected = (tx.update(grads, tx.init(params), params)[0] for tx in (ours, theirs))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    tx = create("adamw", decay="kernels")
    update, _ = tx.update(grads, tx.init(params), params)
    assert np.all(update["kernel"] < update["bias"][0])


def test_the_schedule_comes_along_and_begins_at_the_learning_rate():
    tx, schedule = optim.create("sgd", steps_per_epoch=2, epochs=5)
    np.testing.assert_allclose([schedule(0), schedule(5)], [0.1, 0.05], rtol=1e-6)
    grads = {"w": jnp.ones(1)}
    np.testing.assert_allclose(tx.update(grads, tx.init(grads), {"w": jnp.zeros(1)})[0]["w"], -0.19, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sdg", {}, "unknown optimizer 'sdg': did you mean 'sgd'"),
        ("sgd", {"decay": "kernel"}, "did you mean 'kernels'"),
        ("sgd", {"learning_rate": 0.0}, "optim: learning_rate must be above 0 and clip at least 0, got 0.0"),
        ("sgd", {"clip": -1.0}, "optim: learning_rate .* and -1.0"),
        ("adamw", {"weight_decay": -1.0}, "adamw: weight_decay must be at least 0, got -1.0"),
        ("adamw", {"momentun": 0.9}, "unknown option 'momentun' of optimizer 'adamw'"),
        ("sgd", {"schedule": "cosin"}, "did you mean 'cosine'"),
        ("sgd", {"schedule": {"name": "cosine", "warmup": 9.0}}, "warmup"),
    ],
)
def test_mistakes(name, options, message):
    with pytest.raises(UsageError, match=message):
        create(name, **options)


@pytest.mark.parametrize("component", [optim.create, optim.sgd, optim.adamw])
def test_every_option_has_a_line_of_meaning(component):
    assert all(option.meaning for option in options_of(component))

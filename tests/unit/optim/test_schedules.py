"""Schedules against the closed forms of the papers' recipes, and the update rule against PyTorch's."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.optim import optimizers
from jaxaug.optim.schedules import make_schedule
from jaxaug.train.config import default_config


def rates(learning_rate, steps_per_epoch, epochs, **options):
    schedule = make_schedule(learning_rate, steps_per_epoch=steps_per_epoch, epochs=epochs, **options)
    return np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(steps_per_epoch * epochs)))


def stepped(lr, milestones, factor):
    """Epoch e counted from 1 already uses the reduced rate (ISDA's CIFAR recipes)."""
    return lambda e, i: lr * factor ** sum(e + 1 >= m for m in milestones)


def steps_of(milestones, factor):
    return {"shape": "steps", "per": "epoch", "first": 1, "milestones": milestones, "factor": factor}


RECIPES = {
    # name: (lr, steps per epoch, epochs, options, closed form of (epoch from 0, step from 0))
    "isda resnet": (0.1, 4, 160, steps_of((80, 120), 0.1), stepped(0.1, (80, 120), 0.1)),
    "isda se_resnet": (0.1, 4, 200, steps_of((80, 120, 160), 0.1), stepped(0.1, (80, 120, 160), 0.1)),
    "isda wide_resnet": (0.1, 4, 240, steps_of((60, 120, 160, 200), 0.2), stepped(0.1, (60, 120, 160, 200), 0.2)),
    "isda resnext": (0.05, 4, 350, steps_of((150, 225, 300), 0.1), stepped(0.05, (150, 225, 300), 0.1)),
    "isda densenet": (0.1, 4, 300, steps_of((150, 200, 250), 0.1), stepped(0.1, (150, 200, 250), 0.1)),
    "isda --cos_lr": (
        0.1, 2, 1800, {"shape": "cosine", "per": "epoch", "first": 1},
        lambda e, i: 0.5 * 0.1 * (1 + math.cos(math.pi * (e + 1) / 1800)),
    ),
    "isda imagenet": (
        0.2, 3, 300, {"shape": "cosine", "per": "epoch"},
        lambda e, i: 0.5 * 0.2 * (1 + math.cos(math.pi * e / 300)),
    ),
    "isda cityscapes": (
        0.01, 400, 10, {"shape": "polynomial", "power": 0.9}, lambda e, i: 0.01 * (1 - i / 4000) ** 0.9,
    ),
    "soft augmentation cosine": (
        0.1, 391, 6, {"shape": "cosine", "first": 1, "longer_by": 1},
        lambda e, i: 0.05 * (1 + math.cos(math.pi * (i + 1) / (391 * 6 + 1))),
    ),
    "soft augmentation linear": (
        0.1, 391, 6, {"shape": "linear", "first": 1, "longer_by": 1},
        lambda e, i: 0.1 * (391 * 6 + 1 - (i + 1)) / (391 * 6 + 1),
    ),
    "soft augmentation steps": (
        0.1, 3, 500, {"shape": "steps", "per": "epoch", "milestones": (250, 375, 450), "factor": 0.2},
        lambda e, i: 0.1 * 0.2 ** sum(e >= m for m in (250, 375, 450)),
    ),
    "deepaa evaluation": (
        0.1, 10, 200, {"shape": "cosine", "warmup": 5},
        lambda e, i: 0.1 * i / 50 if i < 50 else 0.05 * (1 + math.cos(math.pi * (i - 50) / 1950)),
    ),
    "deepaa evaluation, imagenet": (
        0.8, 4, 270, {"shape": "steps", "per": "epoch", "milestones": (90, 180, 240), "warmup": 5, "start": 0.1},
        lambda e, i: 0.1 + 0.7 * i / 20 if i < 20 else 0.8 * 0.1 ** sum(e >= m for m in (95, 185, 245)),
    ),
    "constant": (0.3, 2, 3, {"shape": "constant"}, lambda e, i: 0.3),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name):
    lr, steps_per_epoch, epochs, options, closed = RECIPES[name]
    expected = [closed(i // steps_per_epoch, i) for i in range(steps_per_epoch * epochs)]
    np.testing.assert_allclose(rates(lr, steps_per_epoch, epochs, **options), expected, rtol=2e-5, atol=2e-7 * lr)


def config_of(**changes):
    config = default_config().optim
    config.update({"learning_rate": 0.1, "weight_decay": 0.01, "schedule": {"shape": "constant"}, **changes})
    return config


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", ["all", "kernels"])
def test_sgd_is_pytorchs(nesterov, decay):
    """d = g + wd p;  v = m v + d;  p -= lr (d + m v if nesterov else v), decay on all parameters or kernels."""
    tx, _ = optimizers.create(config_of(nesterov=nesterov, decay=decay), steps_per_epoch=1, epochs=5)
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
    tx, _ = optimizers.create(
        config_of(momentum=0.0, nesterov=False, weight_decay=0.0, clip=1.0), steps_per_epoch=1, epochs=1
    )
    grads = {"w": jnp.asarray([30.0, 40.0])}
    update, _ = tx.update(grads, tx.init(grads), grads)
    np.testing.assert_allclose(update["w"], [-0.06, -0.08], rtol=1e-5)
    tx, _ = optimizers.create(config_of(name="adamw"), steps_per_epoch=1, epochs=1)
    update, _ = tx.update(grads, tx.init(grads), {"w": jnp.zeros(2)})
    np.testing.assert_allclose(update["w"], [-0.1, -0.1], rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "sdg"}, "did you mean 'sgd'"),
        ({"decay": "kernel"}, "did you mean 'kernels'"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"schedule": {"shape": "cosin"}}, "did you mean 'cosine'"),
        ({"schedule": {"warmup": 9.0}}, "warmup"),
        ({"schedule": ConfigDict({"milestone": (1,)})}, "did you mean 'milestones'"),
    ],
)
def test_mistakes(changes, message):
    config = default_config().optim.unlock()
    config.update(changes)
    with pytest.raises(UsageError, match=message):
        optimizers.create(config, steps_per_epoch=1, epochs=5)

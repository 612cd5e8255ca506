"""Schedules against the closed forms of the papers' recipes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import list_names, options_of, resolve
from jaxaug.optim import make_schedule


def rates(learning_rate, steps_per_epoch, epochs, **options):
    counts = {"steps_per_epoch": steps_per_epoch, "epochs": epochs}
    schedule = make_schedule(options, learning_rate=learning_rate, **counts)
    return np.asarray(jax.jit(jax.vmap(schedule))(jnp.arange(steps_per_epoch * epochs)))


def stepped(lr, milestones, factor):
    """Epoch e counted from 1 already uses the reduced rate (ISDA's CIFAR recipes)."""
    return lambda e, i: lr * factor ** sum(e + 1 >= m for m in milestones)


def autodo(lr, epoch, epochs):
    """The cosine of AutoDO's code, which ends at a thousandth."""
    return lr * (1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * epoch / epochs)))


def steps_of(milestones, factor):
    return {"name": "steps", "per": "epoch", "first": 1, "milestones": milestones, "factor": factor}


RECIPES = {
    # name: (lr, steps per epoch, epochs, options, closed form of (epoch from 0, step from 0))
    "isda resnet": (0.1, 4, 160, steps_of((80, 120), 0.1), stepped(0.1, (80, 120), 0.1)),
    "isda se_resnet": (0.1, 4, 200, steps_of((80, 120, 160), 0.1), stepped(0.1, (80, 120, 160), 0.1)),
    "isda wide_resnet": (0.1, 4, 240, steps_of((60, 120, 160, 200), 0.2), stepped(0.1, (60, 120, 160, 200), 0.2)),
    "isda resnext": (0.05, 4, 350, steps_of((150, 225, 300), 0.1), stepped(0.05, (150, 225, 300), 0.1)),
    "isda densenet": (0.1, 4, 300, steps_of((150, 200, 250), 0.1), stepped(0.1, (150, 200, 250), 0.1)),
    "isda --cos_lr": (
        0.1, 2, 1800, {"name": "cosine", "per": "epoch", "first": 1},
        lambda e, i: 0.5 * 0.1 * (1 + math.cos(math.pi * (e + 1) / 1800)),
    ),
    "isda imagenet": (
        0.2, 3, 300, {"name": "cosine", "per": "epoch"},
        lambda e, i: 0.5 * 0.2 * (1 + math.cos(math.pi * e / 300)),
    ),
    "isda cityscapes": (
        0.01, 400, 10, {"name": "polynomial", "power": 0.9}, lambda e, i: 0.01 * (1 - i / 4000) ** 0.9,
    ),
    "soft augmentation cosine": (
        0.1, 391, 6, {"name": "cosine", "first": 1, "longer_by": 1},
        lambda e, i: 0.05 * (1 + math.cos(math.pi * (i + 1) / (391 * 6 + 1))),
    ),
    "soft augmentation linear": (
        0.1, 391, 6, {"name": "linear", "first": 1, "longer_by": 1},
        lambda e, i: 0.1 * (391 * 6 + 1 - (i + 1)) / (391 * 6 + 1),
    ),
    "soft augmentation steps": (
        0.1, 3, 500, {"name": "steps", "per": "epoch", "milestones": (250, 375, 450), "factor": 0.2},
        lambda e, i: 0.1 * 0.2 ** sum(e >= m for m in (250, 375, 450)),
    ),
    "deepaa evaluation": (
        0.1, 10, 200, {"name": "cosine", "warmup": 5},
        lambda e, i: 0.1 * i / 50 if i < 50 else 0.05 * (1 + math.cos(math.pi * (i - 50) / 1950)),
    ),
    "deepaa evaluation, imagenet": (
        0.8, 4, 270, {"name": "steps", "per": "epoch", "milestones": (90, 180, 240), "warmup": 5, "start": 0.1},
        lambda e, i: 0.1 + 0.7 * i / 20 if i < 20 else 0.8 * 0.1 ** sum(e >= m for m in (95, 185, 245)),
    ),
    "autodo": (
        0.1, 4, 200, {"name": "cosine", "per": "epoch", "floor": 1e-4, "warmup": 5, "start": 0.01, "overlap": True},
        lambda e, i: 0.01 + (autodo(0.1, 5, 200) - 0.01) * i / 20 if e < 5 else autodo(0.1, e, 200),
    ),
    "autodo, its hyperparameters": (
        # 149 passes of a decay over 150, the first of which has the number 1.
        0.05, 4, 149,
        {"name": "cosine", "per": "epoch", "first": 1, "longer_by": 1, "floor": 5e-5, "warmup": 5, "start": 0.005,
         "overlap": True},
        lambda e, i: 0.005 + (autodo(0.05, 5, 150) - 0.005) * (i + 4) / 20 if e < 4 else autodo(0.05, e + 1, 150),
    ),
    "constant": (0.3, 2, 3, {"name": "constant"}, lambda e, i: 0.3),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name):
    lr, steps_per_epoch, epochs, options, closed = RECIPES[name]
    expected = [closed(i // steps_per_epoch, i) for i in range(steps_per_epoch * epochs)]
    np.testing.assert_allclose(rates(lr, steps_per_epoch, epochs, **options), expected, rtol=2e-5, atol=2e-7 * lr)


@pytest.mark.parametrize(
    ("slot", "message"),
    [
        ("cosin", "unknown schedule 'cosin': did you mean 'cosine'"),
        ({"name": "steps", "milestone": (1,)}, "unknown option 'milestone' of schedule 'steps': did you mean 'milest"),
        ({"name": "linear", "per": "epochs"}, "unknown linear per 'epochs': did you mean 'epoch'"),
        ({"name": "constant", "warmup": 9.0}, "constant: a warmup of 9.0 epochs is too long for a training of 5"),
        ({"name": "cosine", "start": 0.2}, "cosine: start must be in 0..0.1, the learning rate, got 0.2"),
    ],
)
def test_mistakes(slot, message):
    with pytest.raises(UsageError, match=message):
        make_schedule(slot, learning_rate=0.1, steps_per_epoch=1, epochs=5)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_half_an_epoch_of_warming_up_leaves_no_idle_end(name):
    """The rate is that of an epoch, and none of them has the end's zero."""
    found = rates(0.1, 10, 4, name=name, per="epoch", warmup=0.5)
    assert (found[5:] > 0.001).all()


def test_every_option_has_a_line_of_meaning():
    names = list_names("schedule")
    assert set(names) >= {"constant", "linear", "polynomial", "cosine", "steps"}
    for name in names:
        for option in options_of(resolve("schedule", name)):
            assert option.meaning, (name, option.name)

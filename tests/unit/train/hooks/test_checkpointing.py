"""When a training is saved, and that nothing broken is saved."""

import types

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.core.types import MetaParams, TrainState
from jaxaug.train.hooks.checkpointing import CheckpointHook


@pytest.fixture
def saved():
    """What a checkpointer was given."""
    return []


@pytest.fixture
def hook(saved):
    checkpointer = types.SimpleNamespace(latest=21, save=lambda state, record: saved.append((state, record)))
    return CheckpointHook(checkpointer, "validation_top1")


def records(*values):
    return [{} if value is None else {"validation_top1": value, "step": i} for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ((), False),
        ((0.5,), True),
        ((0.5, 0.6), True),
        ((0.6, 0.5), False),
        ((0.5, 0.5), False),
        ((None, 0.0), True),
        ((0.5, None), False),
        ((0.5, None, 0.6), True),
    ],
)
def test_the_best_epoch_on_validation(hook, values, best):
    assert hook.is_best(records(*values)) == best


def state_of(**changes):
    arrays = {name: {"a": jnp.ones(2)} for name in ("params", "model_state", "opt_state", "loss_state")}
    fields = {"step": jnp.asarray(42), "meta": MetaParams(), "search_state": (), "key": (), **arrays, **changes}
    return TrainState(**fields)


def test_a_finite_state_is_saved_with_its_record(hook, saved):
    state = state_of()
    hook.save(state, {"validation_top1": 0.5})
    assert saved == [(state, {"validation_top1": 0.5})]


@pytest.mark.parametrize("field", ["params", "model_state", "loss_state", "meta"])
def test_a_broken_state_is_not_saved(hook, saved, field):
    broken = {"a": jnp.array([1.0, np.nan])}
    state = state_of(**{field: MetaParams(shared=broken) if field == "meta" else broken})
    with pytest.raises(UsageError, match=r"not finite at step 42; .*last good checkpoint \(step 21\)"):
        hook.save(state, {})
    assert saved == []

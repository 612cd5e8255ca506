"""Pure steps: the average of the weights beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaug.core.types import Batch, MetaParams, TrainState
from jaxaug.search.base import SearchMethod
from jaxaug.tasks.base import Aux
from jaxaug.train.step import averaged, make_train_step

DECAY, KEY = 0.7, jax.random.key(0)


def objective(params, meta, state, batch, key):
    """A paraboloid, and statistics that count steps."""
    loss = jnp.sum((params["w"] - jnp.arange(3.0)) ** 2)
    return loss, Aux({"seen": state.model_state["seen"] + 1.0}, (), {})


def test_the_average_follows_parameters_and_statistics():
    """Against NumPy over steps on both sides of the decay; the network and the average change places."""
    step = jax.jit(make_train_step(objective, optax.sgd(0.1), average_decay=DECAY))
    begun = {"params": {"w": jnp.full(3, 5.0)}, "model_state": {"seen": jnp.zeros(())}}
    meta, search = SearchMethod().init(MetaParams(), np.arange(1), 1)
    zero, opt_state = jnp.zeros((), jnp.int32), optax.sgd(0.1).init(begun["params"])
    state = TrainState(zero, **begun, opt_state=opt_state, loss_state=(), meta=meta, search_state=search, key=KEY)
    state, expected = state.replace(average=begun), jax.device_get(begun)
    for number in range(1, 6):
        state, _ = step(state, Batch(jnp.zeros((1, 1, 1, 1)), jnp.zeros(1, jnp.int32), jnp.zeros(1, jnp.int32)))
        share, new = min(1 - 1 / (number + 1), DECAY), {"params": state.params, "model_state": state.model_state}
        expected = jax.tree.map(lambda a, b, share=share: share * a + (1 - share) * np.asarray(b), expected, new)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state.average, expected)
    swapped = averaged(state)
    assert swapped.params is state.average["params"]
    assert swapped.model_state is state.average["model_state"]
    assert swapped.average == {"params": state.params, "model_state": state.model_state}
    assert jax.tree.structure(swapped) == jax.tree.structure(state)

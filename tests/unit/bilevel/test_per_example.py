"""Numbers per training row: the lazy optimisers against optax on all rows at once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.settings import double_precision

from jaxaug import bilevel
from jaxaug.bilevel.per_example import PADDING, gather_rows, init_per_example, scatter_update
from jaxaug.core.types import MetaParams

ROWS, STEPS = 40, 450  # more steps than Adam's reach, so that some row misses more


def rate(step):
    return 0.05 * (1 + jnp.cos(3 * step / STEPS))


# The third fades so slowly that all steps a row missed count; its rate is a number.
LAZY = {
    "rmsprop": bilevel.sparse_rmsprop(rate),
    "adam": bilevel.sparse_adam(rate),
    "slow adam": bilevel.sparse_adam(0.02, b1=0.99),
}
DENSE = {
    "rmsprop": optax.rmsprop(rate, decay=0.99, eps=1e-8, eps_in_sqrt=False),
    "adam": optax.adam(rate),
    "slow adam": optax.adam(0.02, b1=0.99),
}


def declared():
    return MetaParams({"weight": jnp.zeros(()), "policy": {"level": jnp.zeros((2, 3))}}, {"power": jnp.zeros(())})


def batches():
    """Row numbers of every step; row 0 is seen in the first and the last step only, the last row never."""
    random = np.random.default_rng(0)
    found = [random.choice(np.arange(1, ROWS - 1), 4, replace=False) for _ in range(STEPS)]
    found[0][0] = found[-1][0] = 0
    return np.stack(found).astype(np.int32)


def gradient_of(own, target):
    """Of a loss whose gradient differs between rows and is never 0."""
    return jax.tree.map(lambda x: jnp.sin(3 * x) + 0.3 + target.reshape(-1, *[1] * (x.ndim - 1)), own)


@pytest.mark.parametrize("name", LAZY)
def test_lazy_equals_dense(name):
    """Every number as it was looked at and after all steps; ids are neither dense nor in order."""
    # Float64, as the gradients depend on the numbers and make more of a rounding.
    with double_precision():
        lazy, dense = both(LAZY[name], DENSE[name])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-7), lazy, dense)
        assert np.abs(dense["final"]["weight"]).max() > 0.5
        assert float(dense["final"]["weight"][-1]) == 0


def both(rule, tx):
    """(lazy, dense): the weights seen on the way, and everything at the end."""
    ids = np.random.default_rng(1).permutation(1000)[:ROWS].astype(np.int32)
    ascending = np.sort(ids)
    meta, search = init_per_example(declared(), ids, rule.moments, ())
    index = ascending[batches()]

    def lazily(carry, index):
        meta, search = carry
        rows = gather_rows(rule, meta, search, index)
        gradient = gradient_of(rows.meta.per_example, jnp.sin(index.astype(float)))
        return scatter_update(rule, meta, search, rows, gradient), rows.meta.per_example["weight"]

    def densely(carry, at):
        own, state = carry
        part = jax.tree.map(lambda x: x[at], own)
        gradient = gradient_of(part, jnp.sin(ascending[at].astype(float)))
        whole = jax.tree.map(lambda x, g: jnp.zeros_like(x).at[at].set(g), own, gradient)
        updates, state = tx.update(whole, state, own)
        return (optax.apply_updates(own, updates), state), part["weight"]

    (meta, search), seen = jax.jit(lambda c: jax.lax.scan(lazily, c, index))((meta, search))
    ascending = jnp.asarray(ascending)
    own = init_per_example(declared(), ids, 0, ())[0].per_example
    (own, _), looked = jax.jit(lambda c: jax.lax.scan(densely, c, batches()))((own, tx.init(own)))
    own = jax.tree.map(lambda x: x[:ROWS], own)
    final = gather_rows(rule, meta, search, ascending).meta.per_example
    return {"final": final, "seen": seen}, {"final": own, "seen": looked}


@pytest.mark.parametrize("name", LAZY)
def test_cost_does_not_grow_with_rows(name):
    """Nothing of the size of all rows is computed: only gathers and scatters touch arrays of that size."""
    rule, many = LAZY[name], 128 * 97

    def step(meta, search, index):
        rows = gather_rows(rule, meta, search, index)
        return scatter_update(rule, meta, search, rows, rows.meta.per_example)

    meta, search = init_per_example(declared(), np.arange(many), rule.moments, ())
    equations = [e for e in jax.make_jaxpr(step)(meta, search, jnp.arange(8)).jaxpr.eqns]
    large = {e.primitive.name for e in equations for v in e.outvars if many in getattr(v.aval, "shape", ())}
    assert large == {"scatter"}


def test_rows_are_added_until_the_devices_divide_them():
    meta, search = init_per_example(declared(), [7, 3, 5], 1, (), multiple=3)
    assert search.ids.tolist() == [3, 5, 7, *[PADDING] * 381]
    assert meta.per_example["policy"]["level"].shape == (384, 2, 3)
    meta, search = meta.replace(per_example={"weight": jnp.arange(384.0)}), search.replace(moments=())
    rows = gather_rows(None, meta, search, jnp.array([7, 3]))
    assert rows.meta.per_example["weight"].tolist() == [2.0, 0.0]


def test_nothing_of_its_own():
    meta, search = init_per_example(MetaParams({}, {"power": jnp.zeros(())}), [3, 1], 1, ())
    rows = gather_rows(LAZY["adam"], meta, search, jnp.array([3]))
    meta, search = scatter_update(LAZY["adam"], meta, search, rows, {})
    assert search.ids is None
    assert int(search.step) == 1

"""Sums and counts: parts of a set add up to the whole, and the first bad step is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.totals import NEVER, Totals, empty_totals, totals_of


def batch_totals(values, finite=True, step=0):
    values = jnp.asarray(values)
    sums = {"loss": (jnp.sum(values), jnp.asarray(len(values))), "bins": (jnp.stack([values, -values]), jnp.ones(2))}
    return totals_of(sums, finite, step)


def test_parts_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(3, 4)).astype(np.float32)
    found = batch_totals(parts[0]) + batch_totals(parts[1]) + batch_totals(parts[2])
    assert found.means() == {"loss": pytest.approx(parts.mean(), rel=1e-5)}  # what is no number has no mean
    np.testing.assert_allclose(found.sums["bins"][0], np.stack([parts.sum(0), -parts.sum(0)]), rtol=1e-5)
    np.testing.assert_array_equal(found.sums["bins"][1], [3, 3])


def test_counts_of_nothing():
    assert totals_of({"loss": (jnp.zeros(()), jnp.zeros((), jnp.int32))}).means() == {"loss": 0.0}


def test_the_first_bad_step_is_kept():
    steps = [batch_totals([1.0], step=3), batch_totals([1.0], False, 5), batch_totals([1.0], jnp.asarray(False), 4)]
    assert int(steps[0].first_bad) == NEVER
    assert [int(one.first_bad) for one in steps[1:]] == [5, 4]
    assert int((steps[0] + steps[1] + steps[2]).first_bad) == 4
    assert steps[0].first_bad.dtype == jnp.int32


def test_empty_totals_have_the_shapes_of_others():
    """Nothing is computed for them, and adding to them changes nothing."""
    like = jax.eval_shape(lambda: batch_totals(jnp.ones(4)))
    empty = empty_totals(like)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), empty) == jax.tree.map(lambda x: (x.shape, x.dtype), like)
    assert int(empty.first_bad) == NEVER
    one = batch_totals([1.0, 2.0, 3.0, 4.0], False, 7)
    for found, expected in zip(jax.tree.leaves(empty + one), jax.tree.leaves(one), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_they_go_through_jit_and_scan():
    def step(totals, x):
        return totals + batch_totals(x, jnp.all(jnp.isfinite(x)), x.shape[0]), None

    rows = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    empty = empty_totals(jax.eval_shape(lambda: batch_totals(jnp.ones(2))))
    found = jax.jit(lambda start, xs: jax.lax.scan(step, start, xs)[0])(empty, rows)
    assert isinstance(found, Totals)
    assert found.means() == {"loss": 3.0}

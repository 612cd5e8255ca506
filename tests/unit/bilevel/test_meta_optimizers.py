"""Both halves of a meta optimiser make one step: a row that is in every batch moves as a shared number does."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxaug import bilevel
from jaxaug.core.registry import instantiate, list_names, options_of, resolve


def rate(step):
    return 0.1 / (1 + step)


CASES = [
    *[("rmsprop", {}), ("rmsprop", {"decay": 0.5, "eps": 0.1})],
    *[("adam", {}), ("adam", {"b1": 0.5, "eps": 0.1})],
    *[("normalized_sgd", {}), ("normalized_sgd", {"eps": 0.1})],
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_both_halves_agree(name, options):
    rule, tx = instantiate("meta_optimizer", {"name": name, **options}, rate)
    shared = jnp.array([0.3, -0.2])
    own, moments, state = shared, (jnp.zeros(2),) * rule.moments, tx.init(shared)
    for step in range(4):
        gradient = jnp.sin(3 * own) + step
        own, moments = rule.update(own, moments, gradient, jnp.asarray(step))
        updates, state = tx.update(gradient, state, shared)
        shared = optax.apply_updates(shared, updates)
        np.testing.assert_allclose(own, shared, rtol=1e-5)


def test_a_row_moves_by_as_much_as_is_said_of_it():
    """The root mean square over a step's rows is the rate; rows keep the ratio of their gradients."""
    rule, _ = instantiate("meta_optimizer", {"name": "normalized_sgd"}, rate)
    gradient = jnp.array([0.0, 1.0, -2.0, 30.0]) * 1e-4
    own, moments = rule.update(jnp.zeros(4), (), gradient, jnp.asarray(1))
    assert moments == rule.skip(own, (), jnp.array(3), jnp.asarray(1))[1] == ()
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(own**2)), rate(1), rtol=1e-5)
    np.testing.assert_allclose(own / own[1], [0, 1, -2, 30], rtol=1e-5)
    assert own[1] < 0
    still, _ = rule.update(own, (), jnp.zeros(4), jnp.asarray(1))
    np.testing.assert_array_equal(still, own)


def test_every_option_has_a_line_of_meaning():
    assert set(list_names("meta_optimizer")) >= {"rmsprop", "adam", "normalized_sgd"}
    for name in list_names("meta_optimizer"):
        assert all(option.meaning for option in options_of(resolve("meta_optimizer", name)))


def test_the_face_of_the_package():
    assert dir(bilevel) == sorted(bilevel.__all__)
    assert callable(bilevel.hypergradient)
    assert all(hasattr(bilevel, name) for name in bilevel.__all__)

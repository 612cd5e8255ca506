"""Losses that a search may change, against AutoDO's released code and what holds for any of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_inputs import HALF, inputs_of, random_case
from helpers.settings import GOLDEN

from jaxaug import losses
from jaxaug.losses import _weights
from jaxaug.losses._soft_labels import learned_soft_labels
from jaxaug.losses._targets import kl_divergence, learned_targets, mixed_targets, soft_targets
from jaxaug.losses._weights import learned_weights

golden = functools.lru_cache(lambda: np.load(GOLDEN / "autodo_losses.npz"))
SMOOTHING = 0.05  # what the released code begins with
RELEASED_CONSTANT = 1.4427 * np.log(2.0)  # its 1 / log 2, over the exact one


def chain_of(mode, symmetric, weighted=True):
    """The chain that stands for a mode of the released code, which multiplies by its weights in every mode."""
    soft = (learned_targets(SMOOTHING), kl_divergence(symmetric=symmetric)) if mode in ("SOFT", "BOTH") else ()
    return losses.chain(*soft, *([learned_weights("none")] if weighted else []))


def with_own(inputs, meta, own):
    return inputs.replace(meta=meta, batch=inputs.batch.replace(per_example=own))


def loss_of(chained, inputs, own=None, shared=None):
    inputs = with_own(inputs, shared, own)
    state = chained.init(inputs.logits.shape[-1], inputs.output.features.shape[-1])
    return losses.mean_loss(chained.apply(state, inputs)[1])


def released_case(precision):
    """(inputs, {name: table of all 20 rows}): our offsets are the released logits less those they begin with."""
    index, labels = golden()["loss_idx"], golden()["loss_hyperS_argmax"]
    first = np.log(1 - 5 + 5 / SMOOTHING) * (np.eye(5)[labels] - 0.5)
    tables = {"weight": golden()["loss_hyperW"], "soft": golden()["loss_hyperS"] - first}
    tables = {name: jnp.asarray(table, precision) for name, table in tables.items()}
    return inputs_of(golden()["loss_logits"].astype(precision), labels[index]), tables


@functools.cache
def released(precision):
    """{(mode, symmetric): (value, gradient of the logits, of the tables, of the tables without the transforms)}."""
    inputs, tables = released_case(precision)
    index = golden()["loss_idx"]

    def value_of(chained, logits, tables):
        own = {name: table[index] for name, table in tables.items()}
        return loss_of(chained, inputs.replace(logits=logits), own) * RELEASED_CONSTANT

    @jax.jit
    def everything(logits, tables):
        results = {}
        for mode, symmetric in CASES:
            with_it, without = chain_of(mode, symmetric), chain_of(mode, symmetric, mode in ("WGHT", "BOTH"))
            value, slopes = jax.value_and_grad(value_of, (1, 2))(with_it, logits, tables)
            results[mode, symmetric] = value, *slopes, jax.grad(value_of, 2)(without, logits, tables)
        return results

    return everything(inputs.logits, tables)


CASES = [(mode, symmetric) for mode in ("NONE", "WGHT", "SOFT", "BOTH") for symmetric in (0, 1)]


@pytest.mark.parametrize(("mode", "symmetric"), CASES)
def test_released_losses(mode, symmetric, precision):
    """Value and every gradient; where the released code has none, neither has the chain without that transform."""
    value, slope, slopes, none = released(precision)[mode, symmetric]
    expected = {key: golden()[f"loss_{mode}_sym{symmetric}_{key}"] for key in ("value", "dlogits")}
    tolerance = {"float32": 1e-6, "float64": 1e-12}[precision]
    assert slope.dtype == precision
    np.testing.assert_allclose(value, expected["value"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(slope, expected["dlogits"], rtol=0, atol=tolerance)
    declared = chain_of(mode, symmetric, mode in ("WGHT", "BOTH")).meta(5).per_example
    for name, key in (("weight", "dhyperW"), ("soft", "dhyperS")):
        desired = golden()[f"loss_{mode}_sym{symmetric}_{key}"]
        assert (name in declared) == np.isfinite(desired).all()
        if np.isnan(desired).any():
            np.testing.assert_array_equal(none[name], 0)
        else:
            np.testing.assert_allclose(slopes[name], desired, rtol=0, atol=tolerance)


def test_released_validation_loss(precision):
    logits, labels = golden()["loss_logits"].astype(precision), golden()["loss_targets"][golden()["loss_idx"]]
    value, slope = jax.value_and_grad(lambda x: losses.mean_loss(inputs_of(x, labels)))(jnp.asarray(logits))
    tolerance = {"float32": 1e-6, "float64": 1e-12}[precision]
    np.testing.assert_allclose(value, golden()["loss_VALID_value"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(slope, golden()["loss_VALID_dlogits"], rtol=0, atol=tolerance)


def test_initial_values(precision):
    """w = 1 and (1 - s) onehot + s / K; the released code's initial soft labels, which are float32."""
    labels = golden()["loss_targets"]
    meta = losses.chain(learned_targets(SMOOTHING), learned_weights()).meta(5)
    assert {name: value.shape for name, value in meta.per_example.items()} == {"soft": (5,), "weight": ()}
    assert not any(value.any() for value in meta.per_example.values())
    assert _weights.learned_weight(meta.per_example["weight"]) == 1
    soft = learned_soft_labels(meta.per_example["soft"], jnp.asarray(labels), 5, SMOOTHING)
    np.testing.assert_allclose(soft, 0.95 * np.eye(5)[labels] + 0.01, rtol=1e-5)
    np.testing.assert_allclose(soft, golden()["loss_init_soft"], atol=1e-6)
    np.testing.assert_allclose(np.ptp(np.log(soft), axis=1), golden()["loss_init_diff"], rtol=1e-6)


LEARNED = {
    "weights": learned_weights(),
    "targets": losses.chain(learned_targets(0.3), kl_divergence(symmetric=True), learned_weights("none")),
    "all": losses.chain(
        learned_targets(rank=2), soft_targets(learned=True, weight="batch"), mixed_targets(), learned_weights()
    ),
}


def some_hyper(transform, rows=6, classes=4, seed=0):
    """(own [B ...], shared), away from where they begin."""
    rng, begin = np.random.default_rng(seed), transform.meta(classes)
    own = {name: jnp.asarray(rng.normal(size=(rows, *x.shape)), jnp.float32) for name, x in begin.per_example.items()}
    return own, {name: x + jnp.asarray(rng.normal(size=x.shape), jnp.float32) for name, x in begin.shared.items()}


@pytest.mark.parametrize("name", LEARNED)
def test_without_a_search(name):
    """Nothing given, or names of others only, is what every row and the shared numbers begin with."""
    transform, inputs = LEARNED[name], random_case(mix=0.4)[0]
    begin = transform.meta(4)
    own = jax.tree.map(lambda x: jnp.broadcast_to(x, (6, *x.shape)), begin.per_example)

    @jax.jit
    def all_ways(inputs):
        given = ((None, None), ({"another": 1.0}, {"another": 1.0}), (own, begin.shared))
        return [loss_of(transform, inputs, *one) for one in given]

    values = all_ways(inputs)
    np.testing.assert_allclose(values, values[-1], rtol=1e-6)


@pytest.mark.parametrize("name", LEARNED)
def test_rows_without_a_label(name):
    """Whatever they hold, even NaN, changes no loss and no gradient; their own gets none."""
    transform, inputs = LEARNED[name], random_case()[0]
    own, shared = some_hyper(transform)
    poisoned = jax.tree.map(lambda x: x.at[4:].set(jnp.nan), own)
    gradient = jax.jit(jax.grad(lambda own, shared, inputs: loss_of(transform, inputs, own, shared), (0, 1)))

    def of_labels(own, label, rows):
        few = losses.cross_entropy_inputs(inputs.output, inputs.batch.replace(label=label), {}, HALF)
        few = jax.tree.map(lambda x: x[:rows] if x.ndim and len(x) == 6 else x, few)
        return gradient(jax.tree.map(lambda x: x[:rows], own), shared, few)

    label = inputs.batch.label.at[4:].set(-1)
    expected, actual = of_labels(own, label, 4), of_labels(poisoned, label, 6)
    jax.tree.map(lambda x: np.testing.assert_array_equal(x[4:], 0), actual[0])
    actual = (jax.tree.map(lambda x: x[:4], actual[0]), actual[1])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), actual, expected)
    for leaf in jax.tree.leaves(of_labels(poisoned, jnp.full(6, -1), 6)):
        np.testing.assert_array_equal(leaf, 0)


@pytest.mark.parametrize("name", LEARNED)
def test_views_and_vmap(name):
    """A row's own repeated for two views: the same loss and gradient. Several searches at once: as one by one."""
    transform, inputs = LEARNED[name], random_case()[0]
    several = [some_hyper(transform, seed=seed) for seed in range(2)]

    def twice(tree):
        return jax.tree.map(lambda x: jnp.concatenate([x, x]) if x.ndim and len(x) == 6 else x, tree)

    @jax.jit
    def both(inputs):
        def once(own, shared):
            return loss_of(transform, inputs, own, shared)

        single = [jax.value_and_grad(once)(*one) for one in several]
        views = jax.value_and_grad(lambda own: loss_of(transform, twice(inputs), twice(own), several[0][1]))
        return single, views(several[0][0]), jax.vmap(once)(*jax.tree.map(lambda *x: jnp.stack(x), *several))

    single, (loss, gradient), together = both(inputs)
    np.testing.assert_allclose(together, [value for value, _ in single], rtol=1e-5)
    np.testing.assert_allclose(loss, single[0][0], rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), gradient, single[0][1])

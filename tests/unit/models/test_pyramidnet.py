"""PyramidNet's growth and shortcuts, and ShakeDrop's draws forward, backward and in evaluation."""

import functools

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.models import layers, pyramidnet

# Unoptimised code compiles several times faster.
jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
)
DRAWS = 4000
IMAGE = np.random.default_rng(0).normal(size=(3, 5, 6, 2)).astype(np.float32)


def factors(rate, shape=(6, 2, 1, 3), draws=DRAWS, **options):
    """What ShakeDrop multiplies ones by, forward and in the gradient: two arrays [draws, *shape]."""
    drop = pyramidnet.ShakeDrop(rate, **options)

    def one(key):
        out, pull = jax.vjp(lambda maps: drop.apply({}, maps, True, rngs={"dropout": key}), jnp.ones(shape))
        return out, pull(jnp.ones(shape))[0]

    return map(np.asarray, jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws)))


def test_rates_and_widths_grow_from_block_to_block():
    seen = []

    def watch(call, args, kwargs, context):
        if isinstance(context.module, pyramidnet.Block) and context.method_name == "__call__":
            seen.append((context.module.drop.rate, context.module.width, context.module.stride))
        return call(*args, **kwargs)

    with nn.intercept_methods(watch):
        init = functools.partial(pyramidnet.PyramidNet(100).init, train=False)
        variables = jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32))
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert count == 26_288_692  # with 10 classes: see test_api.py
    rates, widths, strides = zip(*seen, strict=True)
    np.testing.assert_allclose(rates, [0.5 * (index + 1) / 90 for index in range(90)], rtol=1e-12)
    assert (widths[0], widths[44], widths[89]) == (18, 116, 216)
    assert set(np.diff(widths)) == {2, 3}
    assert [index for index, stride in enumerate(strides) if stride == 2] == [30, 60]


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_evaluation_multiplies_by_the_rate_of_keeping(rate):
    out = pyramidnet.ShakeDrop(rate).apply({}, IMAGE, False)
    np.testing.assert_allclose(out, (1 - rate) * IMAGE, rtol=1e-6)


def test_without_a_rate_nothing_is_drawn():
    np.testing.assert_array_equal(pyramidnet.ShakeDrop(0.0).apply({}, IMAGE, True), IMAGE)
    with pytest.raises(flax.errors.InvalidRngError):
        pyramidnet.ShakeDrop(0.1).apply({}, IMAGE, True)


def test_one_gate_per_batch_and_independent_factors_per_example():
    forward, backward = factors(0.4)
    for one in (forward, backward):
        np.testing.assert_array_equal(one, np.broadcast_to(one[:, :, :1, :1, :1], one.shape))
    forward, backward = forward[:, :, 0, 0, 0], backward[:, :, 0, 0, 0]
    kept = (forward == 1).all(1)
    assert (kept == (forward == 1).any(1)).all()  # the whole batch or none of it
    assert (backward[kept] == 1).all()
    assert abs(kept.mean() - 0.6) < 5 * (0.24 / DRAWS) ** 0.5  # five standard errors
    alpha, beta = forward[~kept].ravel(), backward[~kept].ravel()
    assert -1 <= alpha.min() < -0.99 < 0.99 < alpha.max() < 1
    assert 0 <= beta.min() < 0.01 < 0.99 < beta.max() <= 1
    error = 5 / alpha.size**0.5
    assert abs(alpha.mean()) < error * 3**-0.5
    assert abs(beta.mean() - 0.5) < error * 12**-0.5
    np.testing.assert_allclose([alpha.std(), beta.std()], [3**-0.5, 12**-0.5], rtol=0.05)
    assert abs(np.corrcoef(alpha, beta)[0, 1]) < error
    for drawn in (forward[~kept], backward[~kept]):  # examples of one batch
        assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 5 / len(drawn) ** 0.5
    assert abs(forward.mean() - 0.6) < 5 * (forward.mean(1).var() / DRAWS) ** 0.5  # what evaluation multiplies by


def test_gate_per_example_and_factor_per_element():
    forward, backward = factors(0.4, gate_per="example", draws=500)
    kept = forward[:, :, 0, 0, 0] == 1
    assert (kept == (backward[:, :, 0, 0, 0] == 1)).all()
    assert (kept.any(1) & ~kept.all(1)).any()
    assert abs(kept.mean() - 0.6) < 5 * (0.24 / kept.size) ** 0.5
    forward, backward = factors(0.4, factor_per="element", draws=50)
    kept = (forward == 1).all((1, 2, 3, 4))
    assert 0 < kept.sum() < 50
    for drawn in (forward[~kept], backward[~kept]):
        assert len(np.unique(drawn)) > 0.99 * drawn.size


def test_scale_differentiates_by_backward_at_every_order():
    maps, tangent, forward, backward = np.random.default_rng(1).normal(size=(4, 2, 3, 3, 2)).astype(np.float32)

    def loss(maps):
        return (layers.scale(maps, forward, backward) ** 3).sum()

    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    scaled = forward * maps
    close(layers.scale(maps, forward, backward), scaled)
    close(jax.grad(loss)(maps), 3 * scaled**2 * backward)
    _, product = jax.jvp(jax.grad(loss), (maps,), (tangent,))
    close(product, 6 * scaled * backward**2 * tangent)


def test_shortcut_averages_what_lies_inside_and_appends_zeros():
    out = pyramidnet.shortcut(jnp.asarray(IMAGE), 5, 2)
    rows, columns = (slice(0, 2), slice(2, 4), slice(4, 5)), (slice(0, 2), slice(2, 4), slice(4, 6))
    expected = np.stack([np.stack([IMAGE[:, r, c].mean((1, 2)) for c in columns], 1) for r in rows], 1)
    np.testing.assert_allclose(out[..., :2], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(out[..., 2:], np.zeros((3, 3, 3, 3)))
    np.testing.assert_array_equal(pyramidnet.shortcut(jnp.asarray(IMAGE), 2, 1), IMAGE)


def test_a_block_is_its_shortcut_plus_the_normalised_branch():
    block = pyramidnet.Block(2, pyramidnet.ShakeDrop(0.25), stride=2)
    variables = jit(functools.partial(block.init, train=False))(jax.random.key(0), IMAGE)
    # The last batch norm ends the branch: with scale 0 and bias 4 the branch is 4, in evaluation 0.75 of it.
    variables["params"]["BatchNorm_3"] = {"scale": jnp.zeros(8), "bias": jnp.full(8, 4.0)}
    out = jit(functools.partial(block.apply, train=False))(variables, IMAGE)
    np.testing.assert_allclose(out, pyramidnet.shortcut(jnp.asarray(IMAGE), 8, 2) + 3.0, rtol=1e-5)


def test_gradients_and_hessian_vector_products_of_a_model_are_finite():
    model = pyramidnet.PyramidNet(3, depth=11, alpha=6, drop_rate=0.9)
    key = jax.random.key(1)
    variables = jit(functools.partial(model.init, train=False))(key, IMAGE)

    def loss(params):
        given = {"params": params, "batch_stats": variables["batch_stats"]}
        (_, logits), _ = model.apply(given, IMAGE, train=True, rngs={"dropout": key}, mutable=["batch_stats"])
        return (logits**2).sum()

    params = variables["params"]
    gradient, product = jit(lambda params: jax.jvp(jax.grad(loss), (params,), (params,)))(params)
    for tree in (gradient, product):
        leaves = jax.tree.leaves(tree)
        assert all(np.isfinite(leaf).all() for leaf in leaves)
        assert sum(np.any(leaf != 0) for leaf in leaves) > 0.9 * len(leaves)


@pytest.mark.parametrize("options", [{"gate_per": "pixel"}, {"factor_per": "batch"}, {"drop_rate": 1.0}, {"depth": 2}])
def test_invalid_options_name_themselves(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        pyramidnet.PyramidNet(10, **options)

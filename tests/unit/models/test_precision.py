"""bfloat16 as one setting: what computes in it, and what stays float32."""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxaug import models
from jaxaug.core.errors import UsageError

# Of every family, and the deep ones among the slow tests.
QUICK = ("convnet", "linear", "resnet18", "vit_s_16")
IMAGE = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)


class OwnLinen(nn.Module):
    """A module that knows of no dtype."""

    num_classes: int

    @nn.compact
    def __call__(self, image, train):
        maps = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(6, (3, 3))(image)))
        features = maps.mean((1, 2))
        return features, nn.Dense(self.num_classes, name="head")(features)


class OwnNNX(nnx.Module):
    """Likewise, and it leaves the call of its head to others."""

    def __init__(self, num_classes, rngs):
        self.conv = nnx.Conv(3, 6, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(6, rngs=rngs)
        self.head = nnx.Linear(6, num_classes, rngs=rngs)

    def __call__(self, image):
        return nnx.relu(self.norm(self.conv(image))).mean((1, 2))


OWN = {"OwnLinen": OwnLinen, "OwnNNX": OwnNNX}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    module = type(sys)("own_modules")
    vars(module).update(OWN)
    monkeypatch.setitem(sys.modules, "own_modules", module)


def products(jaxpr):
    """The dtypes of what is multiplied by the convolutions and matrix products of a program."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            yield equation.primitive.name, tuple(x.aval.dtype for x in equation.invars)
        for inner in jax.tree.leaves(equation.params, is_leaf=lambda x: hasattr(x, "eqns") or hasattr(x, "jaxpr")):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


def traced(name, shape):
    """(products, parameters and state before, what the model says, its state after); nothing is computed."""
    model = models.create(name, num_classes=5, precision="bfloat16")
    params, state = jax.eval_shape(lambda key: models.init_model(model, key, shape), jax.random.key(0))

    def apply(params, state, image, key):
        return models.apply_model(model, params, state, image, train=True, key=key)

    image = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    jaxpr, out = jax.make_jaxpr(apply, return_shape=True)(params, state, image, jax.random.key(0))
    return set(products(jaxpr.jaxpr)), (params, state), *out


@pytest.mark.parametrize(
    "name",
    [
        *OWN,
        *(pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in models.list()),
    ],
)
def test_every_model_takes_it(name):
    """Products are bfloat16 but for the head's; parameters, statistics, features and logits are float32."""
    found, before, output, after = traced(f"own_modules.{name}" if name in OWN else name, (64, 64, 3))
    half = {kind for kind, dtypes in found if dtypes == (jnp.bfloat16, jnp.bfloat16)}
    assert bool(half) == (name != "linear")  # whose only layer is the head
    assert not [kind for kind, dtypes in found if kind == "conv_general_dilated" and jnp.float32 in dtypes]
    for leaf in jax.tree.leaves((before, output, after)):
        assert leaf.dtype == jnp.float32
    assert jax.tree.structure(after) == jax.tree.structure(before[1])


@pytest.mark.parametrize("name", OWN)
def test_models_of_ones_own_compute_in_it(name):
    """Near what they say in float32, and not the same."""
    exact, half = (
        models.create(f"own_modules.{name}", num_classes=5, precision=one) for one in ("float32", "bfloat16")
    )
    params, state = jax.jit(lambda: models.init_model(half, jax.random.key(0), IMAGE.shape[1:]))()

    @jax.jit
    def both(params, state):
        return [models.apply_model(one, params, state, IMAGE, train=True) for one in (exact, half)]

    (expected, of_expected), (found, of_found) = both(params, state)
    for one, other in zip(jax.tree.leaves((expected, of_expected)), jax.tree.leaves((found, of_found)), strict=True):
        np.testing.assert_allclose(other, one, atol=0.03)
    assert not np.array_equal(expected.features, found.features)
    np.testing.assert_array_equal(found.kernel, params["head"]["kernel"])


def test_other_precisions_are_refused():
    with pytest.raises(UsageError, match=r"precision must be one of float32, bfloat16, got 'float16'; float16 loses"):
        models.create("convnet", num_classes=2, precision="float16")
    with pytest.raises(UsageError, match=r"got 'half'$"):
        models.create("convnet", num_classes=2, precision="half")

"""Models from outside jaxaug, Linen and NNX: created by a dotted name, started, trained, differentiated twice."""

import functools
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers.settings import double_precision

from jaxaug import models
from jaxaug.core.errors import UsageError
from jaxaug.core.tree import tree_add_scaled, tree_scale

MODULE = '''
import flax.linen as nn
from flax import nnx


class OfLinen(nn.Module):
    num_classes: int
    width: int = 6
    rate: float = 0.5
    use_bias: bool = True

    @nn.compact
    def __call__(self, image, train):
        maps = nn.Conv(self.width, (3, 3))(image)
        maps = nn.relu(nn.BatchNorm(use_running_average=not train)(maps))
        features = nn.Dropout(self.rate, deterministic=not train)(maps.mean((1, 2)))
        return features, nn.Dense(self.num_classes, self.use_bias, name="head")(features)


class LinenFeatures(nn.Module):
    """Features alone, and a head that is never called."""

    num_classes: int

    def setup(self):
        self.body = nn.Dense(6)
        self.head = nn.Dense(self.num_classes)

    def __call__(self, image):
        return nn.relu(self.body(image.reshape(len(image), -1)))


class OfNNX(nnx.Module):
    def __init__(self, num_classes, *, channels=2, width=6, rate=0.5, use_bias=True, rngs):
        self.conv = nnx.Conv(channels, width, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, use_bias=use_bias, rngs=rngs)

    def __call__(self, image):
        maps = nnx.relu(self.norm(self.conv(image)))
        features = self.dropout(maps.mean((1, 2)))
        return features, self.head(features)


class ToldNNX(nnx.Module):
    """Is told about training, has numbered layers, and returns its features alone."""

    def __init__(self, num_classes, rngs):
        self.norm = nnx.BatchNorm(2, rngs=rngs)
        self.layers = nnx.Sequential(nnx.Linear(2, 6, rngs=rngs), nnx.relu, nnx.Linear(6, 6, rngs=rngs))
        self.head = nnx.Linear(6, num_classes, rngs=rngs)

    def __call__(self, image, train):
        return self.layers(self.norm(image, use_running_average=not train).mean((1, 2)))


def nnx_function(num_classes, rngs, width=4):
    return OfNNX(num_classes, width=width, rngs=rngs)


class ZerosNNX(nnx.Module):
    """No random number, no option: it takes num_classes alone."""

    def __init__(self, num_classes):
        zeros = nnx.initializers.zeros_init()
        self.head = nnx.Linear(2, num_classes, kernel_init=zeros, rngs=nnx.Rngs(0))

    def __call__(self, image):
        return image.mean((1, 2))
'''
IMAGE = np.random.default_rng(0).normal(size=(4, 5, 6, 2)).astype(np.float32)
LABEL = np.arange(4) % 3
KEYS = [jax.random.key(seed) for seed in range(3)]
RANDOM = {"OfLinen": {}, "OfNNX": {"rate": 0.4}, "nnx_function": {"width": 6}}
STILL = {"LinenFeatures": {}, "ToldNNX": {}, "ZerosNNX": {}}
OF_TWO = pytest.mark.parametrize("name", ["OfLinen", "OfNNX"])


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_networks.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    sys.modules.pop("own_networks", None)


def start(name, key=KEYS[0], **options):
    """(model, params, model_state) of one of the models above."""
    model = models.create(f"own_networks.{name}", num_classes=3, **options)
    return model, *jax.jit(lambda key: models.init_model(model, key, IMAGE.shape[1:]))(key)


@functools.partial(jax.jit, static_argnums=(0, 5))
def apply(model, params, state, image, key, train):
    return models.apply_model(model, params, state, image, train=train, key=key)


def equal(one, other):
    same = jax.tree.map(np.array_equal, one, other)
    return jax.tree.structure(one) == jax.tree.structure(other) and all(jax.tree.leaves(same))


@pytest.mark.parametrize(("name", "norm"), [("OfLinen", "BatchNorm_0"), ("OfNNX", "norm"), ("ToldNNX", "norm")])
def test_a_frozen_norm_keeps_its_statistics(name, norm):
    """And uses them, so that in training, too, the features are those of an evaluation."""
    model, params, state = start(name, **({} if name == "ToldNNX" else {"rate": 0.0}))
    trained, moved = apply(model, params, state, IMAGE, KEYS[0], True)
    frozen, kept = models.apply_model(model, params, state, IMAGE, train=True, key=KEYS[0], frozen=norm.__eq__)
    assert equal(kept, state)
    assert not equal(moved, state)
    if name != "ToldNNX":
        evaluated, _ = apply(model, params, state, IMAGE, KEYS[0], False)
        np.testing.assert_allclose(frozen.logits, evaluated.logits, atol=1e-6)
        assert not np.allclose(frozen.logits, trained.logits, atol=1e-3)
    _, other = models.apply_model(model, params, state, IMAGE, train=True, key=KEYS[0], frozen="conv".__eq__)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), other, moved)


@pytest.mark.parametrize("name", RANDOM | STILL)
def test_init_is_a_function_of_the_key(name):
    model, params, state = start(name, **(RANDOM | STILL)[name])
    assert equal((params, state), start(name, **(RANDOM | STILL)[name])[1:])
    assert equal(params, start(name, KEYS[1], **(RANDOM | STILL)[name])[1]) == (name == "ZerosNNX")
    assert {type(key) for path, _ in jax.tree.leaves_with_path((params, state)) for key in path[1:]} == {
        jax.tree_util.DictKey
    }
    assert all(isinstance(key.key, str) for path, _ in jax.tree.leaves_with_path(params) for key in path)
    assert params["head"]["kernel"].shape == ((2 if name == "ZerosNNX" else 6), 3)
    shapes = jax.eval_shape(lambda key: models.init_model(model, key, IMAGE.shape[1:]), KEYS[0])
    assert equal(jax.tree.map(jnp.shape, shapes), jax.tree.map(jnp.shape, (params, state)))


@pytest.mark.parametrize("name", RANDOM | STILL)
def test_outputs_statistics_and_randomness(name):
    """Evaluation is deterministic and changes nothing; training changes the statistics and draws from the key."""
    model, params, state = start(name, **(RANDOM | STILL)[name])
    output, after = apply(model, params, state, IMAGE, None, False)
    assert equal(after, state)
    assert equal(output, apply(model, params, state, IMAGE, KEYS[1], False)[0])
    np.testing.assert_allclose(output.features @ output.kernel + output.bias, output.logits, rtol=1e-5, atol=1e-6)
    (once, changed), (again, _), (other, _) = (
        apply(model, params, state, IMAGE, k, True) for k in (*KEYS[:1] * 2, KEYS[1])
    )
    assert equal(once, again)
    assert equal(once, other) == (name not in RANDOM)
    assert jax.tree.structure(changed) == jax.tree.structure(state)
    assert not any(jax.tree.leaves(jax.tree.map(np.array_equal, changed, state)))
    assert bool(state) == (name in RANDOM or name == "ToldNNX")


@OF_TWO
def test_batch_norm_takes_the_batch_in_training_and_its_statistics_otherwise(name):
    """The moving mean goes a hundredth of the way to that of the batch; without dropout nothing else differs."""
    model, params, state = start(name, rate=0.0)
    _, changed = apply(model, params, state, IMAGE, KEYS[0], True)
    mean, old, new = (jax.tree.leaves(x)[0] for x in (state, state, changed))
    assert mean.shape == new.shape
    many = state
    for _ in range(3):
        many = apply(model, params, many, IMAGE, KEYS[0], True)[1]
    steps = [np.abs(jax.tree.leaves(x)[0]).sum() for x in (state, changed, many)]
    assert steps[0] == 0 < steps[1] < steps[2]
    assert not np.array_equal(old, new)
    trained, evaluated = (apply(model, params, state, IMAGE, KEYS[0], train)[0] for train in (True, False))
    assert np.abs(trained.features - evaluated.features).max() > 0.01


@OF_TWO
def test_a_hessian_vector_product_is_that_of_differences(name):
    """jvp of grad, under jit; in training, dropout and BatchNorm included."""
    with double_precision():  # so small a step crosses no kink of a ReLU
        model, *started = start(name)
        params, state = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), started)
        image = jnp.asarray(IMAGE, jnp.float64)
        along = jax.tree.map(lambda p: jnp.sin(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), params)

        def loss(params):
            output = models.apply_model(model, params, state, image, train=True, key=KEYS[2])[0]
            return optax.softmax_cross_entropy_with_integer_labels(output.logits, LABEL).mean()

        @jax.jit
        def both(params):
            ahead, behind = (jax.grad(loss)(tree_add_scaled(params, e, along)) for e in (1e-6, -1e-6))
            product = jax.jvp(jax.grad(loss), (params,), (along,))[1]
            return product, tree_scale(1 / 2e-6, tree_add_scaled(ahead, -1.0, behind))

        product, differences = both(params)
        assert min(np.abs(x).max() for x in jax.tree.leaves(product["head"])) > 0.01
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), product, differences)


@OF_TWO
def test_it_learns_in_a_scan_over_steps(name):
    model, params, state = start(name, rate=0.1)

    def step(carry, key):
        params, state = carry

        def loss(params):
            output, after = models.apply_model(model, params, state, IMAGE, train=True, key=key)
            return optax.softmax_cross_entropy_with_integer_labels(output.logits, LABEL).mean(), after

        (value, state), grads = jax.value_and_grad(loss, has_aux=True)(params)
        return (jax.tree.map(lambda p, g: p - 0.3 * g, params, grads), state), value

    _, values = jax.jit(lambda c, keys: jax.lax.scan(step, c, keys))((params, state), jax.random.split(KEYS[0], 80))
    assert values[-5:].mean() < 0.7 * values[:5].mean()


def test_an_nnx_model_equals_linens_given_the_same_arrays():
    """Convolution, BatchNorm in training and evaluation, and the head: every number, and the statistics after."""
    (of_linen, params, state), (of_nnx, own, own_state) = (start(name, rate=0.0) for name in ("OfLinen", "OfNNX"))
    rng = np.random.default_rng(1)
    params, state = jax.tree.map(lambda x: jnp.asarray(rng.uniform(0.5, 1.5, x.shape), x.dtype), (params, state))
    own = {"conv": params["Conv_0"], "norm": params["BatchNorm_0"], "head": params["head"]}
    own_state = {"norm": state["BatchNorm_0"]}
    for train in (True, False):
        expected, after = apply(of_linen, params, state, IMAGE, KEYS[0], train)
        found, own_after = apply(of_nnx, own, own_state, IMAGE, KEYS[0], train)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)
        close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
        jax.tree.map(close, own_after["norm"], after["BatchNorm_0"])


@OF_TWO
def test_a_head_without_a_bias_has_zeros(name):
    model, params, state = start(name, use_bias=False)
    assert set(params["head"]) == {"kernel"}
    output, _ = apply(model, params, state, IMAGE, None, False)
    assert equal(output.bias, jnp.zeros(3))
    again = models.apply_head(params["head"], output.features)
    np.testing.assert_allclose(again.logits, output.logits, rtol=1e-5, atol=1e-6)


def test_a_model_is_a_value():
    """Equal constructors and options are one static argument of `jit`; an unused one builds nothing."""
    one, other = (models.create("own_networks.OfNNX", num_classes=3, width=8) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != models.create("own_networks.OfNNX", num_classes=3)
    assert repr(one) == "NNXModel(OfNNX, num_classes=3, width=8)"
    own = models.NNXModel(type(one.build()), num_classes=3, width=8)
    assert equal(models.init_model(own, KEYS[0], ()), models.init_model(one, KEYS[0], ()))
    arrays = models.without_norms(models.init_model(one, KEYS[0], ())[0])
    assert {path[0] for path in arrays} == {"conv", "head"}


class _Broken(nn.Module):
    """A Linen model with what is wrong with it for an option."""

    num_classes: int
    wrong: str = ""

    @nn.compact
    def __call__(self, image, train):
        maps = nn.Dense(3)(image)
        features = maps.mean((1, 2))
        logits = nn.Dense(self.num_classes, name="classifier" if self.wrong == "head" else "head")(features)
        if self.wrong == "cache":
            self.variable("cache", "seen", lambda: jnp.zeros(()))
        if self.wrong == "three":
            return features, logits, logits
        if self.wrong == "width":
            return features[:, :2], logits
        return (features, logits[:, :1]) if self.wrong == "logits" else (features, logits)


class _BrokenNNX(nnx.Module):
    def __init__(self, num_classes, *, wrong, rngs):
        self.wrong = wrong
        self.body = nnx.Linear(2, 3, rngs=rngs)
        setattr(self, "classifier" if wrong == "head" else "head", nnx.Linear(3, num_classes, rngs=rngs))

    def __call__(self, image):
        maps = self.body(image)
        return {"features": maps} if self.wrong == "three" else maps[:, 0, 0, :2]


MISTAKES = [
    (_Broken, "head", r"_Broken: its classifier must be a Dense .* named 'head'; .* are: Dense_0, classifier"),
    (
        _Broken,
        "width",
        r"its features must be \[B 3\], what its head takes, or maps of them \[B h w 3\], got shape \(4, 2\)",
    ),
    (_Broken, "three", r"_Broken: its classifier must be .* layer named 'auxiliary_head'"),
    (_Broken, "logits", r"_Broken: its logits must be \[B 5\], got shape \(4, 1\)"),
    (_Broken, "cache", "_Broken: its state must be in 'batch_stats', got cache"),
    (_BrokenNNX, "head", r"_BrokenNNX: its classifier must be .* named 'head'; .* are: body, classifier"),
    (_BrokenNNX, "width", r"its features must be \[B 3\], .* got shape \(4, 2\)"),
    (_BrokenNNX, "three", "it must return .* or features alone, got a dict"),
]


@pytest.mark.parametrize(("kind", "wrong", "message"), MISTAKES)
def test_what_is_wrong_with_a_model_is_told(kind, wrong, message):
    make = models.NNXModel if kind is _BrokenNNX else kind
    model = make(kind, num_classes=5, wrong=wrong) if kind is _BrokenNNX else make(num_classes=5, wrong=wrong)

    def everything(key):
        params, state = models.init_model(model, key, IMAGE.shape[1:])
        return models.apply_model(model, params, state, IMAGE, train=True, key=key)

    with pytest.raises(UsageError, match=message):
        jax.eval_shape(everything, KEYS[0])


def test_training_a_random_nnx_model_needs_a_key():
    model, params, state = start("OfNNX")
    with pytest.raises(UsageError, match=r"OfNNX: it is random in training \(dropout\) and needs a key"):
        models.apply_model(model, params, state, IMAGE, train=True)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("wide_resnett", {}, "unknown model 'wide_resnett': did you mean 'wide_resnet'"),
        ("wide_resnet", {"dept": 10}, "unknown option 'dept' of model 'wide_resnet': did you mean 'depth'"),
        (
            "own_networks.OfNNX",
            {"widht": 3},
            "unknown option 'widht' of model 'own_networks.OfNNX': did you mean 'width'",
        ),
        ("math.sqrt", {}, "model 'math.sqrt' must take num_classes"),
        ("own_networks.num_classes", {}, "unknown model"),
    ],
)
def test_mistakes(name, options, message):
    with pytest.raises(UsageError, match=message):
        models.create(name, num_classes=3, **options)


def test_something_else_is_no_model(monkeypatch):
    monkeypatch.setattr(sys.modules["own_networks"], "seven", lambda num_classes: 7, raising=False)
    with pytest.raises(UsageError, match=r"model 'own_networks.seven' must be a Linen or NNX module, got int"):
        models.create("own_networks.seven", num_classes=3)
    monkeypatch.setattr(sys.modules["own_networks"], "eight", lambda num_classes, rngs: 8, raising=False)
    with pytest.raises(UsageError, match="it must give an NNX module, got int"):
        models.create("own_networks.eight", num_classes=3)

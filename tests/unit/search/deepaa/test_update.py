"""DeepAA's search: its derivative against the definition, its stages against all pairs of branches written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import double_precision, tiny_config
from jax.flatten_util import ravel_pytree

from jaxaug import losses, models
from jaxaug.augment.compose import build_pipeline
from jaxaug.bilevel import gradient_matching
from jaxaug.bilevel.hypergradient import hypergradient
from jaxaug.core.sharding import make_mesh, put_global, replicated
from jaxaug.core.types import Batch
from jaxaug.ops.functional import apply_op
from jaxaug.policies import search_space
from jaxaug.search.deepaa.gradients import BranchDerivative
from jaxaug.search.deepaa.state import Options, begin, learn, learn_all
from jaxaug.tasks import Classification
from jaxaug.train import experiment
from jaxaug.train.experiment import build_experiment
from jaxaug.train.objective import Parts, make_per_example_inputs

ONE_DEVICE = jax.make_mesh((1,), ("data",), devices=jax.devices()[:1], axis_types=(jax.sharding.AxisType.Auto,))


def test_the_derivative_is_that_of_the_cosine():
    """In float64: what `hypergradient` gives with the cosine's direction, and `jax.grad` of the cosine itself."""
    rng = np.random.default_rng(0)
    with double_precision():
        weight, features, label = rng.normal(size=(5, 3)), rng.normal(size=(7, 5)), rng.integers(0, 3, 7)
        trusted, logits = rng.normal(size=(4, 5)), jnp.asarray(rng.normal(size=7))

        def rows(params, features):
            said = jax.nn.log_softmax(jnp.tanh(features @ params["w"]) + params["b"])
            return -said[jnp.arange(len(features)), label[: len(features)]]

        def train(params, p):
            return p @ rows(params, features)

        def val(params):
            return rows(params, trusted).mean()

        def cosine(p):
            one, other = (ravel_pytree(jax.grad(f)(params))[0] for f in (lambda q: train(q, p), val))
            return one @ other / jnp.linalg.norm(one) / jnp.linalg.norm(other)

        params, p = {"w": jnp.asarray(weight), "b": jnp.zeros(3)}, jax.nn.softmax(logits)
        found, report = jax.jit(lambda p: hypergradient(train, val, params, p, gradient_matching.cosine()))(p)
        value, slope = jax.jit(jax.value_and_grad(cosine))(p)
        np.testing.assert_allclose(found, -slope, atol=1e-12)
        np.testing.assert_allclose(report["cosine"], value, atol=1e-6)
        np.testing.assert_allclose(found @ p, 0, atol=1e-12)  # the cosine does not know the length of p


def test_a_gradient_that_vanishes_has_no_direction():
    nothing = {"w": jnp.zeros(3)}
    for pair in ((nothing, {"w": jnp.ones(3)}), ({"w": jnp.ones(3)}, nothing)):
        v, report = gradient_matching.cosine_direction(*pair)
        np.testing.assert_array_equal(v["w"], 0)
        assert report["cosine"] == 0


def config_of(**search):
    """A linear model and a search for two layers with a network that is not trained."""
    config = tiny_config(loss=())
    config.augment.train, config.model, config.data.validation_size = (), {"name": "linear"}, 0.2
    config.search = {"name": "deepaa", "solver": "cosine", "part": (), "num_layers": 2, "updates": 1, "images": 2}
    config.search.update(search)
    return config


def untrained(built, key):
    return jax.jit(built.init)(key).replace(opt_state=())


def rows_of(search):
    """The rows that an update looks at, on the device."""
    return jax.tree.map(jnp.asarray, (search.item_rows, search.validation_rows, search.chosen(0)))


def exact(built, net, state, item, validation):
    """The cosine of one item under a policy of two layers and its derivative in the logits, all pairs written out."""
    search, data = built.search, built.data
    model = models.create(**built.config.model.to_dict(), num_classes=data.num_classes)
    augment = build_pipeline((), mean=data.mean, std=data.std)[0]
    parts = Parts(Classification(), model, augment, losses.chain(), steps_per_epoch=1, epochs=1)
    inputs = make_per_example_inputs(parts, None)
    image, label = search.item_rows.image[item], search.item_rows.label[item]
    names = [search.space.names[i] for i in search.space.op[0, 0]]

    @jax.jit
    def gradient(images):
        count = len(images)
        batch = Batch(images, jnp.full(count, label), jnp.zeros(count, jnp.int32))
        return ravel_pytree(
            jax.grad(lambda params: losses.per_example_loss(inputs(params, net, batch)).mean())(net.params)
        )[0]

    trusted = gradient(search.validation_rows.image[validation])
    pairs = [
        gradient(apply_op(second, apply_op(first, image[None], np.ones(1)), np.ones(1)))
        for first in names
        for second in names
    ]

    def cosine(logits):
        p = jax.nn.softmax(logits)
        found = (p[0][:, None] * p[1]).ravel() @ jnp.stack(pairs)
        return found @ trusted / jnp.linalg.norm(found) / jnp.linalg.norm(trusted)

    return jax.jit(jax.value_and_grad(cosine))(state.logits)


def test_later_layers_and_all_layers_against_every_pair_written_out():
    sizes = {"validation": 8, "copies": 4000, "factor": 4000, "chunk": 2000}
    built = build_experiment(config_of(ops=("FlipVertical", "Flip"), **sizes))
    search, key = built.search, jax.random.key(0)
    net, state = untrained(built, key), search.begin(key)
    logits = np.random.default_rng(0).normal(size=state.logits.shape).astype(np.float32)
    state, chosen = state.replace(logits=jnp.asarray(logits)), search.chosen(0)
    rows = rows_of(search)
    expected = [exact(built, net, state, *pair) for pair in zip(chosen.image, chosen.validation, strict=True)]
    slopes = np.stack([slope for _, slope in expected])
    close = functools.partial(np.testing.assert_allclose, atol=0.08 * np.abs(slopes).max())
    _, cosine, derivative = search.update_functions["all"](state, jnp.asarray(1), net, *rows)
    close(derivative, slopes)
    np.testing.assert_allclose(cosine, np.mean([value for value, _ in expected]), atol=0.005)
    _, _, derivative = search.update_functions["later"](state, jnp.asarray(1), net, *rows)
    p, derivative = jax.nn.softmax(state.logits[1]), derivative.probability
    close(p * (derivative - (derivative @ p)[:, None]), slopes[:, 1])


def test_learned_levels_against_differences():
    """The first layer, whose cosine is exact: its slope in the logits of the levels."""
    sizes = {"num_layers": 1, "validation": 8, "copies": 1, "factor": 1, "identity": 0.0}
    built = build_experiment(config_of(ops=("Brightness", "Rotate"), levels=0, exact=False, **sizes))
    search, key = built.search, jax.random.key(0)
    assert search.space.op.shape[2] == 5  # Identity, both directions of two ops
    net, state, rows = untrained(built, key), search.begin(key), rows_of(search)

    def update(levels):
        return search.update_functions["first"](state.replace(levels=levels), jnp.asarray(0), net, *rows)

    slope = update(state.levels)[2]
    found, step = jax.nn.softmax(state.logits[0]) * slope.level.mean(axis=0), 0.05
    assert found[0] == 0
    for branch in range(1, 5):
        ahead, behind = (update(state.levels.at[0, branch].add(side * step))[1] for side in (1, -1))
        np.testing.assert_allclose(found[branch], (ahead - behind) / (2 * step), rtol=0.1, atol=2e-4)
    after = update(state.levels)[0]
    np.testing.assert_array_equal(np.sign(after.levels - state.levels)[0], np.sign(found))


@pytest.mark.parametrize("stage", ["later", "all"])
def test_two_devices_and_one_agree(stage, monkeypatch):
    config = config_of(ops=("TranslateX", "Invert"), levels=3, validation=8, copies=2, factor=2, chunk=1)
    built = build_experiment(config)
    search, key = built.search, jax.random.key(0)
    net, state, rows = untrained(built, key), search.begin(key), rows_of(search)
    monkeypatch.setattr(experiment, "make_mesh", lambda *_: ONE_DEVICE)
    alone = build_experiment(config).search.update_functions[stage]
    one, two = (update(state, jnp.asarray(1), net, *rows) for update in (alone, search.update_functions[stage]))
    of_one, of_two = (jax.tree.leaves(found[2])[0] for found in (one, two))
    np.testing.assert_allclose(of_one, of_two, atol=1e-5 * np.abs(of_one).max())
    np.testing.assert_allclose(one[1], two[1], atol=1e-6)
    np.testing.assert_allclose(one[0].logits, two[0].logits, atol=1e-4)


def test_all_layers_climb_with_an_adam_of_their_own():
    """Whose first step is that of an untouched state, and whose later ones go on from there."""
    options = Options(num_layers=2, updates=3, images=4)
    space = search_space.make_search_space((8, 8, 1), ("TranslateX", "Invert"), 3, (0.0,))
    begun = begin(jax.random.key(0), options, space)
    rng = np.random.default_rng(0)
    slopes = [jnp.asarray(rng.normal(size=(4, *begun.logits.shape)), jnp.float32) for _ in range(2)]
    state = begun
    for step in range(6):
        slope = BranchDerivative(jnp.asarray(rng.normal(size=(4, begun.logits.shape[1])), jnp.float32))
        state = learn(options, state, jnp.asarray(step // 3), slope)
    untouched = begun.replace(step=state.step, logits=state.logits)
    for slope in slopes:
        state, untouched = (learn_all(options, one, jnp.asarray(1), slope) for one in (state, untouched))
        np.testing.assert_array_equal(state.logits, untouched.logits)


def test_a_search_that_ends_early_stays_on_all_devices():
    """What is replaced in the state lies where it lay: several processes must be able to save it."""
    search = build_experiment(config_of(stop=0.5)).search
    state = put_global(search.begin(jax.random.key(0)).replace(key=()), replicated(make_mesh()))
    ended = search.after(state.replace(step=state.step + 1))
    assert int(ended.layers) == int(ended.greedy) == 1
    assert ended.layers.sharding == state.layers.sharding

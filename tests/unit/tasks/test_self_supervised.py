"""SimSiam and BYOL against their equations in float64, what is a constant in them, and what they refuse."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import losses
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.types import Batch, MetaParams, ModelOutput, Progress, TrainState
from jaxaug.optim.averaging import average
from jaxaug.tasks.self_supervised.base import confidence_of_views, softened
from jaxaug.train.neighbours import neighbours_of, vote

ROWS, SIDE, WIDTH, CLASSES = 6, 2, 5, 3
SIZES = {"projector": (7, 4), "predictor": 9}
KEY = jax.random.key(5)


class Parts:
    """A linear encoder; a view adds noise from its key and hides a part that depends on the row."""

    labelled, chain = 0, losses.chain()

    def augment(self, batch, shared, key, progress, *, train):
        noise_key, key = jax.random.split(key)
        seen = jax.random.uniform(key, (len(batch.index), 1, 1), minval=0.2)
        image = batch.image + 0.3 * jax.random.normal(noise_key, batch.image.shape)
        return batch.replace(image=image, visibility=jnp.broadcast_to(seen, batch.image.shape[:3]))

    def progress(self, step):
        return Progress(jnp.zeros(()), jnp.zeros(()), 10)

    def trained(self, params, model_state, image, key):
        features = image.reshape(len(image), -1) @ params["encoder"]
        head = params["head"]
        output = ModelOutput(features, features @ head["kernel"], head["kernel"], jnp.zeros(CLASSES))
        return output, {"seen": model_state["seen"] + 1.0}


def case(name="simsiam", **options):
    """(task, objective of the parameters alone, parameters, state, batch)."""
    random = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(random.normal(size=shape), jnp.float32)

    task = instantiate("task", {"name": name, **SIZES, **options})
    params = {"encoder": normal(SIDE * SIDE, WIDTH), "head": {"kernel": normal(WIDTH, CLASSES)}}
    params["task"] = jax.jit(task.own_params)(jax.random.key(1), params)
    batch = Batch(normal(ROWS, SIDE, SIDE, 1), jnp.arange(ROWS) % CLASSES, jnp.arange(ROWS, dtype=jnp.int32))
    begun, chain = {"seen": jnp.zeros(())}, Parts.chain.init(CLASSES, WIDTH)
    kept = task.init_state(jax.tree.map(lambda x: 0.9 * x, params), begun)
    state = TrainState(jnp.zeros((), jnp.int32), params, begun, (), chain, MetaParams(), (), KEY, kept)
    objective = task.objective(Parts(), None)
    return task, lambda params, batch: objective(params, MetaParams(), state, batch, KEY), params, state, batch


def views_of(batch):
    keys = [jax.random.split(jax.random.fold_in(KEY, number) if number else KEY)[0] for number in (0, 1)]
    return [Parts().augment(batch, {}, key, None, train=True) for key in keys]


def dense(x, layer):
    return x @ np.float64(layer["kernel"]) + np.float64(layer.get("bias", 0.0))


def norm(x, layer=None):
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
    return x if layer is None else x * np.float64(layer["scale"]) + np.float64(layer["bias"])


def layers(x, params, last):
    """Two layers in float64."""
    x = np.maximum(norm(dense(x, params["Dense_0"]), params["BatchNorm_0"]), 0)
    x = dense(x, params["Dense_1"])
    return norm(x) if last else x


def projected(params, view, normed=True):
    features = np.float64(view.image).reshape(ROWS, -1) @ np.float64(params["encoder"])
    return features, layers(features, params["task"]["projector"], last=normed)


def cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def expected(params, batch, targets=None, softening="none", power=2.0, normed=True):
    """The loss by the equations, in float64."""
    views = views_of(batch)
    found = [projected(params, view, normed) for view in views]
    z = targets or [one[1] for one in found]
    p = [layers(one[1], params["task"]["predictor"], last=False) for one in found]
    alike = np.stack([cosine(p[0], z[1]), cosine(p[1], z[0])])
    seen = [np.float64(view.visibility).mean((1, 2)) for view in views]
    asked = np.prod([1 - (1 - v) ** power for v in seen], axis=0)
    pair = {"none": -alike, "weight": -asked * alike, "target": abs(asked - alike) - 1}[softening]
    logits = found[0][0] @ np.float64(params["head"]["kernel"])
    logits -= np.log(np.exp(logits).sum(1, keepdims=True))
    return pair.mean() - logits[np.arange(ROWS), batch.label].mean()


@pytest.mark.parametrize("softening", ["none", "weight", "target"])
def test_simsiam(softening):
    _, objective, params, _, batch = case(softening=softening, power=3.0)
    loss, aux = jax.jit(objective)(params, batch)
    assert float(loss) == pytest.approx(expected(params, batch, softening=softening, power=3.0), rel=1e-5)
    assert float(aux.model_state["seen"]) == 2.0
    assert 0 < float(aux.sums["spread"][0]) <= 1.01


def test_byol():
    """The targets are projections by the average, which follows with its decay and has statistics of its own; no
    BatchNorm ends the projector."""
    task, objective, params, state, batch = case("byol", decay=0.8)
    kept = state.task_state["params"]
    targets = [projected(kept, view, normed=False)[1] for view in views_of(batch)]
    loss, aux = jax.jit(objective)(params, batch)
    assert float(loss) == pytest.approx(expected(params, batch, targets, normed=False), rel=1e-5)
    assert float(aux.task_state["model_state"]["seen"]) == 2.0
    state = state.replace(step=jnp.asarray(9), task_state=aux.task_state)
    after = task.after_step(state).task_state["params"]
    want = average(kept, params, jnp.asarray(9), 0.8)
    jax.tree.map(np.testing.assert_array_equal, after, want)


def test_targets_are_constants_and_the_probe_pulls_no_feature():
    """The encoder's gradient is that of the equation with fixed targets, by differences in float64, without labels."""
    _, objective, params, _, batch = case()
    none = batch.replace(label=jnp.full(ROWS, -1))
    gradient = jax.jit(jax.grad(lambda params, batch: objective(params, batch)[0]))
    found = gradient(params, batch)
    targets = [projected(params, view)[1] for view in views_of(batch)]
    direction = np.random.default_rng(3).normal(size=params["encoder"].shape)
    step = 1e-6

    def moved(sign):
        moved = {**params, "encoder": np.float64(params["encoder"]) + sign * step * direction}
        fixed = projected(params, views_of(batch)[0])[0] @ np.float64(params["head"]["kernel"])
        free = projected(moved, views_of(batch)[0])[0] @ np.float64(params["head"]["kernel"])
        probe = [
            -(x - np.log(np.exp(x).sum(1, keepdims=True)))[np.arange(ROWS), batch.label].mean() for x in (free, fixed)
        ]
        return expected(moved, batch, targets) - probe[0] + probe[1]

    slope = (moved(1) - moved(-1)) / (2 * step)
    assert float(np.sum(np.float64(found["encoder"]) * direction)) == pytest.approx(slope, rel=1e-4)
    np.testing.assert_allclose(gradient(params, none)["encoder"], found["encoder"], rtol=1e-5, atol=1e-7)
    assert not np.any(gradient(params, none)["head"]["kernel"])


def test_sizes_of_projector_and_predictor():
    """As the paper has them: a BatchNorm without parameters ends the projector, a plain layer the predictor."""
    task = instantiate("task", {"name": "simsiam"})
    shapes = jax.eval_shape(task.own_params, KEY, {"head": {"kernel": jnp.zeros((512, 10))}})
    flat = {
        jax.tree_util.keystr(path, simple=True, separator="/"): x.shape
        for path, x in jax.tree_util.tree_leaves_with_path(shapes)
    }
    norm = {"BatchNorm_0/scale": (2048,), "BatchNorm_0/bias": (2048,)}
    projector = {"Dense_0/kernel": (512, 2048), "Dense_1/kernel": (2048, 2048), **norm}
    norm = {"BatchNorm_0/scale": (512,), "BatchNorm_0/bias": (512,)}
    predictor = {"Dense_0/kernel": (2048, 512), "Dense_1/kernel": (512, 2048), "Dense_1/bias": (2048,), **norm}
    assert flat == {
        **{f"projector/{name}": shape for name, shape in projector.items()},
        **{f"predictor/{name}": shape for name, shape in predictor.items()},
    }


def test_what_is_seen_whole_is_not_softened():
    image = jnp.zeros((2, 4, 4, 1))
    whole = Batch(image, jnp.zeros(2, jnp.int32), jnp.zeros(2, jnp.int32))
    half = whole.replace(visibility=jnp.full((2, 4, 4), 0.5))
    np.testing.assert_array_equal(confidence_of_views(whole, whole, 2.0), 1.0)
    np.testing.assert_allclose(confidence_of_views(whole, half, 2.0), 0.75)
    np.testing.assert_allclose(confidence_of_views(half, half, 2.0), 0.75**2)
    alike = jnp.linspace(-1, 1, 6).reshape(2, 3)
    for softening in ("weight", "target"):
        np.testing.assert_allclose(
            softened(alike, jnp.ones(3), softening), softened(alike, jnp.ones(3), "none"), atol=1e-6
        )
    rise = jax.grad(lambda x: softened(x, jnp.asarray(0.6), "target"))
    assert [float(rise(x)) for x in (0.5, 0.7)] == [-1.0, 1.0]


def test_neighbours_vote():
    """Against loops in NumPy; rows without a label do not vote."""
    random = np.random.default_rng(0)
    bank, features = random.normal(size=(40, 5)), random.normal(size=(9, 5))
    bank, features = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, features))
    labels = random.integers(-1, CLASSES, 40)
    said = vote(*map(jnp.asarray, (features, bank, labels)), CLASSES, neighbours=7, temperature=0.2)
    for row, found in zip(features, said, strict=True):
        alike = np.where(labels >= 0, bank @ row, -np.inf)
        score = np.zeros(CLASSES)
        for place in np.argsort(-alike)[:7]:
            score[labels[place]] += np.exp(alike[place] / 0.2)
        assert int(found) == score.argmax()
    everybody = vote(*map(jnp.asarray, (bank, bank, labels)), CLASSES, neighbours=1000, temperature=0.001)
    np.testing.assert_array_equal(np.asarray(everybody)[labels >= 0], labels[labels >= 0])


def test_where_no_row_could_vote():
    """There is no monitor then, rather than one that always says the first class."""
    rows = SimpleNamespace(train=SimpleNamespace(label=np.full(4, -1)))
    assert (
        neighbours_of(SimpleNamespace(task=instantiate("task", {"name": "simsiam", "neighbours": 3}), data=rows))
        is None
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"softening": "soft"}, "softening must be one of"),
        ({"projector": ()}, "projector needs a width or more"),
        ({"predictor": 0}, "all of them at least 1"),
        ({"power": 0.0}, "power and temperature must be above 0"),
        ({"neighbours": -1}, "neighbours must be at least 0"),
        ({"name": "byol", "decay": 1.0}, r"decay must be in \[0, 1\)"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UsageError, match=message):
        instantiate("task", {"name": "simsiam", **SIZES, **options})

"""The loss of every method against its paper's equation in float64, what it keeps, and what it refuses."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import data, losses
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate
from jaxaug.core.types import Batch, MetaParams, ModelOutput, Progress, TrainState
from jaxaug.optim.averaging import average
from jaxaug.tasks.base import Aux
from jaxaug.tasks.semi_supervised.base import joined, once, ramp_up

LABELLED, ROWS, SIDE, CLASSES = 3, 7, 2, 4
NOISE = {"weak": 0.1, "strong": 1.0}
KEY = jax.random.key(5)
METHODS = ("pi_model", "temporal_ensembling", "mean_teacher", "vat", "fixmatch", "flexmatch")


class Parts:
    """A linear network; a view adds noise from its key."""

    labelled = LABELLED

    def __init__(self, chain=None, hide=False):
        self.chain, self.hide = chain or losses.chain(), hide

    def augment(self, batch, shared, key, progress, *, train, strength=NOISE["weak"]):
        return batch.replace(image=batch.image + strength * jax.random.normal(key, batch.image.shape))

    def strong(self, batch, shared, key, progress, *, train):
        visibility = jnp.full(batch.image.shape[:3], 0.5) if self.hide else None
        return self.augment(batch, shared, key, progress, train=train, strength=NOISE["strong"]).replace(
            visibility=visibility
        )

    def progress(self, step):
        return Progress(jnp.asarray(0.25), jnp.asarray(0.2), 10)

    def trained(self, params, model_state, image, key):
        features = image.reshape(len(image), -1)
        output = ModelOutput(features, features @ params["kernel"] + params["bias"], params["kernel"], params["bias"])
        return output, {"seen": model_state["seen"] + len(image)}


def case(name, chain=None, hide=False, rows=ROWS, **options):
    """(task, objective, params, state, batch) of random numbers."""
    random = np.random.default_rng(0)
    kernel = random.normal(size=(SIDE * SIDE, CLASSES))
    params = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(random.normal(size=CLASSES), jnp.float32)}
    label = np.where(np.arange(rows) < LABELLED, np.arange(rows) % CLASSES, -1).astype(np.int32)
    image = jnp.asarray(random.normal(size=(rows, SIDE, SIDE, 1)), jnp.float32)
    batch = Batch(image, jnp.asarray(label), jnp.arange(rows, dtype=jnp.int32))
    task = instantiate("task", {"name": name, **options})
    task.rows, task._all, task.num_classes = np.arange(LABELLED, rows), np.arange(rows), CLASSES
    parts = Parts(chain, hide)
    statistics = parts.chain.init(CLASSES, SIDE * SIDE)
    begun, state = {"seen": jnp.zeros(())}, task.init_state(params, {"seen": jnp.zeros(())})
    state = TrainState(jnp.zeros((), jnp.int32), params, begun, (), statistics, MetaParams(), (), KEY, state)
    plain = lambda *_: ("plain", Aux({"seen": 7.0}, (), {}, state.task_state))  # noqa: E731
    return task, task.objective(parts, plain), params, state, batch


def logits_of(params, image, number=0, strength=NOISE["weak"]):
    """Logits in float64 of the view with this number."""
    key = jax.random.split(jax.random.fold_in(KEY, number) if number else KEY)[0]
    noisy = np.asarray(image, np.float64) + strength * np.asarray(jax.random.normal(key, image.shape), np.float64)
    return noisy.reshape(len(image), -1) @ np.float64(params["kernel"]) + np.float64(params["bias"])


def softmax(logits):
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def nll(logits, label):
    return -np.log(softmax(logits)[np.arange(len(label)), label])


def supervised(params, batch):
    return nll(logits_of(params, batch.image)[:LABELLED], np.asarray(batch.label[:LABELLED])).sum()


THRESHOLD = 0.7
RAMP = np.exp(-5 * (1 - 2 / 8) ** 2)  # of 8 epochs after 2 of 10


def test_pi_model():
    _, objective, params, state, batch = case("pi_model", weight=10.0, ramp_up=8.0)
    z, other = (softmax(logits_of(params, batch.image, number)) for number in (0, 1))
    expected = supervised(params, batch) / ROWS + 10 * RAMP * ((z - other) ** 2).sum() / (CLASSES * ROWS)
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert aux.sums["top1"][1] == LABELLED
    gradient = jax.grad(lambda p: objective(p, MetaParams(), state, batch, KEY)[0])(params)
    assert np.isfinite(gradient["kernel"]).all()


def test_consistency_of_augmented_features():
    """The Pi-model's loss and, by the statistics that the chain has after the step, ISDA's bound on unlabelled rows."""
    chain = losses.chain(losses.isda(strength=0.5, schedule="step"))
    options = {"weight": 10.0, "ramp_up": 8.0}
    _, without, params, state, batch = case("pi_model", chain, **options)
    _, objective, *_ = case("pi_model", chain, isda_weight=3.0, isda_strength=0.8, **options)
    seen = state.loss_state["isda"]
    known = seen.replace(count=seen.count + 100, covariance=seen.covariance + 0.3 * jnp.eye(SIDE * SIDE))
    state = state.replace(loss_state={**state.loss_state, "isda": known})
    plain, aux = without(params, MetaParams(), state, batch, KEY)
    loss, _ = objective(params, MetaParams(), state, batch, KEY)
    logits = jnp.asarray(logits_of(params, batch.image)[LABELLED:], jnp.float32)
    bound = losses.isda_consistency(aux.loss_state["isda"], logits, params["kernel"], 0.8 * 0.25)
    assert float(loss - plain) == pytest.approx(3 * float(bound.mean()), rel=1e-4)
    _, objective, *_, state, batch = case("pi_model", isda_weight=3.0)
    with pytest.raises(UsageError, match="isda_weight needs the statistics of ISDA: add 'isda' to the losses"):
        objective(params, MetaParams(), state, batch, KEY)


def test_temporal_ensembling():
    """Two looks: nothing is asked of a row that was never seen; then the target is the unbiased average."""
    _, objective, params, state, batch = case("temporal_ensembling", weight=10.0, ramp_up=8.0, momentum=0.6)
    z = softmax(logits_of(params, batch.image))
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert float(loss) == pytest.approx(supervised(params, batch) / ROWS, rel=1e-5)
    store = aux.task_state["per_example"]
    np.testing.assert_allclose(store["sum"][:ROWS], 0.4 * z, atol=1e-6)
    assert store["seen"][:ROWS].tolist() == [1] * ROWS
    assert not store["seen"][ROWS:].any()
    average_of_two = 0.6 * 0.4 * z + 0.4 * z[::-1]
    state = state.replace(task_state={"per_example": {**store, "sum": store["sum"].at[:ROWS].set(average_of_two)}})
    target = average_of_two / (1 - 0.6)
    expected = supervised(params, batch) / ROWS + 10 * RAMP * ((z - target) ** 2).sum() / (CLASSES * ROWS)
    assert float(objective(params, MetaParams(), state, batch, KEY)[0]) == pytest.approx(expected, rel=1e-5)


def test_mean_teacher():
    task, objective, params, state, batch = case("mean_teacher", weight=10.0, ramp_up=8.0, ramp_by="step", decay=0.9)
    teacher = jax.tree.map(lambda x: -x, params)
    state = state.replace(task_state={**state.task_state, "params": teacher})
    z, target = softmax(logits_of(params, batch.image)), softmax(logits_of(teacher, batch.image, 1))
    ramp = np.exp(-5 * (1 - 2.5 / 8) ** 2)
    expected = supervised(params, batch) / ROWS + 10 * ramp * ((z - target) ** 2).sum() / (CLASSES * ROWS)
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert aux.task_state["model_state"]["seen"] == ROWS
    after = task.after_step(state.replace(step=jnp.asarray(100), task_state=aux.task_state))
    np.testing.assert_allclose(task.network(after)[0]["bias"], 0.9 * teacher["bias"] + 0.1 * params["bias"], rtol=1e-6)
    assert float(average(jnp.zeros(()), jnp.ones(()), jnp.asarray(1), 0.9)) == 0.5  # the beginning is forgotten


def test_virtual_adversarial_training():
    """For a linear network the Hessian of the divergence is W (diag p - p p^T) W^T."""
    _, objective, params, state, batch = case("vat", epsilon=0.5, entropy=0.3)
    logits, kernel = logits_of(params, batch.image), np.float64(params["kernel"])
    p = softmax(logits)
    key = jax.random.split(jax.random.fold_in(KEY, 1))[0]
    d = np.float64(jax.random.normal(key, batch.image.shape)).reshape(ROWS, -1)
    for row in range(ROWS):
        direction = kernel @ (np.diag(p[row]) - np.outer(p[row], p[row])) @ kernel.T @ d[row]
        d[row] = 0.5 * direction / np.linalg.norm(direction)
    q = softmax(logits + d @ kernel)
    divergence, entropy = (p * np.log(p / q)).sum(1).mean(), -(p * np.log(p)).sum(1).mean()
    expected = supervised(params, batch) / LABELLED + divergence + 0.3 * entropy
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert aux.model_state["seen"] == ROWS


def weak_and_strong(params, batch):
    """(logits of all weak views, of the strong views of unlabelled rows)."""
    return logits_of(params, batch.image), logits_of(params, batch.image[LABELLED:], 1, NOISE["strong"])


def test_fixmatch():
    _, objective, params, state, batch = case("fixmatch", threshold=0.7, weight=2.0)
    weak, strong = weak_and_strong(params, batch)
    q = softmax(weak[LABELLED:])
    mask = q.max(1) >= 0.7
    assert 0 < mask.sum() < len(mask)
    of_pseudo = (mask * nll(strong, q.argmax(1))).sum() / len(mask)
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert float(loss) == pytest.approx(supervised(params, batch) / LABELLED + 2 * of_pseudo, rel=1e-5)
    assert [float(x) for x in aux.sums["pseudo_labelled"]] == [mask.sum(), len(mask)]


def test_flexmatch():
    """A class that few rows were surely given has a lower threshold; the last sure pseudo-label is kept."""
    task, objective, params, state, batch = case("flexmatch", threshold=THRESHOLD)
    weak, strong = weak_and_strong(params, batch)
    q = softmax(weak[LABELLED:])
    label = q.argmax(1)
    kept = np.array([3 - label[0], 3 - label[0], label[0], -1])
    store = state.task_state["per_example"]
    state = state.replace(
        task_state={**state.task_state, "per_example": {**store, "label": store["label"].at[:4].set(kept)}}
    )
    counts = np.bincount(kept[kept >= 0], minlength=CLASSES)
    beta = counts / max(counts.max(), len(kept) - counts.sum())
    np.testing.assert_allclose(task.learned(state.task_state), beta)
    mask = q.max(1) >= THRESHOLD * (beta / (2 - beta))[label]
    assert mask.sum() > (q.max(1) >= THRESHOLD).sum() > 0
    of_pseudo = (mask * nll(strong, label)).sum() / len(mask)
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert float(loss) == pytest.approx(supervised(params, batch) / LABELLED + of_pseudo, rel=1e-5)
    after = np.where(q.max(1) >= THRESHOLD, label, kept)
    assert aux.task_state["per_example"]["label"][: len(after)].tolist() == after.tolist()
    assert (aux.task_state["per_example"]["label"][len(after) :] == -1).all()


def test_what_a_strong_view_hides_softens_pseudo_labels():
    """soft_targets keeps a confidence of 1 - (1 - 1/K) / 2 for half an image, on unlabelled rows alone."""
    chain = losses.create({"name": "soft_targets", "power": 1.0, "weight": "none"})
    _, objective, params, state, batch = case("fixmatch", chain, hide=True, threshold=0.0)
    weak, strong = weak_and_strong(params, batch)
    p = 1 - (1 - 1 / CLASSES) * 0.5
    targets = np.full((ROWS - LABELLED, CLASSES), (1 - p) / (CLASSES - 1))
    targets[np.arange(len(targets)), softmax(weak[LABELLED:]).argmax(1)] = p
    of_pseudo = -(targets * np.log(softmax(strong))).sum(1).mean()
    loss = objective(params, MetaParams(), state, batch, KEY)[0]
    assert float(loss) == pytest.approx(supervised(params, batch) / LABELLED + of_pseudo, rel=1e-5)


@pytest.mark.parametrize(("pseudo_weight", "counted"), [(0.0, LABELLED), (0.5, ROWS)])
def test_isda_sees_labelled_rows_and_pseudo_labelled_ones_where_they_weigh(pseudo_weight, counted):
    chain = losses.create({"name": "isda", "strength": 0.5, "schedule": "constant"})
    _, objective, params, state, batch = case("mean_teacher", chain, pseudo_weight=pseudo_weight)
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert float(aux.loss_state["isda"].count.sum()) == counted
    without = case("mean_teacher", pseudo_weight=pseudo_weight)
    assert float(loss) >= float(without[1](params, MetaParams(), without[3], batch, KEY)[0])


@pytest.mark.parametrize("name", METHODS)
def test_without_unlabelled_rows_the_objective_is_that_of_classification(name):
    _, objective, params, state, batch = case(name, rows=LABELLED)
    loss, aux = objective(params, MetaParams(), state, batch, KEY)
    assert loss == "plain"
    # A teacher that sees nothing has the statistics of the network that is trained.
    kept = aux.task_state.get("model_state", aux.model_state)
    assert kept == aux.model_state == {"seen": 7.0}


def test_a_row_is_written_once():
    """At its first place in the batch; the others are nowhere."""
    assert once(jnp.array([4, 1, 4, 4, 0, 1]), 9).tolist() == [4, 1, 9, 9, 0, 9]


def test_ramp_up():
    progress = Progress(jnp.asarray(0.25), jnp.asarray(0.2), 10)
    assert float(ramp_up(progress, 0.0, "epoch")) == 1.0
    assert float(ramp_up(progress, 2.0, "epoch")) == 1.0
    assert float(ramp_up(progress, 5.0, "step")) == pytest.approx(np.exp(-1.25))


def test_joined_fills_visibility():
    first = case("vat")[-1]
    both = joined(first, first.replace(visibility=jnp.zeros(first.image.shape[:3])))
    assert both.visible_fraction.tolist() == [1.0] * ROWS + [0.0] * ROWS


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unlabelled_batch_size": 0}, "unlabelled_batch_size must be at least 1"),
        ({"epoch_of": "both"}, "epoch_of must be one of"),
        ({"weight": -1.0}, "weight must be at least 0"),
    ],
)
def test_options(name, options, message):
    with pytest.raises(UsageError, match=message):
        instantiate("task", {"name": name, **options})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pi_model", {"ramp_by": "day"}, "ramp_by must be one of"),
        ("pi_model", {"supervised_over": "day"}, "supervised_over must be one of"),
        ("temporal_ensembling", {"momentum": 1.0}, "momentum must be in"),
        ("mean_teacher", {"decay": 1.0}, "decay must be in"),
        ("vat", {"epsilon": 0.0}, "epsilon must be above 0"),
        ("vat", {"iterations": 0}, "iterations must be at least 1"),
        ("vat", {"entropy": -1.0}, "entropy must be at least 0"),
        ("fixmatch", {"threshold": 2.0}, "threshold must be in"),
    ],
)
def test_options_of_its_own(name, options, message):
    with pytest.raises(UsageError, match=message):
        instantiate("task", {"name": name, **options})


def test_labels_that_are_too_few():
    image = np.zeros((6, 2, 2, 1), np.uint8)

    def of(label):
        rows = (image, np.array(label))
        names = ("a", "b", "c")
        return data.assemble("mine", rows, (image[:3], np.arange(3)), num_classes=3, class_names=names)

    task = instantiate("task", "pi_model")
    with pytest.raises(UsageError, match="mine: 2 labels are fewer than the 3 classes"):
        task.check(of([0, 1, -1, -1, -1, -1]))
    with pytest.raises(UsageError, match="mine: class 'c' has no labelled training row: label one"):
        task.check(of([0, 1, 1, -1, -1, -1]))
    task.check(of([0, 1, 2, -1, -1, -1]))
    assert task.rows.tolist() == [3, 4, 5]
    with pytest.raises(UsageError, match="classification: 3 training rows of mine have no label"):
        instantiate("task", "classification").check(of([0, 1, 2, -1, -1, -1]))
    maps = types.SimpleNamespace(name="maps", train=types.SimpleNamespace(label=np.zeros((1, 2, 2), np.int32)))
    with pytest.raises(UsageError, match="maps has label maps"):
        task.check(maps)

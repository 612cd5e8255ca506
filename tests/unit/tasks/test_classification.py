"""Metrics against plain NumPy, and that parts of a set add up to the whole."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import GOLDEN

from jaxaug import data
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import instantiate, list_names
from jaxaug.core.totals import NEVER, totals_of
from jaxaug.core.types import Batch, ModelOutput, Progress
from jaxaug.tasks import Classification

TASK = Classification()


def case(logits, labels):
    """(output, batch) of these logits and labels; nothing else of them counts."""
    rows, classes = logits.shape
    output = ModelOutput(jnp.zeros((rows, 1)), jnp.asarray(logits), jnp.zeros((1, classes)), jnp.zeros(classes))
    return output, Batch(jnp.zeros((rows, 1, 1, 1)), jnp.asarray(labels, jnp.int32), jnp.arange(rows))


sums_of = jax.jit(lambda output, batch: totals_of(TASK.eval_sums(output, batch)))


def evaluated(logits, labels):
    return sums_of(*case(logits, labels))


def numpy_metrics(logits, labels):
    logits = logits.astype(np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    right = p.argmax(1) == labels
    confidence = p.max(1)
    ece = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1)
        if inside.any():
            ece += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    top5 = np.mean([label in np.argsort(-row)[:5] for row, label in zip(p, labels, strict=True)])
    return {"top1": right.mean(), "top5": top5, "nll": -np.log(p[np.arange(len(p)), labels]).mean(), "ece": ece}


@pytest.mark.parametrize("classes", [3, 12])
def test_against_numpy(classes):
    rng = np.random.default_rng(classes)
    logits = (3 * rng.normal(size=(200, classes))).astype(np.float32)
    labels = rng.integers(0, classes, 200)
    whole = TASK.summarize(evaluated(logits, labels))
    for name, value in numpy_metrics(logits, labels).items():
        assert whole[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    # Two uneven parts, the second padded with rows that must not count.
    padded = np.concatenate([logits[130:], np.full((60, classes), np.nan, np.float32)])
    padded_labels = np.concatenate([labels[130:], -np.ones(60, int)])
    parts = evaluated(logits[:130], labels[:130]) + evaluated(jnp.nan_to_num(jnp.asarray(padded)), padded_labels)
    assert TASK.summarize(parts) == pytest.approx(whole, rel=1e-5)


def test_certain_and_right_is_calibrated():
    """Confidence 1 falls in the last bin, rounding above 1 or not."""
    logits = jnp.zeros((4, 3)).at[:, 1].set(1000.0)
    found = TASK.summarize(evaluated(logits, np.ones(4, np.int32)))
    assert found["ece"] == 0
    assert found["top1"] == 1


@pytest.mark.parametrize("classes", [10, 100])
def test_calibration_is_that_of_the_reference(classes):
    """Soft Augmentation's ECE, and its bins, from its own code; float32 sums."""
    with np.load(GOLDEN / "soft_augmentation.npz") as golden:
        logits, labels, value, confidences, accuracies, counts = (
            golden[f"ece_C{classes}_{name}"] for name in ("logits", "labels", "value", "confs", "accs", "counts")
        )
    totals = evaluated(logits, labels)
    reliability = TASK.diagrams(totals)["reliability"]
    assert TASK.summarize(totals)["ece"] == pytest.approx(float(value), abs=2e-6)
    # The reference has one bin more, of confidences up to 0, which is always empty.
    for name, expected in {"confidence": confidences, "accuracy": accuracies, "share": counts / counts.sum()}.items():
        np.testing.assert_allclose(reliability[name], expected[1:], rtol=0, atol=2e-6, err_msg=name)


def test_first_bad_step():
    sums = TASK.train_sums(*case(np.zeros((2, 3)), np.array([0, -1])))
    steps = [
        totals_of({"loss": (jnp.asarray(loss), jnp.ones(())), **sums}, jnp.isfinite(loss), jnp.asarray(i))
        for i, loss in enumerate((1.0, np.nan, np.inf))
    ]
    assert int((steps[0] + steps[1] + steps[2]).first_bad) == 1
    assert int(steps[0].first_bad) == NEVER
    assert TASK.summarize(steps[0]) == {"loss": 1.0, "top1": 1.0}


def test_the_loss_begins_with_one_hot_targets():
    output, batch = case(np.zeros((3, 4)), np.array([2, -1, 0]))
    inputs = TASK.loss_inputs(output, batch, {}, Progress(jnp.zeros(()), jnp.zeros(())))
    np.testing.assert_array_equal(inputs.targets, np.eye(4)[[2, 0, 0]] * np.array([[1], [0], [1]]))
    np.testing.assert_array_equal(inputs.weight, [1, 0, 1])


def test_the_largest_logit_is_the_prediction():
    output, _ = case(np.array([[0.0, 2.0, 1.0], [3.0, -1.0, 0.0]]), np.zeros(2))
    assert TASK.predict(output).tolist() == [1, 0]
    assert TASK.predict(output).dtype == jnp.int32


def test_the_metrics_that_are_shown_the_main_one_first():
    found = TASK.summarize(evaluated(np.zeros((2, 3), np.float32), np.zeros(2)))
    assert [one.metric for one in TASK.shown_metrics] == ["top1", "top5", "nll", "ece"]
    assert TASK.shown_metrics[0].metric == TASK.metric
    assert found.keys() == {one.metric for one in TASK.shown_metrics}


def test_it_is_chosen_by_name_and_refuses_label_maps():
    assert "classification" in list_names("task")
    task = instantiate("task", "classification")
    for shape in ((), (2, 2)):
        train = data.Split(np.zeros((4, 2, 2, 1), np.uint8), np.zeros((4, *shape), np.int32), np.arange(4))
        found = types.SimpleNamespace(name="maps", train=train)
        if shape:
            with pytest.raises(UsageError, match="classification: maps has label maps"):
                task.check(found)
        else:
            task.check(found)

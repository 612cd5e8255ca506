"""Metrics against plain NumPy, and that parts of a set add up to the whole."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.settings import GOLDEN

from jaxaug.train import metrics


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
    whole = metrics.summary(metrics.evaluation_totals(jnp.asarray(logits), jnp.asarray(labels)))
    for name, value in numpy_metrics(logits, labels).items():
        assert whole[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    # Two uneven parts, the second padded with rows that must not count.
    padded = np.concatenate([logits[130:], np.full((60, classes), np.nan, np.float32)])
    padded_labels = np.concatenate([labels[130:], -np.ones(60, int)])
    parts = metrics.evaluation_totals(jnp.asarray(logits[:130]), jnp.asarray(labels[:130])) + metrics.evaluation_totals(
        jnp.nan_to_num(jnp.asarray(padded)), jnp.asarray(padded_labels)
    )
    assert metrics.summary(parts) == pytest.approx(whole, rel=1e-5)


def test_certain_and_right_is_calibrated():
    """Confidence 1 falls in the last bin, rounding above 1 or not."""
    logits = jnp.zeros((4, 3)).at[:, 1].set(1000.0)
    found = metrics.summary(metrics.evaluation_totals(logits, jnp.ones(4, jnp.int32)))
    assert found["ece"] == 0
    assert found["top1"] == 1


@pytest.mark.parametrize("classes", [10, 100])
def test_calibration_is_that_of_the_reference(classes):
    """Soft Augmentation's ECE, and its bins, from its own code; float32 sums."""
    with np.load(GOLDEN / "soft_augmentation.npz") as golden:
        logits, labels, value, confidences, accuracies, counts = (
            golden[f"ece_C{classes}_{name}"] for name in ("logits", "labels", "value", "confs", "accs", "counts")
        )
    totals = metrics.evaluation_totals(jnp.asarray(logits), jnp.asarray(labels))
    assert metrics.summary(totals)["ece"] == pytest.approx(float(value), abs=2e-6)
    # The reference has one bin more, of confidences up to 0, which is always empty.
    for name, expected in {"confidence": confidences, "accuracy": accuracies, "share": counts / counts.sum()}.items():
        np.testing.assert_allclose(metrics.reliability(totals)[name], expected[1:], rtol=0, atol=2e-6, err_msg=name)


def test_first_bad_step():
    logits, labels = jnp.zeros((2, 3)), jnp.asarray([0, -1])
    steps = [
        metrics.training_totals(jnp.asarray(x), logits, labels, jnp.asarray(i))
        for i, x in enumerate((1.0, np.nan, np.inf))
    ]
    assert int((steps[0] + steps[1] + steps[2]).first_bad) == 1
    assert int(steps[0].first_bad) == metrics.NEVER
    assert metrics.summary(steps[0]) == {"loss": 1.0, "top1": 1.0}

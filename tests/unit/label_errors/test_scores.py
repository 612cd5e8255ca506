"""Scores of labels from plain arrays of any library, and what is refused."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxaug import label_errors
from jaxaug.core.errors import UsageError

LABELS = np.array([0, 1, 2, 0])
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.9, 0.0, 0.1], [0.0, 0.3, 0.7], [0.25, 0.5, 0.25]])


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_find(dtype):
    """1 - the probability of the given label; equal rows in their order; classes the model takes for likely."""
    host = PROBABILITIES.astype(jnp.dtype(dtype))
    for probabilities in (host, jnp.asarray(host)):
        issues = label_errors.find(jnp.asarray(LABELS), probabilities)
        np.testing.assert_allclose(issues.score, [0.3, 1.0, 0.3, 0.75], atol=4e-3)
        assert issues.score.dtype == np.float64
        np.testing.assert_array_equal(issues.ranking, [1, 3, 0, 2])
        np.testing.assert_array_equal(issues.suggested, [0, 0, 2, 1])
        assert issues.suggested.dtype == np.int32


def test_both_scores_give_one_order():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.3] * 5, 200)
    labels = random.integers(0, 5, 200)
    issues = label_errors.find(labels, probabilities)
    logs = label_errors.given_label_loss(probabilities[np.arange(200), labels])
    np.testing.assert_array_equal(issues.ranking, np.argsort(-logs, kind="stable"))
    assert ((issues.score >= 0) & (issues.score <= 1)).all()
    np.testing.assert_allclose(label_errors.given_label_loss([1.0, 0.25, 0.0]), [0, np.log(4), 87.3365], rtol=1e-5)


def test_known_errors_are_found():
    """Of 300 confident rows 30 have another label than the model's: they come first."""
    truth = np.arange(300) % 3
    probabilities = np.full((300, 3), 0.05) + 0.85 * np.eye(3)[truth]
    wrong = np.zeros(300, bool)
    wrong[np.random.default_rng(1).choice(300, 30, replace=False)] = True
    issues = label_errors.find(np.where(wrong, (truth + 1) % 3, truth), probabilities)
    assert label_errors.precision(issues.ranking, wrong, 10) == {"precision": 1.0, "recall": 1.0}
    np.testing.assert_array_equal(issues.suggested, truth)
    assert label_errors.precision(issues.ranking[::-1], wrong, 10)["precision"] == 0


@pytest.mark.parametrize(
    ("labels", "probabilities", "told"),
    [
        (LABELS[:3], PROBABILITIES, r"got int64\[3\] in 0\.\.2 and float64\[4, 3\] in 0\.0\.\.0\.9"),
        (LABELS[None], PROBABILITIES, r"int64\[1, 4\]"),
        (LABELS, PROBABILITIES[0], r"float64\[3\]"),
        (LABELS / 1, PROBABILITIES, r"float64\[4\] in"),
        (LABELS, np.ones((4, 3), int), r"int64\[4, 3\]"),
        (LABELS - 1, PROBABILITIES, r"in -1\.\.1"),
        (LABELS + 1, PROBABILITIES, r"in 1\.\.3"),
        (LABELS, np.log(PROBABILITIES + 1e-3), r"in -6\."),
        (LABELS, np.where(PROBABILITIES > 0.8, np.nan, PROBABILITIES), r"in nan\.\.nan"),
        (["a"] * 4, PROBABILITIES, r"<U1\[4\] and"),
    ],
)
def test_mistakes(labels, probabilities, told):
    with pytest.raises(UsageError, match=r"find: labels must be integers \[N\] in 0\.\.K-1 and .*" + told):
        label_errors.find(labels, probabilities)


def test_finding_needs_no_jax():
    code = "import sys, jaxaug.label_errors as e; e.find([0], [[0.5, 0.5]]); sys.exit(str('jax' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "False"


def test_the_face():
    assert dir(label_errors) == sorted(label_errors.__all__)
    assert all(getattr(label_errors, name).__doc__ for name in label_errors.__all__)
    with pytest.raises(AttributeError, match="no attribute 'distrust'"):
        _ = label_errors.distrust

"""The confident joint: by hand, against cleanlab where it is installed, and what is estimated from it."""

import numpy as np
import pytest

from jaxaug import label_errors
from jaxaug.core.errors import UsageError
from jaxaug.label_errors.confident import balanced, class_table, confident_joint, estimated_errors


def noisy(rows, classes, share, seed=0):
    """(given, true, probabilities) of a model that knows the truth, more or less."""
    random = np.random.default_rng(seed)
    true = random.integers(0, classes, rows)
    given = np.where(random.random(rows) < share, random.integers(0, classes, rows), true)
    return given, true, random.dirichlet([0.4] * classes, rows) * 0.5 + 0.5 * np.eye(classes)[true]


def test_by_hand():
    """The thresholds are 0.483 and 0.7: of class 0 two rows are sure of 0 and one of 1, of class 1 one of each."""
    said = np.array([[0.1, 0.9], [0.8, 0.2], [0.55, 0.45], [0.1, 0.9], [0.5, 0.5]])
    joint = confident_joint([0, 0, 0, 1, 1], said)
    np.testing.assert_allclose(joint, [[2 / 5, 1 / 5], [1 / 5, 1 / 5]])
    assert estimated_errors(joint, 5) == 2
    table = class_table(joint, 5)
    np.testing.assert_array_equal(table["given"], [3, 2])
    np.testing.assert_allclose(table["wrong"], [1, 1])
    np.testing.assert_allclose(table["missing"], [1, 1])
    np.testing.assert_array_equal(table["most_often"], [1, 0])


def test_the_number_of_errors_is_near():
    given, true, said = noisy(4000, 5, 0.2)
    issues = label_errors.find(given, said)
    assert issues.errors == pytest.approx((given != true).sum(), rel=0.1)
    assert issues.joint.sum() == pytest.approx(1)


def test_a_class_without_rows():
    joint = confident_joint([0, 0, 2], np.eye(3)[[0, 0, 2]])
    np.testing.assert_allclose(joint, np.diag([2 / 3, 0, 1 / 3]))
    assert class_table(joint, 3)["wrong_share"].tolist() == [0, 0, 0]


def test_classes_of_a_few_rows():
    """Of one with two rows the threshold is whatever a model says of these; prior rows let nothing be drawn into it."""
    given, true, said = noisy(2000, 5, 0.1)
    keep = np.flatnonzero((true != 4) & (given != 4))
    given, said = np.append(given[keep], [4, 4]), np.concatenate([said[keep], np.full((2, 5), 0.2)])
    said[-2:, 4] = 0.01  # rows of the class that the model knows nothing of
    said /= said.sum(axis=1, keepdims=True)
    wrong = np.append(given[:-2] != true[keep], [False, False])

    def found(prior):
        """(estimated errors, share of wrong rows among as many suspects)."""
        issues = label_errors.find(given, balanced(given, said, prior), score="margin", prior_rows=prior)
        return issues.errors, label_errors.precision(issues.ranking, wrong, wrong.sum())["precision"]

    (many, few), (near, most) = found(0), found(10)
    assert many > 5 * wrong.sum() > 2.5 * near > 2.5 * wrong.sum()
    assert few < 0.7 < 0.95 < most


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0, -1], [[0.5, 0.5], [0.5, 0.5]]),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]]),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]]),
        ([0], [[0.5, 0.5], [0.5, 0.5]]),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]]),
        ([0, 1], [[0.5, 0.5], [-2.0, 3.0]]),
    ],
)
def test_what_is_no_probability(labels, probabilities):
    with pytest.raises(UsageError, match="confident_joint: labels must be integers"):
        confident_joint(labels, np.array(probabilities))


def test_as_cleanlab():
    count = pytest.importorskip("cleanlab.count")
    rank = pytest.importorskip("cleanlab.rank")
    given, _, said = noisy(2000, 7, 0.2)
    issues = label_errors.find(given, said)
    np.testing.assert_allclose(issues.joint, count.estimate_joint(given, said), atol=1e-3)
    np.testing.assert_allclose(1 - issues.score, rank.get_label_quality_scores(given, said, method="self_confidence"))


def test_maps_as_cleanlab():
    rank = pytest.importorskip("cleanlab.segmentation.rank")
    random = np.random.default_rng(0)
    labels, said = random.integers(0, 3, (4, 8, 8)), random.dirichlet([1, 1, 1], (4, 8, 8))
    issues = label_errors.find_in_maps(labels, said)
    scores, pixels = rank.get_label_quality_scores(labels, np.moveaxis(said, -1, 1), method="softmin", verbose=False)
    np.testing.assert_allclose(1 - issues.score, scores, atol=1e-6)
    np.testing.assert_allclose(1 - issues.pixel_score, pixels, atol=1e-6)


def test_balanced_between_classes():
    """Of a model that is twice as sure of the first class a row of 60 % is the second's; an empty class is none's."""
    labels = np.array([0, 0, 1, 1])
    said = np.array([[0.9, 0.1, 0.0], [0.7, 0.3, 0.0], [0.6, 0.4, 0.0], [0.5, 0.4, 0.1]])
    found = balanced(labels, said)
    even = said[:, :2] / [0.8, 0.4]
    np.testing.assert_allclose(found[:, :2], even / even.sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(found[:, 2], 0)
    assert found[2].argmax() == 1
    np.testing.assert_array_equal(balanced(labels, np.zeros((4, 3))), np.zeros((4, 3)))

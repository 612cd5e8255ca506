"""Figures of labels say what the arrays say."""

import numpy as np
import pytest
from helpers.drawn_figures import images_of, overlapping, texts_of

from jaxaug import viz

NAMES = ("cat", "dog", "a name that is much too long")


def test_weight_histogram():
    """Two histograms that sum to 1; the area is 1 where every wrong row weighs less, 1/2 where weights say nothing."""
    weight = np.array([0.2, 0.3, 1.0, 1.1, 1.2])
    figure = viz.weight_histogram(weight, weight < 0.5)
    (axis,) = figure.axes
    assert axis.get_title() == "learned weights: AUC 1.000 for wrong labels"
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["3 clean rows", "2 mislabelled rows"]
    assert sum(bar.get_height() for bar in axis.patches) == pytest.approx(2.0)
    assert "AUC 0.500" in viz.weight_histogram(np.ones(4), np.array([True, False] * 2)).axes[0].get_title()
    for wrong, told in ((None, "unknown"), (np.zeros(5, bool), "none wrong"), (np.ones(5, bool), "all wrong")):
        (axis,) = viz.weight_histogram(weight, wrong).axes
        assert axis.get_title() == f"learned weights of 5 rows (labels: {told})"
        assert sum(bar.get_height() for bar in axis.patches) == pytest.approx(1.0)


def test_confusion_matrix():
    """Rows sum to 1; a class without test rows has none."""
    label, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    figure = viz.confusion_matrix(label, predicted, NAMES)
    np.testing.assert_allclose(images_of(figure)[0], [[2 / 3, 0, 1 / 3], [0, 1, 0], [np.nan] * 3])
    assert figure.axes[0].get_title() == "top-1 75.00 % of 4 rows"
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["0.33", "0.67", "1.00"]
    assert not overlapping(texts_of(figure))


def test_confusion_matrix_of_many_classes():
    many = np.arange(150)
    figure = viz.confusion_matrix(many, many, list(map(str, many)))
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_yticklabels()) < 20
    assert max(figure.get_size_inches()) < 20


def test_soft_label_flips():
    given, clean = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0, 1])
    soft = np.array([2, 1, 0, 1, 2, 1])
    figure = viz.soft_label_flips(given, soft, clean, NAMES)
    wrong, right = images_of(figure)
    np.testing.assert_array_equal(wrong, [[0, 1, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(right, [[0, 0, 1], [0, 0, 0], [0, 0, 0]])
    assert [axis.get_title() for axis in figure.axes] == [
        "4 wrong labels: 50.0 % corrected, 25.0 % flipped to another wrong one",
        "2 right labels: 50.0 % flipped",
    ]
    assert not overlapping(texts_of(figure))
    (axis,) = viz.soft_label_flips(given, soft, None, NAMES).axes
    assert axis.get_title() == "6 labels: 66.7 % flipped"
    titles = [axis.get_title() for axis in viz.soft_label_flips(given, given, given, NAMES).axes]
    assert titles == ["0 wrong labels: none corrected", "6 right labels: 0.0 % flipped"]

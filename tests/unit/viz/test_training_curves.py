"""Trainings side by side."""

import numpy as np
import pytest

from jaxaug import viz


def history_of(losses, accuracies, metric="top1"):
    return [
        {"epoch": i + 1, "train_loss": loss, f"test_{metric}": accuracy}
        for i, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True))
    ]


def test_training_curves():
    """Means over seeds as far as all of them are, their range; variants that were not trained have no curve."""
    seeds = [history_of([2.0, 1.0, 0.5], [0.5, 0.8, 0.9]), history_of([4.0, 2.0], [0.7, 0.9])]
    loss, error = viz.training_curves({"one": seeds, "untrained": [[]], "two": seeds[:1]}).axes
    assert [axis.get_ylabel() for axis in (loss, error)] == ["training loss", "test error %"]
    np.testing.assert_allclose(loss.lines[0].get_xydata(), [[1, 3.0], [2, 1.5]])
    np.testing.assert_allclose(error.lines[0].get_ydata(), [40.0, 15.0])
    np.testing.assert_allclose(error.lines[1].get_ydata(), [50.0, 20.0, 10.0])
    assert len(loss.collections) == len(error.collections) == 1
    band = error.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((10.0, 50.0))
    assert [text.get_text() for text in error.get_legend().get_texts()] == ["one", "two"]
    assert error.get_yscale() == "log"


def test_an_error_of_zero():
    """On a logarithmic axis it stands at half of the least error that is not 0; where all are 0, so be it."""
    _, error = viz.training_curves({"run": [history_of([1, 1, 1], [0.9, 0.98, 1.0])]}).axes
    np.testing.assert_allclose(error.lines[0].get_ydata(), [10.0, 2.0, 1.0])
    _, error = viz.training_curves({"run": [history_of([1], [1.0])]}).axes
    np.testing.assert_array_equal(error.lines[0].get_ydata(), [0.0])
    assert error.get_yscale() == "linear"


def test_nothing_trained():
    """No curve, no legend, and no logarithmic axis without a number."""
    figure = viz.training_curves({"run": [[]]})
    assert figure.axes[1].get_yscale() == "linear"
    assert figure.axes[1].get_legend() is None


def test_another_metric():
    _, error = viz.training_curves({"run": [history_of([1], [0.25], "mean_iou")]}, metric="mean_iou").axes
    assert error.get_ylabel() == "test 100 - mean_iou %"
    np.testing.assert_allclose(error.lines[0].get_ydata(), [75.0])

"""The course of one training."""

import pytest

from jaxaug import viz


def history_of(metric):
    return [
        {"epoch": e, "train_loss": 1 / e, f"train_{metric}": 0.5, "test_nll": 1.0, f"test_{metric}": 0.9}
        for e in (1, 2, 3)
    ]


def test_learning_curves():
    """Panels for what there is; accuracies as errors; a search that begins late is drawn from there."""
    history = history_of("top1")
    assert [axis.get_ylabel() for axis in viz.learning_curves(history).axes] == ["loss", "error %"]
    history[-1] |= {"search_loss": 2.0, "search_residual": 0.1, "validation_top1": 0.7}
    loss, error, search = viz.learning_curves(history).axes
    lines = {line.get_label(): line.get_xydata().tolist() for axis in (loss, error, search) for line in axis.lines}
    assert lines["trusted rows, in the search"] == [[3, 2.0]]
    assert lines["residual of its solver"] == [[3, 0.1]]
    assert [line.get_ydata()[-1] for line in error.lines] == pytest.approx([50.0, 10.0, 30.0])


def test_learning_curves_of_another_metric():
    """A task whose main metric has another name; what the records hold besides is not drawn."""
    _, error = viz.learning_curves([record | {"test_top1": 0.1} for record in history_of("mean_iou")], "mean_iou").axes
    assert error.get_ylabel() == "100 - mean_iou %"
    assert [line.get_ydata()[-1] for line in error.lines] == pytest.approx([50.0, 10.0])

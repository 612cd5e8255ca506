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


@pytest.mark.parametrize("losses", [(2.3, 2.2), (-0.5, -0.9), (0.4, -0.9), (0.0, 0.0)])
def test_all_of_a_curve_is_seen(losses):
    """From 0, with room on its other side, whatever the sign; epochs are whole numbers."""
    axis = viz.learning_curves([{"epoch": e, "train_loss": x} for e, x in enumerate(losses, start=1)]).axes[0]
    low, high = axis.get_ylim()
    assert low <= min(0.0, *losses)
    assert high >= max(0.0, *losses)
    assert high - low > max(map(abs, losses))
    axis.figure.canvas.draw()
    assert all(float(tick).is_integer() for tick in axis.get_xticks())


def test_learning_curves_of_another_metric():
    """A task whose main metric has another name; what the records hold besides is not drawn."""
    _, error = viz.learning_curves([record | {"test_top1": 0.1} for record in history_of("mean_iou")], "mean_iou").axes
    assert error.get_ylabel() == "100 - mean_iou %"
    assert [line.get_ydata()[-1] for line in error.lines] == pytest.approx([50.0, 10.0])

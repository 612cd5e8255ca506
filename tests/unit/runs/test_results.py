"""The figures of a run from its records, by whatever metric its task is judged."""

import pytest

from jaxaug.runs.results import LAST_EPOCHS, format_mean_std, summarize_history


def history_of(metric, validation=True):
    """12 epochs; on validation the 5th is the best, on test the 8th."""
    records = []
    for epoch in range(1, 13):
        record = {"epoch": epoch, "seconds": 2.0, "images_per_second": 100.0 * epoch, "test_nll": float(epoch)}
        record[f"test_{metric}"] = 0.9 if epoch == 8 else 0.01 * epoch
        if validation:
            record[f"validation_{metric}"] = 0.8 if epoch == 5 else 0.02 * epoch
        records.append(record)
    return records


@pytest.mark.parametrize("metric", ["top1", "mean_iou"])
def test_summary(metric):
    history = history_of(metric)
    found = summarize_history(history, metric)
    assert found[f"test_{metric}"] == pytest.approx(0.12)
    assert found["last10_nll"] == pytest.approx(sum(range(3, 13)) / LAST_EPOCHS)
    assert (found["chosen_epoch"], found["chosen_nll"]) == (5, 5.0)
    assert found[f"chosen_{metric}"] == pytest.approx(0.05)
    assert found[f"best_on_test_{metric}"] == 0.9
    assert (found["seconds"], found["images_per_second"]) == (24.0, 650.0)
    alone = summarize_history(history_of(metric, validation=False), metric)
    assert not [name for name in alone if name.startswith("chosen")]


def test_mean_and_deviation():
    assert [format_mean_std(values, 2) for values in ([], [0.5], [1.0, 2.0, 3.0])] == ["", "0.50", "2.00 ± 1.00"]

"""The table of variants and the lines of progress, as a person sees them."""

import pytest
from rich.console import Console

from jaxaug.tasks import Classification, ShownMetric
from jaxaug.train.hooks import console
from jaxaug.train.hooks.console import ProgressBar, variants_table

SHOWN = Classification.shown_metrics
RUN = {"test_top1": 0.9, "test_top5": 0.99, "test_nll": 0.25, "test_ece": 0.01, "last10_top1": 0.875}
RUN |= {"best_on_test_top1": 0.92, "images_per_second": 1234.4, "seconds": 12.34}


def text_of(table):
    terminal = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    terminal.print(table)
    return terminal.export_text()


def line_of(text, title):
    (found,) = [line for line in text.splitlines() if title in line]
    return [cell.strip() for cell in found.split("│")[1:-1]]


def test_mean_and_deviation_of_each_variant():
    runs = {"plain": [RUN, {**RUN, "test_top1": 0.8}], "isda": [{**RUN, "chosen_top1": 0.89}]}
    text = text_of(variants_table("digits, convnet", runs, SHOWN))
    assert "digits, convnet" in text
    assert "plain (n=2)" in text
    assert "isda (n=1)" in text
    assert line_of(text, "top-1 %") == ["top-1 %", "85.00 ± 7.07", "90.00"]
    assert line_of(text, "negative log-likelihood")[2] == "0.2500"
    assert line_of(text, "last 10 epochs %")[2] == "87.50"
    assert line_of(text, "chosen on validation %")[1:] == ["", "89.00"]
    assert line_of(text, "best on test %")[2] == "92.00"
    assert line_of(text, "images/s")[2] == "1234"


def test_what_is_reported_on():
    """Without a test set the validation rows are, and the table says so."""
    assert "test set, final epoch unless said" in text_of(variants_table("t", {"a": [RUN]}, SHOWN))
    text = text_of(variants_table("t", {"a": [{**RUN, "reported_on": "validation"}]}, SHOWN))
    assert "validation set, where there is no test set, final epoch unless said" in text
    assert line_of(text, "best on validation %")[1] == "92.00"
    assert "best on test" not in text


def test_protocols_are_told_by_the_end_of_their_names():
    text = text_of(variants_table("t", {"a": [{**RUN, "occluded_error": 0.25}], "b": [RUN]}, SHOWN))
    assert line_of(text, "occluded error %")[1:] == ["25.00", ""]


def test_metrics_of_another_task():
    runs = {"a": [{"test_half": 0.5, "last10_half": 0.25}]}
    text = text_of(variants_table("t", runs, (ShownMetric("half", "right half", 1, 3),)))
    assert line_of(text, "right half") == ["right half", "0.500"]
    assert line_of(text, "last 10 epochs") == ["last 10 epochs", "0.250"]
    assert "top-1" not in text


@pytest.mark.parametrize("visible", [True, False])
def test_plain_lines_where_there_is_no_terminal(visible, monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    bar = ProgressBar("digits", 100, 20, visible=visible)
    bar.update(30, {"loss": 1.5})
    assert capsys.readouterr().out == ""  # too early
    now[0] += console.PLAIN_INTERVAL + 5
    bar.update(40, {"loss": 1.5, "images/s": 1234.5})
    bar.close()
    expected = "digits: step 40 of 100  loss 1.500  images/s 1234  60 s left\n" if visible else ""
    assert capsys.readouterr().out == expected

"""The temperature of plain arrays."""

import numpy as np
import pytest
from scipy.special import softmax

from jaxaug.core.errors import UsageError
from jaxaug.inference import fit_temperature


@pytest.fixture(scope="module")
def rows():
    """Logits that are right about their own uncertainty: labels are drawn from their probabilities."""
    generator = np.random.default_rng(0)
    logits = 2 * generator.standard_normal((20_000, 5))
    cumulated = np.cumsum(softmax(logits, axis=1), axis=1)
    return logits, (generator.random((20_000, 1)) > cumulated).sum(1).clip(0, 4)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_overconfidence_is_undone(rows, factor):
    logits, labels = rows
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.03)


def test_rows_without_a_label_are_left_out(rows):
    logits, labels = rows
    more = np.concatenate([logits[:500], 100 * logits[:500]])
    unknown = np.concatenate([labels[:500], np.full(500, -1)])
    assert fit_temperature(more, unknown) == pytest.approx(fit_temperature(logits[:500], labels[:500]))


def test_what_is_always_right_becomes_as_sure_as_can_be():
    assert fit_temperature([[1.0, 0.0], [0.0, 2.0]], [0, 1]) < 0.05


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((3, 2)), np.zeros(2, int), r"got \(3, 2\) and int64 \(2,\)"),
        (np.zeros((3, 2)), np.zeros(3), "labels integers"),
        (np.zeros((3, 2)), np.full(3, -1), "rows with a label"),
        (np.full((3, 2), np.nan), np.zeros(3, int), "logits that are finite"),
    ],
)
def test_mistakes(logits, labels, message):
    with pytest.raises(UsageError, match=message):
        fit_temperature(logits, labels)

"""Scores as labels, weights and soft labels of a new training."""

import numpy as np

from jaxaug import label_errors, losses
from jaxaug.label_errors.cleaning import SMOOTHING, learned_from_scores, without_suspects
from jaxaug.label_errors.reading import Rows

GIVEN = np.array([0, 1, 2, 1], np.int32)
# The second row is rather a 2, the third as much a 0 as a 2; of the last one the given label has no probability at all.
SAID = np.array([[0.8, 0.2, 0.0], [0.1, 0.3, 0.6], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]])
SCORE = np.array([0.2, 2 / 3, 0.5, 1.0])
ISSUES = label_errors.find(GIVEN, SAID, score="margin")


def test_the_other_class():
    np.testing.assert_allclose(ISSUES.score, SCORE)
    np.testing.assert_array_equal(ISSUES.other, [1, 2, 0, 0])


def test_weights_and_soft_labels():
    """As the losses read them: proportional to 1 - s with mean 1; 1 - s and s, smoothed as their loss begins."""
    meta = learned_from_scores(GIVEN, ISSUES, 3)
    found = losses.create(("learned_targets", "learned_weights")).results(meta, GIVEN, 3)
    np.testing.assert_allclose(found["weight"], (1 - SCORE) / (1 - SCORE).mean(), atol=1e-5)
    np.testing.assert_allclose(found["weight"].mean(), 1, atol=1e-5)
    np.testing.assert_allclose(found["soft_given"], (1 - SMOOTHING) * (1 - SCORE) + SMOOTHING / 3, rtol=1e-5)
    share = (1 - SMOOTHING) * np.maximum(SCORE, 1 - SCORE) + SMOOTHING / 3
    np.testing.assert_allclose(found["soft_share"], share, rtol=1e-5)
    np.testing.assert_array_equal(np.asarray(found["soft"])[[0, 1, 3]], [0, 2, 0])


def test_a_table_without_suspects():
    rows = Rows(np.zeros((4, 2, 2, 1), np.uint8), GIVEN, ("ape", "b,t", "cat"), index=np.array([3, 4, 7, 9]))
    assert without_suspects(rows, ISSUES, 2) == "index,label\n3,ape\n4,\n7,cat\n9,\n*,\n"
    assert without_suspects(rows, ISSUES, 0).splitlines()[2] == '4,"b,t"'

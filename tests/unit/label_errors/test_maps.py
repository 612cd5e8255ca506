"""Label maps: the wrong region is found, pixels without a label count for nothing."""

import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.label_errors import find_in_maps


def test_a_wrong_region():
    true = np.zeros((3, 8, 8), int)
    true[:, 4:] = 1
    said = np.where(np.eye(2)[true] > 0, 0.95, 0.05)
    given = true.copy()
    given[1, :2, :2] = 1
    given[2, 0, 0] = -1
    issues = find_in_maps(given, said)
    assert issues.ranking[0] == 1
    assert issues.errors == 4
    np.testing.assert_array_equal(np.argwhere(issues.pixel_score > 0.5), [[1, i, j] for i in (0, 1) for j in (0, 1)])
    assert issues.suggested[1, 0, 0] == 0
    assert issues.suggested[2, 0, 0] == -1
    assert issues.pixel_score[2, 0, 0] == 0
    np.testing.assert_allclose(issues.score[0], 0.05, atol=1e-6)


@pytest.mark.parametrize(
    ("labels", "said", "told"),
    [
        (np.zeros((2, 4, 4)), np.full((2, 4, 4, 2), 0.5), r"float64\[2, 4, 4\]"),
        (np.zeros((2, 4, 4), int), np.full((2, 2, 4, 4), 0.5), r"float64\[2, 2, 4, 4\]"),
        (np.full((2, 4, 4), -1), np.full((2, 4, 4, 2), 0.5), r"no pixel has a label in 0\.\.1"),
        (np.zeros((2, 4, 4), int), np.full((2, 4, 4, 2), 7.0), r"must lie in 0\.\.1, got 7"),
    ],
)
def test_mistakes(labels, said, told):
    with pytest.raises(UsageError, match="find_in_maps: .*" + told):
        find_in_maps(labels, said)

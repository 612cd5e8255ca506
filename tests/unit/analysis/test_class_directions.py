"""Directions of covariances against NumPy, and what lies nearest to a point."""

import numpy as np
import pytest

from jaxaug.analysis import class_directions
from jaxaug.analysis.class_directions import Seen, directions_of, nearest, statistics_of_run
from jaxaug.losses import FeatureStatistics


def statistics(seed=0, classes=3, depth=5):
    root = np.random.default_rng(seed).normal(size=(classes, depth, depth)).astype(np.float32)
    return FeatureStatistics(np.arange(1.0, 1 + classes), root[:, 0], root @ root.swapaxes(1, 2))


def test_full_covariances():
    """Variances fall, and the directions with them are the covariance again."""
    given = statistics()
    found = directions_of(given, [2, 0])
    np.testing.assert_array_equal(found.examples, [3, 1])
    np.testing.assert_array_equal(found.mean, given.mean[[2, 0]])
    assert (np.diff(found.variance) <= 0).all()
    again = np.einsum("cm,cmi,cmj->cij", found.variance, found.direction, found.direction)
    np.testing.assert_allclose(again, given.covariance[[2, 0]], atol=1e-5)
    largest = np.take_along_axis(found.direction, np.abs(found.direction).argmax(2)[..., None], 2)
    assert (largest > 0).all()


def test_diagonal_covariances():
    diagonal = np.array([[1.0, 3.0, 2.0], [0.0, 0.0, 5.0]], np.float32)
    found = directions_of(FeatureStatistics(np.ones(2), np.zeros((2, 3)), diagonal), [0, 1])
    np.testing.assert_array_equal(found.variance, [[3, 2, 1], [5, 0, 0]])
    np.testing.assert_array_equal(found.direction[0], np.eye(3)[[1, 2, 0]])
    np.testing.assert_array_equal(found.direction[1, 0], [0, 0, 1])


def test_many_numbers_are_not_kept(monkeypatch):
    monkeypatch.setattr(class_directions, "MOST_NUMBERS", 50)
    monkeypatch.setattr(class_directions, "KEPT", 2)
    found = directions_of(statistics(), [0, 1, 2])
    assert (found.variance.shape, found.direction.shape) == ((3, 5), (3, 2, 5))


def test_the_first_head_is_meant():
    first, second = statistics(0), statistics(1)
    assert statistics_of_run({"auxiliary": {"pixel_isda": second}, "pixel_isda": first}) is first
    assert statistics_of_run(first) is first
    assert statistics_of_run({"class_weights": np.ones(3)}) is None
    assert statistics_of_run(()) is None


@pytest.mark.parametrize("rows", [5, 500])
def test_nearest(rows):
    features = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    seen = Seen(features, *(np.zeros(rows, int) for _ in range(3)))
    order = np.argsort(np.linalg.norm(features - 0.1, axis=1))
    assert nearest(seen, np.full(3, 0.1, np.float32), np.zeros(rows, bool)) == order[0]
    assert nearest(seen, np.full(3, 0.1, np.float32), np.arange(rows) == order[0]) == order[1]

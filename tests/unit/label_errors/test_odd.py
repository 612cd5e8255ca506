"""Odd images, duplicates and neighbours."""

import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.label_errors import find
from jaxaug.label_errors.neighbours import near_pairs, neighbour_probabilities
from jaxaug.label_errors.odd import cell_means, duplicates, fingerprints, odd_images

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 24, 32, 3), dtype=np.uint8)


def test_odd_images():
    image = IMAGES.copy()
    image[1], image[2], image[3] = 90, IMAGES[2] // 20, 255 - IMAGES[3] // 20
    sides = np.tile([24, 32], (8, 1))
    sides[4], sides[5] = (9, 32), (24, 200)
    assert odd_images(image, sides) == {1: "blank", 2: "dark", 3: "bright", 4: "tiny", 5: "long"}
    assert odd_images(IMAGES[:, :8, :8]) == {}, "a set of small images is not odd"


def test_duplicates():
    """The same image, brighter or with a little noise; two blank ones are like no other."""
    image = IMAGES.copy()
    image[5] = np.clip(image[2] * 0.8 + 30, 0, 255)
    image[6], image[7] = 10, 10
    assert duplicates(image).tolist() == [[2, 5]]
    assert near_pairs(np.zeros((3, 2)), 0.5, 9).tolist() == []


def test_alike_from_afar():
    """Coarse images that are the same are not enough."""
    coarse = np.kron(np.random.default_rng(3).integers(60, 190, (8, 8, 1)), np.ones((4, 4, 1)))
    fine = np.random.default_rng(4).normal(0, 20, (2, 32, 32, 1))
    image = np.clip(coarse + fine, 0, 255).astype(np.uint8)
    assert len(near_pairs(fingerprints(image), 0.98, 9)) == 1
    assert len(duplicates(image)) == 0


def test_many_equal_images():
    """Pairs of a row with the first that follow it."""
    assert near_pairs(np.ones((6, 3)), 0.9, 2).tolist() == [
        *([0, 1], [0, 2], [1, 2], [1, 3], [2, 3], [2, 4], [3, 4], [3, 5], [4, 5])
    ]


def test_cell_means():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)
    np.testing.assert_allclose(cell_means(image, 2)[0, :, :, 0], [[0.5, 2.5], [6.5, 8.5]])
    np.testing.assert_array_equal(cell_means(image, 9), image)


def test_neighbours():
    """Two groups; the row with the other group's label is found by features alone, and beside probabilities."""
    random = np.random.default_rng(1)
    group = np.arange(40) % 2
    features = random.normal(size=(40, 5)) * 0.1 + np.eye(5)[group]
    labels = np.where(np.arange(40) == 6, 1 - group, group)
    issues = find(labels, features=features, neighbours=5)
    assert issues.ranking[0] == 6
    assert issues.suggested[6] == group[6]
    both = find(labels, np.full((40, 3), 1 / 3), features)
    assert both.ranking[0] == 6
    assert both.joint.shape == (3, 3)
    np.testing.assert_allclose(neighbour_probabilities(labels, features, 2, 100).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("labels", "options", "told"),
    [
        ([0, 1], {}, "give probabilities"),
        ([0, 1], {"features": np.ones((3, 2))}, "features must be finite floats"),
        ([0, -1], {"features": np.ones((2, 2))}, "features must be finite floats"),
        ([0, 1], {"features": np.full((2, 2), np.nan)}, "features must be finite floats"),
        ([0, 1], {"features": np.ones((2, 2)), "neighbours": 0}, "neighbours 1 or more"),
        ([0, 1], {"probabilities": np.full((2, 2), 0.5), "score": "margins"}, "did you mean 'margin'"),
    ],
)
def test_mistakes(labels, options, told):
    with pytest.raises(UsageError, match=told):
        find(labels, **options)

"""Rows that are unlike the others of their set."""

import numpy as np
import pytest

from jaxaug import data, label_errors
from jaxaug.label_errors.outliers import FEWEST, UNLIKE, unlike_others
from jaxaug.label_errors.patches import judge_by_patches


def test_rows_outside_of_the_main_directions():
    """Large ones inside of them are like the others; so is a set where all are alike."""
    random = np.random.default_rng(0)
    main = random.normal(size=(10, 200))
    rows = random.normal(size=(400, 10)) @ main + 0.3 * random.normal(size=(400, 200))
    rows[7] *= 2
    rows[[3, 11]] += 2.0 * random.normal(size=(2, 200))
    found = unlike_others(rows)
    assert {*np.flatnonzero(found > UNLIKE).tolist()} >= {3, 11}
    assert {*np.argsort(-found)[:2].tolist()} == {3, 11}
    assert (found > UNLIKE).sum() <= 6
    assert abs(np.median(found)) < 1e-9
    np.testing.assert_array_equal(unlike_others(np.ones((FEWEST, 3))), 0)
    np.testing.assert_array_equal(unlike_others(rows[: FEWEST - 1]), 0)


def test_images_that_fit_no_class():
    """Noise and negatives among digits."""
    rows = data.load("digits", train_size=600).train
    random = np.random.default_rng(0)
    image = np.concatenate([rows.image, random.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8), 255 - rows.image[:3]])
    label = np.concatenate([rows.label, random.integers(0, 10, 6)])
    judged = judge_by_patches(image, label, 10)
    assert judged.probabilities.shape == (606, 10)
    assert {*np.argsort(-judged.unlike)[:6].tolist()} == {*range(600, 606)}
    assert (judged.unlike[600:] > UNLIKE).all()
    assert (judged.unlike[:600] > UNLIKE).sum() <= 3


@pytest.mark.parametrize("by", ["features", "probabilities"])
def test_as_find_tells_it(by):
    """Of features alone."""
    random = np.random.default_rng(1)
    labels = np.arange(60) % 3
    if by == "probabilities":
        assert label_errors.find(labels, np.full((60, 3), 1 / 3)).unlike is None
        return
    features = random.normal(size=(60, 20))
    np.testing.assert_array_equal(label_errors.find(labels, features=features).unlike, unlike_others(features))

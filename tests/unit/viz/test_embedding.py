"""Features in a plane."""

import numpy as np
import pytest
from helpers.drawn_figures import overlapping, texts_of

from jaxaug import viz
from jaxaug.core.errors import UsageError


def test_tsne():
    """Two heaps stay two heaps, and the same ones at every call; few rows and one feature will do."""
    features = np.random.default_rng(0).normal(size=(20, 5)) + np.arange(20)[:, None] // 10 * 50
    points = viz.tsne(features)
    np.testing.assert_array_equal(points, viz.tsne(features))
    distance = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(20)
    np.testing.assert_array_equal(distance.argmin(1) // 10, np.arange(20) // 10)
    assert viz.tsne(features[:4, :1]).shape == (4, 2)
    with pytest.raises(UsageError, match=r"tsne: .*at least 4 rows"):
        viz.tsne(features[:3])


@pytest.mark.parametrize("count", [3, 15, 40])
def test_embedding(count):
    points, label = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % count
    figure = viz.embedding(points, label, list(map(str, range(count))))
    drawn = figure.axes[0].collections
    assert sum(len(one.get_offsets()) for one in drawn) == 60
    assert len(drawn) == (count if count <= 20 else 1)
    assert not overlapping(texts_of(figure))

"""How often and how strongly a learned policy uses its operations."""

import numpy as np
import pytest
from helpers.drawn_figures import images_of, overlapping, texts_of

from jaxaug import viz
from jaxaug.core.errors import UsageError
from jaxaug.policies import autodo, presets
from jaxaug.policies.learnable import initial_offsets
from jaxaug.policies.policy import make_policy

NAMES = ("cat", "dog", "a name that is much too long")


def test_op_usage():
    """By hand: shares 3 : 1, an op in both layers, gates; one policy for each of two rows."""
    first = [[("Rotate", 0.2, 0.5), ("Invert", 0.0, 0.5)], [("Rotate", 0.6, 1.0)]]
    names, times, level = viz.op_usage(make_policy([first, [[("Invert", 0.0, 1.0)]] * 2], shares=[0.75, 0.25]))
    assert names == ("Identity", "Rotate", "Invert")
    np.testing.assert_allclose(times, [0, 0.75 * 1.5, 0.75 * 0.5 + 0.25 * 2])
    np.testing.assert_allclose(level, [np.nan, (0.5 * 0.2 + 0.6) / 1.5, 0.0])
    gates = autodo.affine()
    names, times, level = viz.op_usage(gates.replace(mix=np.zeros((2, 1)), logits=np.stack([gates.logits] * 2)))
    assert set(names) == set(autodo.AFFINE)
    np.testing.assert_allclose(times, np.full((2, 7), 0.2))
    np.testing.assert_allclose(level, np.full((2, 7), 0.5))


def offsets_of_rows():
    """Of four rows with the affine policy; the levels of the first two are higher."""
    offsets = {name: np.zeros((4, 1, 7, 1), np.float32) for name in ("logits", "level")}
    offsets["level"][:2] = np.log(3.0)
    return offsets


def test_policy_usage_by_class():
    """Means over the rows of a class beside the start; a class without rows is empty."""
    figure = viz.policy_usage(autodo.affine(), offsets_of_rows(), np.array([0, 2, 2, 2]), NAMES, "true class")
    times, level = images_of(figure)
    np.testing.assert_allclose(times, [[0.2, 0.2, np.nan, 0.2]] * 7, rtol=1e-6)
    np.testing.assert_allclose(level, [[0.5, 0.75, np.nan, (0.75 + 0.5 + 0.5) / 3]] * 7, rtol=1e-6)
    assert figure.axes[0].get_title() == "probability"
    assert "TranslateX  0 … 0.45" in [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert not overlapping(texts_of(figure))


def test_policy_usage_of_a_shared_policy():
    random = presets.get("randaugment")
    figure = viz.policy_usage(random, {n: np.asarray(o) for n, o in initial_offsets(random).items()}, None, ())
    times, level = images_of(figure)
    np.testing.assert_allclose(times, np.full((14, 2), 2 / 14), rtol=1e-6)
    assert np.isnan(level[0]).all()  # Identity has no level
    assert figure.axes[0].get_title() == "times per image"
    assert not overlapping(texts_of(figure))
    with pytest.raises(UsageError, match="offsets of a policy"):
        viz.policy_usage(random, offsets_of_rows(), np.zeros(4, int), NAMES)

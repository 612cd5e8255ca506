"""Reliability and robustness, drawn."""

import numpy as np
import pytest

from jaxaug import viz

FIRST = {"share": [0.25, 0.75, 0.0], "accuracy": [0.4, 1.0, 0.0], "confidence": [0.3, 0.6, 0.0]}
SECOND = {"share": [0.75, 0.25, 0.0], "accuracy": [0.8, 0.0, 0.0], "confidence": [0.1, 0.4, 0.0]}


def test_reliability_diagram():
    """Seeds are pooled by their shares; an empty bin has no point."""
    above, below = viz.reliability_diagram({"mine": [FIRST, SECOND], "other": [FIRST]}).axes
    calibrated, mine, other = above.lines
    np.testing.assert_array_equal(calibrated.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_allclose(mine.get_xydata(), [[0.25 * 0.3 + 0.75 * 0.1, 0.7], [0.75 * 0.6 + 0.25 * 0.4, 0.75]])
    np.testing.assert_allclose(other.get_xydata(), [[0.3, 0.4], [0.6, 1.0]])
    assert [bar.get_height() for bar in below.patches] == pytest.approx([0.5, 0.5, 0, 0.25, 0.75, 0])
    edges = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in below.patches]
    assert all(high <= low + 1e-9 for (_, high), (low, _) in zip(sorted(edges)[:-1], sorted(edges)[1:], strict=True))
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["calibrated", "mine", "other"]


def test_robustness_curves():
    """A panel for each protocol, with the variants that were put to it; mean and deviation over seeds."""
    occlusion = [{"axis": "hidden share", "severity": [0, 0.5], "error": errors} for errors in ([0.1, 0.3], [0.2, 0.6])]
    fog = {"axis": "severity", "severity": [1, 2, 3], "error": [0.1, 0.2, 0.3]}
    figure = viz.robustness_curves({"mine": [{"occlusion": one} for one in occlusion], "other": [{"fog": fog}]})
    one, two = figure.axes
    assert [axis.get_title() for axis in (one, two)] == ["occlusion", "fog"]
    assert [axis.get_xlabel() for axis in (one, two)] == ["hidden share", "severity"]
    (line,), (band,) = one.lines, one.collections
    assert line.get_label() == "mine"
    np.testing.assert_allclose(line.get_xydata(), [[0, 15], [0.5, 45]])
    assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(45 + 15 * np.sqrt(2))
    np.testing.assert_allclose(two.lines[0].get_ydata(), [10, 20, 30])
    assert not two.collections

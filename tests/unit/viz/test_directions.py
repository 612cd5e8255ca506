"""Spectra and strips of pictures show what they are given."""

import numpy as np
import pytest
from helpers.drawn_figures import overlapping, texts_of

from jaxaug import viz
from jaxaug.core.errors import UsageError
from jaxaug.viz.directions import Strip


def test_class_spectra():
    variance = np.array([[6.0, 3.0, 1.0], [9.0, 0.5, 0.5]])
    figure = viz.class_spectra({"learned": variance, "final": variance / 2}, ("a", "b"))
    spectrum, share = figure.axes[:2]
    np.testing.assert_array_equal(spectrum.lines[1].get_ydata(), variance[1])
    np.testing.assert_allclose(share.lines[0].get_ydata(), [60, 90, 100])
    assert share.get_title() == "50 % in 1 directions, 90 % in 1 to 2"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert (spectrum.get_xscale(), spectrum.get_yscale()) == ("linear", "log")
    with pytest.raises(UsageError, match="no estimate"):
        viz.class_spectra({}, ())


def test_spectra_of_many_classes_are_a_range():
    figure = viz.class_spectra({"final": np.geomspace(9, 1e-3, 100) * np.ones((30, 1))}, tuple(map(str, range(30))))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["median of the classes", "all classes"]
    assert figure.axes[0].get_xscale() == "log"
    assert not overlapping(texts_of(figure))


def test_picture_strips():
    gray, color = np.full((2, 3, 1), 300.0), np.zeros((2, 3, 3), np.uint8)
    strips = [Strip("one", [gray, None], ("a", "b"), (True, False)), Strip("two", [color, color])]
    figure = viz.picture_strips(strips, ("left", "right"), "all")
    first, empty, third, _ = figure.axes
    np.testing.assert_array_equal(first.images[0].get_array(), np.full((2, 3), 255))
    assert not empty.images
    assert third.images[0].get_array().shape == (2, 3, 3)
    assert (first.get_xlabel(), first.get_ylabel(), first.get_title()) == ("a", "one", "left")
    assert first.xaxis.label.get_color() == "black"
    assert not overlapping(texts_of(figure))
    for wrong in ([], [Strip("one", [gray])]):
        with pytest.raises(UsageError, match="as many pictures as there are heads"):
            viz.picture_strips(wrong, ("left", "right"))

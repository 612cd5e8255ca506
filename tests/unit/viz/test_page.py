"""Pages of HTML: everything is in them, and no text is taken for markup."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from jaxaug.viz import page
from jaxaug.viz.figure import new_figure

NASTY = "<b>\"a\" & 'b'</b></script>"


def decoded(address):
    kind, _, content = address.partition(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(content)))


def test_no_text_is_markup():
    made = page.page(
        NASTY,
        page.heading(NASTY, 3, "a b"),
        page.paragraph(NASTY),
        page.links([("a", NASTY)]),
        page.listing([NASTY]),
        page.preformatted(NASTY),
        page.table([NASTY], [[NASTY]]),
        page.cards([page.Card(np.zeros((2, 2), np.uint8), NASTY, NASTY)]),
        page.folded(NASTY),
    )
    assert "<b>" not in made
    assert "</script>" not in made
    assert made.count("&lt;b&gt;") == 13
    assert page.style() in made
    assert "</script>" not in page.embedded_json([NASTY])
    assert json.loads(page.embedded_json([NASTY])) == [NASTY]


@pytest.mark.parametrize(("side", "kind"), [(96, "data:image/png"), (97, "data:image/jpeg")])
def test_pictures_are_in_the_page(side, kind):
    """Small ones keep their pixels, larger ones are close to theirs."""
    pixels = np.linspace(0, 255, side * side * 3).reshape(side, side, 3).astype(np.uint8)
    found, image = decoded(page.picture_address(Image.fromarray(pixels)))
    assert found == kind
    assert page.is_small((side, side)) == (kind == "data:image/png")
    np.testing.assert_allclose(np.asarray(image), pixels, atol=0 if side == 96 else 40)


def test_a_figure_is_sharp():
    """It has twice the pixels that it is laid out with."""
    made = page.picture(new_figure(4, 2), 'a "figure"')
    _, image = decoded(made.split('"')[1])
    assert image.size == (640, 320)
    assert 'width="320"' in made
    assert 'alt="a &quot;figure&quot;"' in made


@pytest.mark.parametrize(("channels", "shape"), [(1, (2, 2)), (3, (2, 2, 3)), (5, (2, 2))])
def test_any_image_is_shown(channels, shape):
    found = page.pixels_of(np.full((2, 2, channels), 254.6))
    assert (found.shape, found.dtype, found.max()) == (shape, np.uint8, 255)


def test_tables():
    assert page.table((), [("a", 1)]).count("<th>") == 0
    assert "class=words" in page.table(("a",), [], words=True)
    assert page.beside("one", "", "two").count("<div>") == 2

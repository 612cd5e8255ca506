"""Rows of images, one for each stage of a pipeline."""

import numpy as np
import pytest
from helpers.drawn_figures import overlapping, texts_of

from jaxaug.core.errors import UsageError
from jaxaug.viz.stages import Stage, pipeline_stages

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


def test_each_stage_is_a_row():
    """Images of any size lie below each other in the order of the stages, with their captions above them."""
    figure = pipeline_stages(
        [
            Stage("read", IMAGES, ["ape", "bat", "cat"]),
            Stage("cropped", IMAGES[:, :4], ()),
            Stage("softened", IMAGES, ["visible 0.50\nape: 0.75\nbat: 0.25"] * 3),
        ]
    )
    shown = figure.axes[0].images
    assert len(shown) == 9
    np.testing.assert_array_equal(shown[1].get_array(), IMAGES[1])
    np.testing.assert_array_equal(shown[3].get_array(), IMAGES[0, :4])
    left, right, bottom, top = np.array([image.get_extent() for image in shown]).T
    assert (left < right).all()
    assert (top < bottom).all()
    assert (bottom.reshape(3, 3)[:-1] < top.reshape(3, 3)[1:]).all()
    np.testing.assert_allclose(left.reshape(3, 3), left[:3][None].repeat(3, 0))
    texts = texts_of(figure)
    assert len(texts) == 9
    assert overlapping(texts) == []


@pytest.mark.parametrize("stages", [[], [Stage("a", IMAGES[:0])], [Stage("a", IMAGES), Stage("b", IMAGES[:2])]])
def test_mistakes(stages):
    with pytest.raises(UsageError, match="every stage needs the same images"):
        pipeline_stages(stages)

"""Colors of classes, and figures of label maps, say what the arrays say."""

import numpy as np
import pytest
from helpers.drawn_figures import images_of, overlapping, texts_of

from jaxaug import viz
from jaxaug.core.errors import UsageError
from jaxaug.viz.label_maps import CAMVID, CITYSCAPES, VOC_NAMES


def test_published_palettes():
    """Their authors' colors, found by name in any order and spelling."""
    palette = viz.class_palette(["Traffic_light", "road", "sky"])
    np.testing.assert_array_equal(palette, [[250, 170, 30], [128, 64, 128], [70, 130, 180], [0, 0, 0]])
    voc = viz.class_palette(VOC_NAMES)
    np.testing.assert_array_equal(
        voc[[0, 1, 2, 15, 20]], [[0, 0, 0], [128, 0, 0], [0, 128, 0], [192, 128, 128], [0, 64, 128]]
    )
    np.testing.assert_array_equal(voc[-1], [224, 224, 192])
    for known in (CITYSCAPES, CAMVID, VOC_NAMES):
        assert len(np.unique(viz.class_palette(tuple(known)), axis=0)) == len(known) + 1


@pytest.mark.parametrize("classes", [1, 2, 1000])
def test_generated_colors_differ_and_none_is_void(classes):
    palette = viz.class_palette(tuple(map(str, range(classes)))).astype(int)
    assert len(np.unique(palette, axis=0)) == classes + 1
    assert palette[:-1].max(axis=1).min() > 100
    few = palette[:8]
    assert np.abs(few[:, None] - few[None]).sum(-1)[~np.eye(len(few), dtype=bool)].min(initial=999) > 60


def test_colors_and_overlays():
    palette = np.array([[200, 0, 0], [0, 100, 0], [9, 9, 9]], np.uint8)
    label = np.array([[0, 1], [-1, 0]])
    np.testing.assert_array_equal(viz.color_labels(label, palette), palette[[[0, 1], [2, 0]]])
    image = np.array([[[30, 60, 90], [0, 0, 0]], [[10, 10, 10], [255, 255, 255]]], np.uint8)
    found = viz.overlay(image, label, palette, 0.25)
    np.testing.assert_array_equal(found[0], [[95, 45, 45], [0, 25, 0]])
    np.testing.assert_array_equal(found[1], [[10, 10, 10], [241, 191, 191]])
    np.testing.assert_array_equal(viz.overlay(image[..., :1], label, palette, 0.0), image[..., [0, 0, 0]])
    for wrong, message in (
        (label + 1, "labels are 0..2 of 2 classes"),
        (label - 1, "labels are -2..0"),
        (label[:1], "size"),
    ):
        with pytest.raises(UsageError, match=message):
            viz.overlay(image, wrong, palette)


def test_segmentation_examples():
    """Five pictures a row; in the last one what is wrong has the color that is said, void its own, else white."""
    label, predicted = np.array([[[0, 0], [-1, 1]]]), np.array([[[0, 1], [1, 1]]])
    images = np.full((1, 2, 2, 1), 80, np.uint8)
    figure = viz.segmentation_examples(images, label, predicted, ("road", "sky"), ["row 7"])
    palette = viz.class_palette(("road", "sky"))
    shown = [axis.images[0].get_array() for axis in figure.axes]
    np.testing.assert_array_equal(shown[0], np.full((2, 2, 3), 80))
    np.testing.assert_array_equal(shown[1], palette[label[0]])
    np.testing.assert_array_equal(shown[2], palette[predicted[0]])
    np.testing.assert_array_equal(shown[4], [[[255] * 3, palette[1]], [palette[-1], [255] * 3]])
    assert figure.axes[0].get_ylabel() == "row 7"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["road", "sky", "void"]
    assert not overlapping(texts_of(figure))


def test_class_iou():
    """Means over seeds, their range; a class that is nowhere has no bar."""
    found = {"plain": [{"car": 0.5, "tree": None}, {"car": 0.7, "tree": None}], "isda": [{"car": 0.8, "tree": 0.2}]}
    figure = viz.class_iou(found)
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == pytest.approx([60, 80, 20])
    low, high = axis.collections[0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((50, 70))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain, mean 60.0", "isda, mean 50.0"]
    assert not overlapping(texts_of(figure))


def test_pixel_confusion():
    figure = viz.pixel_confusion(np.array([[3, 1], [0, 0]]), ("a", "b"))
    np.testing.assert_allclose(images_of(figure)[0], [[0.75, 0.25], [np.nan, np.nan]])
    assert figure.axes[0].get_title() == "75.00 % of 4 pixels are right"

"""VOC's layout: rows by list, palettes, borders that are void, photographs of several sizes."""

import numpy as np
import pytest
from PIL import Image

from jaxaug import data
from jaxaug.core.errors import UsageError

LISTS = {"train": "a b c", "val": "d", "trainval": "a b c d"}


@pytest.fixture
def root(tmp_path):
    top = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (top / folder).mkdir(parents=True)
    for name, rows in LISTS.items():
        (top / "ImageSets/Segmentation" / f"{name}.txt").write_text(rows.replace(" ", "\n") + "\n")
    for row, name in enumerate("abcd"):
        shape = (10 + row, 12)
        Image.fromarray(np.full((*shape, 3), 50 * row, np.uint8)).save(top / "JPEGImages" / f"{name}.jpg")
        label = np.full(shape, row, np.uint8)
        label[0], label[1, 0] = 255, 20
        image = Image.fromarray(label)
        image.putpalette(list(range(256)) * 3)
        image.save(top / "SegmentationClass" / f"{name}.png")
    return tmp_path


def load(root, **options):
    return data.load("voc", **{"path": str(root), "size": (14, 12), "directory": str(root / "kept"), **options})


def test_rows_palettes_and_padding(root):
    found = load(root)
    assert (found.num_classes, len(found.train), len(found.test)) == (21, 3, 1)
    assert found.files == ("JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg")
    label = found.train.label[1]
    assert (label[0] == -1).all()
    assert label[1, 0] == 20
    assert (label[2:11] == 1).all()
    assert (label[11:] == -1).all()
    assert (found.train.image[1][11:] == 0).all()
    assert found.train.image[1][5, 5, 0] == pytest.approx(50, abs=2)
    both = load(root / "VOCdevkit", train="trainval", test="", validation_size=1)
    assert [len(split) for split in both.splits().values()] == [3, 1, 1]
    assert both.test is both.validation


def test_faults(root):
    top = root / "VOCdevkit" / "VOC2012"
    for options, message in (
        ({"train": "trainval"}, "1 images, such as d, are in trainval.txt and in val.txt"),
        ({"test": "test"}, r"the list .*test.txt cannot be read"),
        ({"path": "/nowhere"}, "there is no folder ImageSets/Segmentation in /nowhere"),
        ({"size": (8, 8)}, r"a.jpg has 12 x 10 pixels, 8 x 8 are asked for by size: set a larger size"),
    ):
        with pytest.raises(UsageError, match=message):
            load(root, **options)
    Image.fromarray(np.full((10, 12), 21, np.uint8)).save(top / "SegmentationClass" / "a.png")
    with pytest.raises(UsageError, match=r"SegmentationClass/a.png has the numbers 21"):
        load(root)
    (top / "SegmentationClass" / "a.png").unlink()
    with pytest.raises(UsageError, match=r"1 files that .*train.txt lists are missing, such as .*Class/a.png"):
        load(root)

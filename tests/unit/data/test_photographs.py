"""Photographs cut to squares: torchvision's sizes, boxes and pixels; files that cannot be read."""

import logging

import numpy as np
import pytest
from helpers.photographs import photograph, write_photographs
from PIL import Image

from jaxaug.core.errors import UsageError
from jaxaug.data.photographs import Cut, Photographs, draw_box
from jaxaug.data.storage.file_table import find_members, table_of

BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC


def source(folder, **options):
    options = {"cut": Cut(24, 28), **options}
    return Photographs(table_of(find_members(folder, folder), folder), **options)


@pytest.mark.parametrize(
    ("size", "resized", "corner"),
    [
        # (columns, rows); the longer side is cut off, the corner rounded to even, as torchvision does both.
        ((500, 375), (341, 256), (58, 16)),
        ((375, 500), (256, 341), (16, 58)),
        ((256, 257), (256, 257), (16, 16)),
        ((300, 301), (256, 256), (16, 16)),
        ((100, 100), (256, 256), (16, 16)),
        ((500, 333), (384, 256), (80, 16)),
    ],
)
def test_evaluation(size, resized, corner):
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8))
    found = Cut().evaluated(image)
    expected = image.resize(resized, BILINEAR) if resized != size else image
    np.testing.assert_array_equal(found, np.asarray(expected)[corner[1] :, corner[0] :][:224, :224])


def test_nothing_is_resized_and_what_lies_beyond_is_black():
    image = Image.new("RGB", (5, 9), (9, 9, 9))
    found = Cut(8, 0).evaluated(image)
    assert found.shape == (8, 8, 3)
    # Three columns are lacking: one before, two behind.
    np.testing.assert_array_equal(found[0, :, 0], [0, 9, 9, 9, 9, 9, 0, 0])


def test_training_cuts_then_resizes():
    image = photograph(5)
    for interpolation, resampling in (("bilinear", BILINEAR), ("bicubic", BICUBIC)):
        cut = Cut(24, 28, interpolation=interpolation)
        top, left, rows, columns = draw_box(np.random.default_rng(3), image.height, image.width, cut.scale, cut.ratio)
        part = np.asarray(image)[top : top + rows, left : left + columns]
        found = cut.trained(image, np.random.default_rng(3))
        np.testing.assert_array_equal(found, Image.fromarray(part).resize((24, 24), resampling))
    middle = Cut(24, 28, crop="center")
    np.testing.assert_array_equal(middle.trained(image, np.random.default_rng(0)), middle.evaluated(image))


def test_boxes():
    """Inside the image; area and ratio as asked for, up to a pixel; the corner anywhere."""
    random = np.random.default_rng(0)
    boxes = np.array([draw_box(random, 300, 400, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(2000)])
    top, left, rows, columns = boxes.T
    assert (top >= 0).all()
    assert (top + rows <= 300).all()
    assert (left + columns <= 400).all()
    share = rows * columns / 120_000
    assert 0.079 < share.min() < 0.1
    assert 0.9 < share.max() <= 1
    assert 0.74 < (columns / rows).min() < 0.77
    assert 1.3 < (columns / rows).max() < 1.35
    # Of 20,000 boxes of torchvision's on such an image: the mean share.
    assert abs(share.mean() - 0.4334) < 0.02
    assert top[rows < 150].max() > 120


@pytest.mark.parametrize(("size", "box"), [((10, 1000), (0, 493, 10, 13)), ((1000, 10), (493, 0, 13, 10))])
def test_the_middle_where_no_box_fits(size, box):
    assert draw_box(np.random.default_rng(0), *size, (0.9, 1.0), (3 / 4, 4 / 3)) == box


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size=0 must be at least 1"),
        ({"size": 64, "resize": 60}, "resize=60 0 or at least the size"),
        ({"scale": (0.5, 1.5)}, "scale="),
        ({"ratio": (2.0, 1.0)}, "ratio="),
        ({"interpolation": "bilinaer"}, "did you mean 'bilinear'"),
        ({"crop": "centre"}, "did you mean 'center'"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(UsageError, match=message):
        Cut(**options)


@pytest.mark.parametrize(("mode", "ending"), [("L", "JPEG"), ("CMYK", "JPEG"), ("P", "png"), ("LA", "png")])
def test_every_kind_of_image_becomes_color(tmp_path, mode, ending):
    (tmp_path / "a").mkdir()
    photograph(1, "L" if mode == "LA" else "RGB").convert(mode).save(tmp_path / "a" / f"x.{ending}")
    found = source(tmp_path).read(0)
    assert found.shape == (24, 24, 3)
    assert found.dtype == np.uint8
    with Image.open(tmp_path / "a" / f"x.{ending}") as image:
        np.testing.assert_array_equal(found, Cut(24, 28).evaluated(image.convert("RGB")))


def test_exif_is_left_alone_unless_asked(tmp_path):
    (tmp_path / "a").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    photograph(1).save(tmp_path / "a" / "x.png", exif=exif)
    as_it_is, turned = (source(tmp_path, upright=upright).read(0) for upright in (False, True))
    np.testing.assert_array_equal(as_it_is, Cut(24, 28).evaluated(photograph(1)))
    np.testing.assert_array_equal(turned, Cut(24, 28).evaluated(photograph(1).rotate(180)))


def test_broken_files(tmp_path, caplog):
    """Named once, counted and left out; or refused; and a disk that is gone is not trained on."""
    write_photographs(tmp_path, ["a"], 12)
    whole = (tmp_path / "a" / "3.JPEG").read_bytes()
    (tmp_path / "a" / "3.JPEG").write_bytes(whole[: len(whole) // 2])
    found = source(tmp_path)
    row = found.files.names.index("a/3.JPEG")
    with caplog.at_level(logging.WARNING):
        assert found.read(row) is None
        assert found.read(row, np.random.default_rng(0)) is None
    assert (found.unreadable, len(caplog.records)) == (1, 1)
    assert "3.JPEG cannot be read as an image" in caplog.text
    with pytest.raises(UsageError, match=r"3\.JPEG cannot be read .* or set broken to skip"):
        source(tmp_path, broken="refuse").read(row)
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r"11 of 12 images below .* is the disk still there"):
        [found.read(row) for row in range(12)]

"""A user's own folder of images: its rows, the size and channels they are brought to, and what is refused."""

import shutil

import numpy as np
import pytest
from helpers.published_data import load
from PIL import Image

from jaxaug.core.errors import UsageError
from jaxaug.data.splits import subset_rows
from jaxaug.data.storage import image_files


def draw(path, shape=(6, 6, 3), seed=0, **how):
    """Writes a random image and returns its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)
    return pixels


def draw_set(root, shape=(6, 6, 3)):
    """Two classes: train 3 + 2, validation 1 + 2, test 2 + 0. Returns the pixels by path."""
    names = [f"train/{name}" for name in ("cat/b.png", "cat/a.PNG", "cat/c.png", "ape/z.png", "ape/x.png")]
    names += [
        "validation/ape/1.png",
        "validation/cat/0.png",
        "validation/cat/2.png",
        "test/cat/1.png",
        "test/cat/0.png",
    ]
    return {name: draw(root / name, shape, seed) for seed, name in enumerate(names)}


def test_rows_in_order(tmp_path):
    """By class, then by file name; each row's file is found by its index, through cuts too."""
    pixels = draw_set(tmp_path)
    (tmp_path / "train/cat/.hidden.png").touch()
    (tmp_path / "train/.cache").mkdir()
    data = load("folder", path=str(tmp_path))
    assert (data.name, data.class_names, data.image_shape) == ("folder", ("ape", "cat"), (6, 6, 3))
    assert [*data.train.label] == [0, 0, 1, 1, 1]
    assert [*data.validation.label] == [0, 1, 1]
    assert [*data.test.label] == [1, 1]
    assert [*data.validation.index] == [5, 6, 7]
    assert data.files[:3] == ("train/ape/x.png", "train/ape/z.png", "train/cat/a.PNG")
    few = subset_rows(data, 3, 0)
    for split in (few.train, data.train, data.validation):
        for row in range(len(split)):
            np.testing.assert_array_equal(split.image[row], pixels[data.files[split.index[row]]])
    np.testing.assert_array_equal(data.test.image[0], pixels["test/cat/0.png"])
    assert data.statistics_source == "computed from the 5 training rows"


def test_splits_that_may_be_left_out(tmp_path):
    for seed in range(8):
        draw(tmp_path / f"train/{'ab'[seed % 2]}/{seed}.png", seed=seed)
    for message, options in (("neither test nor validation rows", {}), ("there is no folder", {"path": "nowhere"})):
        with pytest.raises(UsageError, match=message):
            load("folder", **{"path": str(tmp_path), **options})
    cut = load("folder", path=str(tmp_path), validation_size=2)
    assert cut.test is cut.validation
    assert {cut.files[row] for row in cut.train.index}.isdisjoint(cut.files[row] for row in cut.validation.index)
    draw(tmp_path / "test/a/0.png")
    assert len(load("folder", path=str(tmp_path)).validation) == 0
    draw(tmp_path / "validation/a/0.png")
    with pytest.raises(UsageError, match="has validation rows of its own"):
        load("folder", path=str(tmp_path), validation_size=2)


def test_formats_and_sizes(tmp_path):
    """Every format, cut to the middle square and resized; a picture of that size is left as it is."""
    kept = draw(tmp_path / "train/a/0.png", (8, 8, 3))
    photo = np.linspace(0, 255, 20 * 40).reshape(20, 40).astype(np.uint8)
    for name, how in (("1.jpg", {"quality": 95}), ("2.webp", {"lossless": True}), ("3.bmp", {}), ("4.JPEG", {})):
        Image.fromarray(np.repeat(photo[..., None], 3, 2)).save(tmp_path / "train/a" / name, **how)
    # An upright photograph, stored lying on its side.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(photo)).save(tmp_path / "train/a/5.png", exif=exif)
    draw(tmp_path / "test/a/0.png", (9, 8))
    data = load("folder", path=str(tmp_path), size=8)
    assert data.train.image.shape == (6, 8, 8, 3)
    np.testing.assert_array_equal(data.train.image[0], kept)
    square = Image.fromarray(photo[:, 10:30]).resize((8, 8), Image.Resampling.BICUBIC)
    for row in range(1, 6):
        np.testing.assert_allclose(data.train.image[row, ..., 0], np.asarray(square), atol=2)
    with pytest.raises(UsageError, match=r"1\.jpg has 40 x 20 pixels, the first image 8 x 8: set size"):
        load("folder", path=str(tmp_path))


def test_channels(tmp_path):
    """The first image decides: a gray one on gray for all, a colored one on color; or `channels` does."""
    gray = draw(tmp_path / "train/a/0.png", (6, 6))
    draw(tmp_path / "test/a/0.png", (6, 6, 2))
    data = load("folder", path=str(tmp_path))
    np.testing.assert_array_equal(data.train.image[0, ..., 0], gray)
    assert load("folder", path=str(tmp_path), channels=3).image_shape == (6, 6, 3)
    draw(tmp_path / "test/a/1.png", (6, 6, 3))
    with pytest.raises(UsageError, match=r"1\.png is in color, the first image is gray: set channels"):
        load("folder", path=str(tmp_path))
    assert load("folder", path=str(tmp_path), channels=1).image_shape == (6, 6, 1)
    opaque = draw(tmp_path / "train/A/0.png", (6, 6, 4))
    palette = Image.fromarray(opaque[..., :3]).quantize(16)
    palette.info["transparency"] = bytes(range(16))
    palette.save(tmp_path / "train/A/1.png")
    data = load("folder", path=str(tmp_path))
    np.testing.assert_array_equal(data.train.image[0], opaque[..., :3])
    np.testing.assert_array_equal(data.train.image[1], np.asarray(palette.convert("RGBA"))[..., :3])
    np.testing.assert_array_equal(data.train.image[2], np.repeat(gray[..., None], 3, 2))


def test_imagenet_as_it_is_unpacked(tmp_path):
    """train and val, of .JPEG files; the test rows are those of val; its usual mean and deviation."""
    for seed, name in enumerate(("train/n01/a.JPEG", "train/n02/b.JPEG", "val/n01/c.JPEG", "val/n02/d.JPEG")):
        draw(tmp_path / name, (10, 14 + seed, 3), seed)
    data = load("folder", path=str(tmp_path), size=8, statistics="imagenet")
    assert data.test is data.validation
    assert data.class_names == ("n01", "n02")
    assert data.mean == (0.485, 0.456, 0.406)
    assert [len(split) for split in data.splits().values()] == [2, 2, 2]
    assert data.files[2:] == ("val/n01/c.JPEG", "val/n02/d.JPEG")
    with pytest.raises(UsageError, match="for images of 3 channels; these have 1"):
        load("folder", path=str(tmp_path), size=8, channels=1, statistics="imagenet")


def test_decoded_images_are_kept(tmp_path, monkeypatch):
    """Mapped into memory, not decoded twice, decoded anew when a file or the size changes."""
    root, where = tmp_path / "photos", tmp_path / "data"
    draw_set(root)
    plain = load("folder", path=str(root), size=4)
    for _ in range(2):
        kept = load("folder", str(where), path=str(root), size=4, cache=True)
        assert isinstance(kept.train.image, np.memmap)
        for split, rows in plain.splits().items():
            np.testing.assert_array_equal(kept.splits()[split].image, rows.image)
        assert len(list((where / "folder").iterdir())) == 1
        # A second decoding would find no decoder.
        monkeypatch.setattr(image_files, "decode", None)
    monkeypatch.undo()
    draw(root / "train/cat/a.PNG", (7, 7, 3), seed=99)
    anew = load("folder", str(where), path=str(root), size=4, cache=True)
    assert not np.array_equal(anew.train.image, plain.train.image)
    assert load("folder", str(where), path=str(root), size=5, cache=True).image_shape == (5, 5, 3)
    assert len(list((where / "folder").iterdir())) == 3


@pytest.mark.fault(
    "an image of a folder data set is cut short, or the disk is too small for the decoded ones",
    "one message; nothing half written is kept",
)
def test_images_that_cannot_be_kept(tmp_path, monkeypatch):
    root, where = tmp_path / "photos", tmp_path / "data"
    draw_set(root)
    cut_short(root)
    with pytest.raises(UsageError, match=r"c\.png cannot be read"):
        load("folder", str(where), path=str(root), size=4, cache=True)
    draw(root / "train/cat/c.png")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("usage", (), {"free": 0}))
    with pytest.raises(UsageError, match=r"GiB are free; set directory to another folder"):
        load("folder", str(where), path=str(root), size=4, cache=True)
    assert not list((where / "folder").iterdir())


def cut_short(root):
    content = (root / "train/cat/c.png").read_bytes()
    (root / "train/cat/c.png").write_bytes(content[:80])


MISTAKES = {
    "text": (lambda root: (root / "test/cat/0.png").write_text("text"), {}, r"test/cat/0\.png cannot be read as an"),
    "cut short": (cut_short, {}, r"cat/c\.png cannot be read as an image"),
    "range": (lambda root: draw_range(root), {}, r"gray levels of .*x\.tif have no known range"),
    "no images": (
        lambda root: (root / "train/dog").mkdir(),
        {},
        r"train/dog has no images \(\.png, .*add some or remo",
    ),
    "empty split": (lambda root: (root / "test/cat").rename(root / "cat"), {}, "test has no images"),
    "flat": (lambda root: draw_flat(root / "test"), {}, "move its images into a folder for each class"),
    "broken link": (
        lambda root: (root / "train/cat/d.png").symlink_to("nowhere"),
        {"cache": True, "size": 4},
        r"d\.png cannot be read",
    ),
    "new class": (lambda root: (root / "test/dog").mkdir(), {}, "test has the classes dog, which train has not"),
    "no train": (lambda root: (root / "train").rename(root / "training"), {}, "there is no folder .*train; it must"),
    "no classes": (lambda root: ((root / "train").rename(root / "x"), (root / "train").mkdir()), {}, "has no folders"),
    "no path": (lambda root: None, {"path": ""}, r"set path to a folder"),
    "size": (lambda root: None, {"size": -1}, "size=-1 must be 0 or more"),
    "statistics": (lambda root: None, {"statistics": "cifar"}, 'must be "computed", or "imagenet"'),
    "channels": (lambda root: None, {"channels": 2}, "channels=2 0, 1 or 3"),
}


def draw_flat(folder):
    shutil.rmtree(folder)
    draw(folder / "0.png")


def draw_range(root):
    Image.fromarray(np.ones((6, 6), np.float32)).save(root / "train/ape/x.tif")


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name, tmp_path):
    change, options, message = MISTAKES[name]
    draw_set(tmp_path)
    change(tmp_path)
    with pytest.raises(UsageError, match=message):
        load("folder", **{"path": str(tmp_path), **options})


def test_other_files_are_passed_over(tmp_path, caplog):
    draw_set(tmp_path)
    (tmp_path / "train/cat/notes.txt").write_text("text")
    assert len(load("folder", path=str(tmp_path)).train) == 5
    assert "passed over 1 that are no images, such as" in caplog.text


def test_sub_folders_of_a_class(tmp_path, caplog):
    """Said to be folders, or read."""
    draw_set(tmp_path)
    inner = draw(tmp_path / "train/cat/2024/d.png", seed=50)
    draw(tmp_path / "train/cat/.thumbnails/d.png")
    assert len(load("folder", path=str(tmp_path)).train) == 5
    assert "passed over 1 that are folders, such as" in caplog.text
    assert "train/cat/2024: set recursive to read" in caplog.text
    data = load("folder", path=str(tmp_path), recursive=True)
    assert [*data.train.label] == [0, 0, 1, 1, 1, 1]
    assert data.files[2] == "train/cat/2024/d.png"
    np.testing.assert_array_equal(data.train.image[2], inner)


def test_gray_of_16_bits_is_rounded(tmp_path):
    (tmp_path / "train/a").mkdir(parents=True)
    Image.fromarray(np.full((6, 6), 129 * 257, np.uint16)).save(tmp_path / "train/a/0.png")
    draw(tmp_path / "test/a/0.png", (6, 6))
    data = load("folder", path=str(tmp_path))
    assert data.train.image.shape == (1, 6, 6, 1)
    assert (data.train.image == 129).all()

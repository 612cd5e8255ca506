"""One reader for all image files: what a folder holds, and the pixels of whatever cameras and programs write."""

import logging
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import image_reader
from jaxaug.data.storage.image_reader import find_images, in_threads, open_image, read_image, tell_passed_over

ORIENTATION = 0x0112  # the EXIF tag


def picture(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize("value", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535])
def test_orientation(tmp_path, ending, value):
    """Pillow's exif_transpose, which leaves values that mean nothing alone."""
    exif, path = Image.Exif(), tmp_path / f"a{ending}"
    exif[ORIENTATION] = value
    stored = Image.fromarray(picture(6, 9, 3))
    stored.save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert expected.shape == ((9, 6, 3) if 5 <= value <= 8 else (6, 9, 3))
    np.testing.assert_array_equal(read_image(path), expected)
    if ending in (".png", ".tiff"):  # nothing is lost, so that the turn can be told without Pillow
        turns = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}
        times, mirrored = turns.get(value, (0, False))
        turned = np.rot90(np.asarray(stored), times)
        np.testing.assert_array_equal(expected, turned[:, ::-1] if mirrored else turned)


def palette(path, transparency):
    image = Image.fromarray(picture(6, 8, 3)).quantize(16)
    image.save(path, **({} if transparency is None else {"transparency": transparency}))
    return np.asarray(image.convert("RGB"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("transparency", [None, 3, bytes(range(16))])
def test_palettes(tmp_path, transparency):
    """Their colors, whatever is transparent."""
    expected = palette(tmp_path / "a.png", transparency)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    gray = Image.fromarray(expected).convert("L")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", "L")[..., 0], gray)


def test_transparency_is_dropped(tmp_path):
    pixels = picture(6, 8, 4)
    for name, stored, expected in (
        ("a.png", pixels, pixels[..., :3]),
        ("b.webp", pixels, pixels[..., :3]),
        ("c.png", pixels[..., :2], pixels[..., :1]),
    ):
        Image.fromarray(stored).save(tmp_path / name, lossless=True, exact=True)
        np.testing.assert_array_equal(read_image(tmp_path / name), expected)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "d.png", transparency=7)
    np.testing.assert_array_equal(read_image(tmp_path / "d.png"), pixels[..., :1])


def test_other_modes(tmp_path):
    """CMYK, one bit, an animation (its first image), and the mode that is asked for."""
    color = Image.fromarray(picture(6, 8, 3))
    color.convert("CMYK").save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), color)
    color.convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), Image.open(tmp_path / "a.jpg").convert("RGB"))
    color.convert("1").save(tmp_path / "b.bmp")
    bits = np.asarray(color.convert("1"))[..., None]
    np.testing.assert_array_equal(read_image(tmp_path / "b.bmp"), bits * np.uint8(255))
    assert read_image(tmp_path / "b.bmp", "RGB").shape == (6, 8, 3)
    first, second = (Image.fromarray(np.full((6, 8, 3), value, np.uint8)) for value in (10, 200))
    first.save(tmp_path / "c.gif", save_all=True, append_images=[second])
    assert (read_image(tmp_path / "c.gif", "RGB") == 10).all()
    color.save(tmp_path / "d.png")
    found = read_image(tmp_path / "d.png", "L")
    assert (found.shape, found.dtype) == ((6, 8, 1), np.uint8)
    np.testing.assert_array_equal(found[..., 0], color.convert("L"))


def test_16_bits_become_8(tmp_path):
    """Gray is rounded, in every file format that has it."""
    levels = np.array([[0, 128, 129, 257], [32768, 65406, 65407, 65535]], np.uint16)
    for name in ("a.png", "b.tif"):
        Image.fromarray(levels).save(tmp_path / name)
    (tmp_path / "c.pgm").write_bytes(b"P5 4 2 65535 " + levels.astype(">u2").tobytes())
    for name in ("a.png", "b.tif", "c.pgm"):
        np.testing.assert_array_equal(read_image(tmp_path / name)[..., 0], [[0, 0, 1, 1], [128, 254, 255, 255]])
        assert open_image(tmp_path / name, "RGB").mode == "RGB"


@pytest.mark.parametrize("mode", ["I", "F"])
def test_levels_of_unknown_range(tmp_path, mode):
    Image.new(mode, (8, 6)).save(tmp_path / "map.tif")
    for wanted in (None, "RGB"):
        with pytest.raises(UsageError, match=r"^the gray levels of .*map\.tif have no known range: save it with 8 or"):
            read_image(tmp_path / "map.tif", wanted)


def chunk(kind, content):
    """One piece of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def broken_files(folder):
    """Files for which Pillow raises OSError, SyntaxError, ValueError, DecompressionBombError ..., by their names."""
    Image.fromarray(picture(6, 8, 3)).save(folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    start, rest = whole[:33], whole[33:]  # signature and header, then pixels
    Image.fromarray(picture(64, 64, 3)).save(folder / "whole.jpg")
    photo = (folder / "whole.jpg").read_bytes()
    return {
        "cut.png": whole[:-30],
        "cut.jpg": photo[: len(photo) // 2],
        "torn.png": start + chunk(b"IDAT", rest[8:40]) + bytes(12),
        "text.png": start + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21))) + rest,
        "huge.png": whole[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + rest,
        "words.png": b"no image",
        "empty.jpg": b"",
    }


def test_files_that_cannot_be_read(tmp_path):
    broken = broken_files(tmp_path)
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link.png").symlink_to("nowhere")
    for name in (*broken, "link.png"):
        message = f"^{tmp_path / name} cannot be read as an image: .*; repair or remove it$"
        with pytest.raises(UsageError, match=message):
            read_image(tmp_path / name)


def test_what_a_folder_holds(tmp_path, caplog):
    """Hidden files and folders are nobody's; sub-folders are read if asked for, around no circle."""
    names = ("b.PNG", "a.jpeg", "._a.jpeg", ".ipynb_checkpoints/c.png", "deep/d.tif", "deep/.e.png", "notes.txt")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "broken.png").symlink_to("nowhere")
    flat, deep = (find_images(tmp_path, recursive) for recursive in (False, True))
    assert [path.name for path in flat.images] == ["a.jpeg", "b.PNG", "broken.png"]
    assert [path.name for path in flat.others] == ["deep", "notes.txt"]
    assert [path.name for path in deep.images] == ["a.jpeg", "b.PNG", "broken.png", "d.tif"]
    assert [path.name for path in deep.others] == ["notes.txt"]
    with caplog.at_level(logging.WARNING):
        tell_passed_over(flat.others)
    assert caplog.messages == [
        f"passed over 1 that are no images, such as {tmp_path / 'notes.txt'}",
        f"passed over 1 that are folders, such as {tmp_path / 'deep'}: set recursive to read the images in them",
    ]
    with pytest.raises(UsageError, match=r"the folder .*none cannot be read: No such file"):
        find_images(tmp_path / "none", recursive=True)


def test_threads_keep_the_order(monkeypatch):
    """Whether all wait at once or not; an error ends it."""
    monkeypatch.setattr(image_reader, "QUEUE", 8)
    for count in (0, 3, 8, 30):
        assert list(in_threads(lambda i: i * i, range(count))) == [i * i for i in range(count)]
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda i: 1 // i, range(-3, 100_000)))

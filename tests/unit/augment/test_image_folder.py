"""A folder of images through a policy: what is written, that it repeats, and every mistake told in one line."""

import csv
import struct
import zlib

import jax
import numpy as np
import pytest
from PIL import Image

from jaxaug.augment import apply_policy, image_folder
from jaxaug.cli.main import main
from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import make_policy

# Few ops, so that little is compiled: a cutout that hides, a rotation, and nothing.
POLICY = make_policy([[[("RandCutout", 0.1, 1.0), ("Rotate", 1.0, 1.0), ("Identity", 0.0, 1.0)]]])
HALVED = make_policy([[[("TranslateX", 1.0, 1.0)]]], {"TranslateX": (0.0, 0.5)})
NOTHING = make_policy([[[("Identity", 0.0, 1.0)]]])


def picture(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture(autouse=True)
def cache_of_the_tests(monkeypatch):
    """The program sets its own cache only where the user has set none."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)


@pytest.fixture
def images(tmp_path):
    """Three RGB images of 8 x 6, one of them in a sub-folder, and a grey one of 5 x 7."""
    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    for i, name in enumerate(("a.png", "b.PNG", "deep/a.png")):
        Image.fromarray(picture(i, 8, 6, 3)).save(root / name, format="PNG")
    Image.fromarray(picture(3, 5, 7)).save(root / "grey.tiff")
    (root / "notes.txt").write_text("not an image")
    return root


def read(root):
    """name below root -> pixels, of every PNG."""
    return {path.relative_to(root).as_posix(): np.asarray(Image.open(path)) for path in sorted(root.rglob("*.png"))}


def run(tmp_path, images, policy, out="out", *flags):
    policy.save(tmp_path / "policy.json")
    return main(
        ["augment", f"--policy={tmp_path / 'policy.json'}", f"--images={images}", f"--out={tmp_path / out}", *flags]
    )


def test_files_and_table(tmp_path, images):
    assert run(tmp_path, images, POLICY, "out", "--copies=2", "--batch_size=4") == 0
    found = read(tmp_path / "out")
    expected = [f"{name}_{copy}.png" for name in ("a", "b", "deep/a", "grey") for copy in (0, 1)]
    assert sorted(found) == sorted(expected)
    assert {found[name].shape for name in found if "grey" not in name} == {(8, 6, 3)}
    assert found["grey_0.png"].shape == (5, 7)
    with open(tmp_path / "out" / "visible.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(expected)
    for row in rows:
        pixels = float(row["visible"]) * (35 if "grey" in row["file"] else 48)
        assert pixels == pytest.approx(round(pixels), abs=1e-3)
    # One group of one size in one batch is what augment_batch gives with the group's key.
    same = np.stack([picture(3, 5, 7)[..., None]] * 2)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), 0)
    after, visible = apply_policy(key, same, POLICY)
    np.testing.assert_array_equal(after[..., 0], [found["grey_0.png"], found["grey_1.png"]])
    np.testing.assert_allclose(visible, [float(r["visible"]) for r in rows if "grey" in r["file"]], atol=1e-6)


def test_half_is_seen(tmp_path, images):
    """A shift by half of the width: half of every image is black and half of it visible."""
    assert run(tmp_path, images, HALVED) == 0
    for name, image in read(tmp_path / "out").items():
        if "grey" not in name:
            original = np.asarray(Image.open(next(images.glob(name.replace("_0.png", ".[pP]*")))))
            np.testing.assert_array_equal(image[:, :3], original[:, 3:])
            assert not image[:, 3:].any()
    shares = image_folder.augment_folder(HALVED, images, tmp_path / "again")
    assert [shares[name] for name in ("a_0.png", "b_0.png", "deep/a_0.png")] == [0.5] * 3
    assert shares["grey_0.png"] == pytest.approx(3 / 7)


def test_seeds(tmp_path, images):
    for out, seed in (("one", 1), ("same", 1), ("two", 2)):
        assert run(tmp_path, images, POLICY, out, f"--seed={seed}", "--copies=3", "--batch_size=4") == 0
    one, same, two = (read(tmp_path / out) for out in ("one", "same", "two"))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
    assert any((one[name] != two[name]).any() for name in one)
    assert any((one[f"{name}_0.png"] != one[f"{name}_1.png"]).any() for name in ("a", "b", "deep/a"))


def test_names_that_clash_keep_their_endings(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    for name in ("a.png", "a.bmp"):
        Image.fromarray(picture(0, 8, 6, 3)).save(root / name)
    assert set(image_folder.augment_folder(HALVED, root, tmp_path / "out")) == {"a.png_0.png", "a.bmp_0.png"}


def test_images_are_turned_as_their_camera_says(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    exif = Image.Exif()
    exif[image_folder.ORIENTATION] = 6
    original = picture(0, 6, 8, 3)
    Image.fromarray(original).save(root / "a.png", exif=exif)
    image_folder.augment_folder(NOTHING, root, tmp_path / "out", exact=False)
    np.testing.assert_array_equal(read(tmp_path / "out")["a_0.png"], np.rot90(original, -1))


def test_every_format_is_read(tmp_path):
    """JPEG, WebP, a palette with transparency, one bit: RGB or grey, whatever they were."""
    root = tmp_path / "in"
    root.mkdir()
    image = Image.fromarray(picture(0, 6, 8, 3))
    image.save(root / "a.jpg")
    image.save(root / "b.webp")
    image.quantize(16).save(root / "c.gif", transparency=0)
    image.convert("L").save(root / "d.jpeg")
    image.convert("1").save(root / "e.bmp")
    image_folder.augment_folder(NOTHING, root, tmp_path / "out", exact=False)
    found = read(tmp_path / "out")
    assert [found[f"{name}_0.png"].shape for name in "abcde"] == [(6, 8, 3)] * 3 + [(6, 8)] * 2
    for name, file in (("a", "a.jpg"), ("b", "b.webp"), ("c", "c.gif")):
        np.testing.assert_array_equal(found[f"{name}_0.png"], Image.open(root / file).convert("RGB"))


def test_deep_and_transparent_grey_images(tmp_path):
    """16 bits become 8, in every file format that has them; grey with transparency is grey."""
    root = tmp_path / "in"
    root.mkdir()
    levels = np.array([[0, 128, 129, 257], [32768, 65406, 65407, 65535]], np.uint16)
    for name in ("a.png", "b.tif"):
        Image.fromarray(levels).save(root / name)
    (root / "c.pgm").write_bytes(b"P5 4 2 65535 " + levels.astype(">u2").tobytes())
    Image.fromarray(levels.astype(np.uint8)).convert("LA").save(root / "d.png")
    image_folder.augment_folder(NOTHING, root, tmp_path / "out", exact=False)
    found = read(tmp_path / "out")
    for name in "abc":
        np.testing.assert_array_equal(found[f"{name}_0.png"], [[0, 0, 1, 1], [128, 254, 255, 255]])
    np.testing.assert_array_equal(found["d_0.png"], levels.astype(np.uint8))


def chunk(kind, content):
    """One piece of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_images_that_cannot_be_read(tmp_path):
    """Told by name, before anything is written."""
    root = tmp_path / "in"
    root.mkdir()
    Image.fromarray(picture(0, 6, 8, 3)).save(root / "a.png")
    whole = (root / "a.png").read_bytes()
    start, rest = whole[:33], whole[33:]  # signature and header, then pixels
    broken = {  # Pillow raises, in this order, OSError, SyntaxError, ValueError and DecompressionBombError
        "cut.png": whole[:-30],
        "torn.png": start + chunk(b"IDAT", rest[8:40]) + bytes(12),
        "text.png": start + chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21))) + rest,
        "huge.png": whole[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + rest,
    }
    for name, content in broken.items():
        (root / name).write_bytes(content)
        with pytest.raises(UsageError, match=f"cannot read the image .*{name}, mend or remove it"):
            image_folder.augment_folder(NOTHING, root, tmp_path / "out")
        (root / name).unlink()
    for mode in ("I", "F"):
        Image.new(mode, (8, 6)).save(root / "map.tif")
        with pytest.raises(UsageError, match=r"gray levels of .*map\.tif have no known range"):
            image_folder.augment_folder(NOTHING, root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_overwrite_deletes_nothing(tmp_path, images, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert run(tmp_path, images, HALVED) == 2
    assert "is not empty: choose another folder, or overwrite" in capsys.readouterr().err
    assert run(tmp_path, images, HALVED, "out", "--overwrite") == 0
    assert (out / "mine.txt").read_text() == "keep"


def test_plot_alone(tmp_path):
    assert main(["augment", "--policy=trivialaugment_wide", f"--plot={tmp_path / 'policy.png'}"]) == 0
    assert Image.open(tmp_path / "policy.png").size[0] > 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy=deepaa_cifar_3", "--plot=x.png"), "did you mean 'deepaa_cifar_2'"),
        (("--policy={0}/none.json", "--plot=x.png"), "cannot read the policy"),
        (("--policy=randaugment", "--magnitude=31", "--plot=x.png"), "magnitude in 0..30"),
        (("--policy=randaugment",), "say --images=FOLDER and --out=FOLDER"),
        (("--policy=randaugment", "--images={0}"), "say --images=FOLDER and --out=FOLDER"),
        (("--policy=randaugment", "--plot={0}/none/policy.png"), "cannot draw into"),
        (("--policy=randaugment", "--images={0}/none", "--out={0}/out"), "there is no folder"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/out"), "no image in"),
        (("--policy=randaugment", "--images={0}/broken", "--out={0}/out"), "cannot read the image"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/broken/a.png"), "is a file"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/empty/out"), "contain one another"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/out", "--copies=0"), "must be at least 1"),
    ],
)
def test_mistakes(tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    assert main(["augment", *(argument.format(tmp_path) for argument in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

"""A folder of images through a policy: what is written, that it repeats, and every mistake told in one line."""

import csv
import json
import os
import sys

import jax
import numpy as np
import pytest
from PIL import Image, ImageOps

from jaxaug import policies
from jaxaug.augment import apply_policy, image_folder
from jaxaug.cli.main import main
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
    assert run(tmp_path, images, POLICY, "out", "--copies=2") == 0
    found = read(tmp_path / "out")
    expected = [f"{name}_{copy}.png" for name in ("a", "b", "deep/a", "grey") for copy in (0, 1)]
    assert sorted(found) == sorted(expected)
    assert {found[name].shape for name in found if "grey" not in name} == {(8, 6, 3)}
    assert found["grey_0.png"].shape == (5, 7)
    assert {path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".png"} == {"deep", "visible.csv"}
    with open(tmp_path / "out" / "visible.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(expected)
    for row in rows:
        pixels = float(row["visible"]) * (35 if "grey" in row["file"] else 48)
        assert pixels == pytest.approx(round(pixels), abs=1e-3)


def test_same_pixels_as_under_jax(tmp_path, images):
    """Of a policy without chance; and of one with chance, what the NumPy form gives for the image's own generator."""
    turn = make_policy([[[("Rotate", 0.7, 1.0)]]])
    image_folder.augment_folder(turn, images, tmp_path / "turned")
    after, _ = apply_policy(0, picture(3, 5, 7)[None, ..., None], turn)
    np.testing.assert_array_equal(read(tmp_path / "turned")["grey_0.png"], after[0, ..., 0])
    shares = image_folder.augment_folder(POLICY, images, tmp_path / "out", seed=3, copies=2)
    rng = image_folder._generator(3, "deep/a.png", 1)
    after, visible = policies.apply_numpy(POLICY, rng, picture(2, 8, 6, 3))
    np.testing.assert_array_equal(read(tmp_path / "out")["deep/a_1.png"], after)
    assert shares["deep/a_1.png"] == visible


def test_images_know_nothing_of_each_other(tmp_path, images):
    """A file more, or one of another size, changes no other file."""
    image_folder.augment_folder(POLICY, images, tmp_path / "few", copies=2)
    Image.fromarray(picture(9, 13, 4, 3)).save(images / "0.png")
    image_folder.augment_folder(POLICY, images, tmp_path / "more", copies=2)
    few, more = read(tmp_path / "few"), read(tmp_path / "more")
    assert len(more) == len(few) + 2
    for name, pixels in few.items():
        np.testing.assert_array_equal(more[name], pixels)


def test_nothing_is_compiled(tmp_path, monkeypatch):
    """Images of as many sizes as there are images: JAX is not asked."""
    root = tmp_path / "in"
    root.mkdir()
    for i in range(30):
        Image.fromarray(picture(i, 5 + i, 40 - i, 3)).save(root / f"{i}.png")
    monkeypatch.setattr(image_folder, "apply_policy", None)
    policy = policies.randaugment(num_layers=2, magnitude=9)
    image_folder.augment_folder(policy, root, tmp_path / "out")
    for i in range(30):
        assert read(tmp_path / "out")[f"{i}_0.png"].shape == (5 + i, 40 - i, 3)


def test_compiled_sizes_do_not_pile_up(tmp_path, images, monkeypatch):
    """What the differentiable form compiled for some sizes is forgotten before the next."""
    forgotten = []
    monkeypatch.setattr(image_folder, "SIZES", 1)
    monkeypatch.setattr(jax, "clear_caches", lambda: forgotten.append(1))
    assert run(tmp_path, images, NOTHING, "out", "--noexact") == 0
    assert forgotten == [1]
    for name, seed in (("a", 0), ("b", 1), ("deep/a", 2)):
        np.testing.assert_array_equal(read(tmp_path / "out")[f"{name}_0.png"], picture(seed, 8, 6, 3))
    np.testing.assert_array_equal(read(tmp_path / "out")["grey_0.png"], picture(3, 5, 7))


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
        assert run(tmp_path, images, POLICY, out, f"--seed={seed}", "--copies=3") == 0
    one, same, two = (read(tmp_path / out) for out in ("one", "same", "two"))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
    assert any((one[name] != two[name]).any() for name in one)
    assert any((one[f"{name}_0.png"] != one[f"{name}_1.png"]).any() for name in ("a", "b", "deep/a"))


def test_names_that_clash_keep_their_endings(tmp_path):
    """As many copies as images, whatever they are called."""
    root = tmp_path / "in"
    root.mkdir()
    for i, name in enumerate(("a.png", "a.bmp", "a.png.png", "b.png")):
        Image.fromarray(picture(i, 8, 6, 3)).save(root / name)
    image_folder.augment_folder(NOTHING, root, tmp_path / "out")
    found = read(tmp_path / "out")
    assert list(found) == ["a.bmp_0.png", "a.png.png_0.png", "a.png_0.png", "b_0.png"]
    for name, seed in zip(found, (1, 2, 0, 3), strict=True):
        np.testing.assert_array_equal(found[name], picture(seed, 8, 6, 3))


@pytest.mark.parametrize(("name", "value"), [("a.tif", 6), ("a.tif", 8), ("a.png", 5), ("a.png", 9), ("a.jpg", 65535)])
def test_images_are_turned_as_their_camera_says(tmp_path, name, value):
    root = tmp_path / "in"
    root.mkdir()
    exif = Image.Exif()
    exif[0x0112] = value
    Image.fromarray(picture(0, 6, 8, 3)).save(root / name, exif=exif)
    image_folder.augment_folder(NOTHING, root, tmp_path / "out")
    np.testing.assert_array_equal(read(tmp_path / "out")["a_0.png"], ImageOps.exif_transpose(Image.open(root / name)))


def test_hidden_files_are_not_augmented(tmp_path, images, caplog):
    (images / "._b.png").write_text("of a Mac")
    (images / ".ipynb_checkpoints").mkdir()
    Image.fromarray(picture(5, 8, 6, 3)).save(images / ".ipynb_checkpoints" / "a-checkpoint.png")
    assert len(image_folder.augment_folder(NOTHING, images, tmp_path / "out")) == 4
    assert f"passed over 1 that are no images, such as {images / 'notes.txt'}" in caplog.text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems want names in UTF-8")
def test_names_that_are_no_text(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    Image.fromarray(picture(0, 8, 6, 3)).save(os.fsencode(root) + b"/caf\xe9.png")
    image_folder.augment_folder(NOTHING, root, tmp_path / "out")
    assert (tmp_path / "out" / "visible.csv").read_text() == "file,visible\ncaf\\udce9_0.png,1.000000\n"
    assert os.listdir(os.fsencode(tmp_path / "out")).count(b"caf\xe9_0.png") == 1


def test_overwrite_deletes_nothing(tmp_path, images, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert run(tmp_path, images, HALVED) == 2
    assert "is not empty: choose another folder, or overwrite" in capsys.readouterr().err
    assert run(tmp_path, images, HALVED, "out", "--overwrite") == 0
    assert (out / "mine.txt").read_text() == "keep"


def test_plot_alone(tmp_path, capsys):
    assert main(["augment", "--policy=trivialaugment_wide", f"--plot={tmp_path / 'policy.png'}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"plot": str(tmp_path / "policy.png")}
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
        (("--policy=randaugment", "--images={0}/broken", "--out={0}/out"), "cannot be read as an image"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/broken/a.png"), "is a file"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/empty/out"), "contain one another"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/out", "--copies=0"), "must be at least 1"),
        (("--policy=randaugment", "--images={0}/empty", "--out={0}/out", "--seed=-1"), "a seed must be 0 or more"),
    ],
)
def test_mistakes(tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    assert main(["augment", *(argument.format(tmp_path) for argument in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

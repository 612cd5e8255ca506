"""A run with label maps used after its training: pictures of any size, arrays and files, as maps, overlays, tables."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest
from helpers.pixel_run import NAMES, SHAPE, patches, train_pixels
from PIL import Image

import jaxaug as ja
from jaxaug.cli.main import main
from jaxaug.core.errors import UsageError
from jaxaug.inference import calibrate, export_function, predict_files, predict_label_maps
from jaxaug.inference.label_map_pictures import label_picture
from jaxaug.inference.pictures import resized
from jaxaug.viz import class_palette, overlay


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train_pixels(tmp_path_factory.mktemp("pixels"))


@pytest.fixture(scope="module")
def run(folder):
    return ja.load(folder)


@pytest.fixture(autouse=True)
def cache_of_the_tests(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", jax.config.jax_compilation_cache_dir)


def test_predictions_are_those_of_the_evaluation(run, folder):
    images, label = patches(8, 1)
    said = run.predict(images)
    known = label >= 0
    accuracy = np.mean(said.labels[known] == label[known])
    assert accuracy == pytest.approx(json.loads((folder / "result.json").read_text())["test_pixel_accuracy"])
    assert accuracy > 0.9
    assert said.probabilities.shape == (8, *SHAPE, 3)
    assert said.features.shape == (8, 6, 8, 6)
    np.testing.assert_allclose(said.probabilities.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(said.logits.argmax(-1), said.labels)
    np.testing.assert_array_equal(run.predict(images[:3].astype(np.float32)).labels, said.labels[:3])


def test_pictures_of_other_sizes(run):
    """Each answer has the size of its picture; resized ones are what the network says at the run's size."""
    (large,), (truth,) = patches(1, 5, (24, 32))
    small = patches(2, 6)[0]
    said = run.predict([small[0], large, small[1]])
    assert [one.shape for one in said.labels] == [SHAPE, (24, 32), SHAPE]
    np.testing.assert_array_equal(said.labels[2], run.predict(small).labels[1])
    at_run_size = run.predict(resized(large, SHAPE)[None])
    np.testing.assert_allclose(said.logits[1], resized(at_run_size.logits[0], (24, 32)))
    # A patch has four pixels of the network's size here, which it was trained on, and two where it is resized.
    own = run.predict(large[None], resize=False)
    right, before = (np.mean(x[truth >= 0] == truth[truth >= 0]) for x in (own.labels[0], said.labels[1]))
    assert right > max(0.9, before)
    assert own.features.shape == (1, 12, 16, 6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_resized(dtype, channels):
    """Means of what is averaged, whatever the type; up and down again is nothing lost of what is constant."""
    picture = np.arange(4 * 6 * channels).reshape(4, 6, channels).astype(dtype)
    assert resized(picture, (4, 6)) is picture
    half = resized(picture, (2, 3))
    assert (half.dtype, half.shape) == (dtype, (2, 3, channels))
    np.testing.assert_allclose(half.mean(), picture.mean(), atol=0.6)
    np.testing.assert_array_equal(resized(np.full_like(picture, 7), (9, 5)), 7)


@pytest.fixture
def pictures(tmp_path):
    """Two files of one stem and two sizes, one below, one that cannot be read, and an array."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    images = patches(3, 9, (24, 32))[0]
    Image.fromarray(images[0]).save(tmp_path / "in" / "a.png")
    Image.fromarray(images[1, :20]).save(tmp_path / "in" / "a.bmp")
    Image.fromarray(images[2]).save(tmp_path / "in" / "deep" / "b.png")
    (tmp_path / "in" / "broken.png").write_text("no image")
    np.savez(tmp_path / "in" / "rows.npz", images=images[:2])
    return tmp_path / "in", images


def test_files(folder, run, pictures, tmp_path, capsys):
    root, images = pictures
    arguments = ["predict", str(folder), str(root), str(root / "rows.npz"), f"--out={tmp_path / 'out'}", "--json"]
    assert main([*arguments, "--size=own"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"predicted": 5, "skipped": 1, "out": f"{tmp_path / 'out'}"}
    assert "skipped: " in printed.err
    with (tmp_path / "out" / "predictions.csv").open() as file:
        rows = {line["image"]: line for line in csv.DictReader(file)}
    names = {str(root / "a.png"): "a.png", str(root / "a.bmp"): "a.bmp", str(root / "deep" / "b.png"): "deep/b"}
    names |= {f"{root}/rows.npz[{i}]": f"rows.npz_{i}" for i in range(2)}
    assert {key: line["labels"] for key, line in rows.items()} == {k: f"labels/{v}.png" for k, v in names.items()}
    written = Image.open(tmp_path / "out" / "labels" / "deep" / "b.png")
    said = run.predict(images, resize=False).labels
    palette = class_palette(NAMES)
    np.testing.assert_array_equal(np.asarray(written), said[2])
    np.testing.assert_array_equal(np.asarray(written.convert("RGB")), palette[said[2]])
    over = np.asarray(Image.open(tmp_path / "out" / rows[f"{root}/rows.npz[1]"]["overlay"])).astype(int)
    assert np.abs(over - overlay(images[1], said[1], palette)).mean() < 12  # JPEG's loss
    assert Image.open(tmp_path / "out" / "labels" / "a.bmp.png").size == (32, 20)
    with (tmp_path / "out" / "classes.csv").open() as file:
        assert [[*line.values()] for line in csv.DictReader(file)][2] == ["2", "2", *map(str, palette[2])]


def test_many_classes_are_gray_of_16_bits(tmp_path):
    label = np.array([[0, 299]])
    label_picture(label, class_palette(tuple(map(str, range(300))))).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), label)


def test_the_exported_function_says_each_pixel(run, tmp_path):
    about = export_function(run, tmp_path / "pixels.stablehlo", platforms=("cpu",))
    assert about["outputs"] == {"probabilities": "float32[batch, 12, 16, 3]"}
    images = patches(2, 3)[0]
    function = jax.export.deserialize(bytearray((tmp_path / "pixels.stablehlo").read_bytes()))
    np.testing.assert_allclose(function.call(images), run.predict(images).probabilities, atol=2e-6)


def test_there_are_no_features_of_views_put_together(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["task"]["flip"] = True
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    mirrored = ja.load(tmp_path / "run")
    assert mirrored.predict(patches(2, 3)[0]).features.shape[-1] == 0
    with pytest.raises(UsageError, match="no features of scales, mirrored images or windows"):
        export_function(mirrored, tmp_path / "x.stablehlo", platforms=("cpu",), features=True)


def test_mistakes(run, folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "a.png").write_text("no image")
    for arguments, message in (
        ([], "name a folder for its label maps with --out=DIR"),
        (["--out=x", "--features=f.npz"], "without --features"),
        (["--out=x", "--size=huge"], "unknown size 'huge'"),
        ([f"--out={tmp_path / 'file'}"], "file/classes.csv cannot be written"),
        ([f"--out={tmp_path / 'out'}"], "none of 1 images can be read"),
    ):
        assert main(["predict", str(folder), str(tmp_path / "a.png"), *arguments]) == 2
        assert message in capsys.readouterr().err
    for call, message in (
        (lambda: run.predict([]), "there are no images"),
        (
            lambda: run.predict(np.zeros((2, 5, 5, 1), np.uint8)),
            r"image 0 has shape \[5, 5, 1\]; the run takes \[N H W 3",
        ),
        (lambda: run.predict(np.zeros((2, 5, 5, 3), np.int64)), "images are int64"),
        (lambda: predict_files(run, ["x"], "x.csv"), "says a class for each pixel: predict_label_maps"),
        (lambda: calibrate(run), "says a class for each pixel; temperatures are"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_a_run_that_says_one_class_is_refused(tmp_path):
    class Named:
        has_maps, folder = False, tmp_path

    with pytest.raises(UsageError, match="says a class for each image: predict_files"):
        predict_label_maps(Named(), [], tmp_path)

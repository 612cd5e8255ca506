"""Directions of finished runs and what is drawn of them, where features are known functions of the images."""

import numpy as np
import pytest
from helpers.pixel_run import NAMES, train_pixels
from helpers.settings import tiny_config
from PIL import Image

from jaxaug.analysis import isda_figures
from jaxaug.analysis.isda_figures import ARRAYS, IsdaFigures, Options, densest, draw_isda
from jaxaug.cli.main import main
from jaxaug.core.errors import UsageError
from jaxaug.train import train_and_evaluate


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """On digits, with features that are the normalised pixels: what the loss learns in an epoch is what is there."""
    folder = tmp_path_factory.mktemp("digits")
    config = tiny_config(eval_batch_size=450)
    config.model, config.augment.train = {"name": "linear"}, ()
    config.loss = ({"name": "isda", "covariance": "full"},)
    train_and_evaluate(config, folder)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return IsdaFigures(folder, Options(classes=("3", 7), directions=1, rows=10_000, steps=150, variation=0.0))


def features_of(data, images):
    return ((images / 255 - np.asarray(data.mean)) / np.asarray(data.std)).reshape(len(images), -1)


def test_directions_are_those_of_the_training_rows(found):
    train, arrays = found.data.train, found.arrays()
    own = features_of(found.data, train.image[train.label == 7])
    assert (list(arrays["classes"]), list(arrays["class_names"])) == ([3, 7], ["3", "7"])
    assert arrays["examples"][1] == len(own)
    np.testing.assert_allclose(arrays["mean"][1], own.mean(0), atol=1e-4)
    rising = np.linalg.eigvalsh(np.cov(own.T, bias=True))
    np.testing.assert_allclose(arrays["eigenvalues"][1], rising[::-1], atol=1e-3)
    assert arrays["eigenvectors"].shape == (2, 64, 64)
    # The loss has seen the rows of whole batches: all but a few of them.
    assert 0.95 * len(own) <= arrays["learned_examples"][1] <= len(own)
    np.testing.assert_allclose(arrays["learned_eigenvalues"], arrays["eigenvalues"], rtol=0.2, atol=0.05)


def test_nearest_and_inverted_pictures(found):
    """The nearest image of k = 0 is the one nearest to the mean; an inverted image is moved along the direction."""
    data, strip = found.data, found.nearest().axes[7:]
    images = np.concatenate([data.train.image, data.test.image])
    closest = images[np.argmin(((features_of(data, images) - found.final.mean[1]) ** 2).sum(1))]
    np.testing.assert_array_equal(strip[3].images[0].get_array(), closest[..., 0])
    assert strip[3].get_xlabel() == "7"
    figure = found.inverted()
    assert len(figure.axes) == 4 * 7
    inverted, nearest = figure.axes[14:21], figure.axes[21:]
    start = inverted[3].images[0].get_array().astype(float)  # k = 0
    direction = found.final.direction[1, 0].reshape(8, 8) * np.asarray(data.std) * 255
    expected = start + np.sqrt(found.final.variance[1, 0]) * direction
    moved = inverted[4].images[0].get_array().astype(float)
    inside = (expected > 20) & (expected < 235)  # a pixel cannot leave its range
    assert np.abs(moved - start)[inside].max() > 20
    np.testing.assert_allclose(moved[inside], expected[inside], atol=12)
    assert nearest[3].get_xlabel().isdigit()
    assert inverted[3].get_xlabel().endswith("%")


def test_pixels(tmp_path):
    """Features of label maps are those of pixels; the statistics are of all of them, pictures show surroundings.

    The loss has diagonal covariances, so that directions are single features.
    """
    changes = {"epochs": 1, "save_every": 1, "eval_every": 1, "task": {"name": "segmentation", "flip": True}}
    folder = train_pixels(tmp_path, loss=({"name": "pixel_isda", "strength": 1.0},), **changes)
    found = IsdaFigures(folder, Options(directions=1, steps=2, rows=500))
    arrays = found.arrays()
    assert list(arrays["class_names"]) == list(NAMES)
    coarse = found.data.train.label[:, ::2, ::2][:15]
    assert arrays["examples"].sum() == np.sum(coarse >= 0)
    assert arrays["learned_examples"].sum() == np.sum(found.data.train.label[:, ::2, ::2] >= 0)
    assert (arrays["eigenvectors"].sum(2) == 1).all()
    assert arrays["learned_eigenvalues"].shape == (3, 6)
    nearest = found.nearest()
    assert len(nearest.axes) == 3 * 7
    patch = nearest.axes[3].images[0].get_array()
    assert patch.shape == (24, 24, 3)
    np.testing.assert_array_equal(patch[11, 11], [255, 0, 0])
    assert [axis.get_xlabel() for axis in nearest.axes[3::7]] == list(NAMES)
    assert found.inverted().axes[0].images[0].get_array().shape == (12, 16, 3)


def test_the_densest_square():
    mask = np.zeros((6, 9), bool)
    mask[0, 0] = mask[3:5, 6:8] = True
    assert densest(mask, 3) in [(slice(t, t + 3), slice(c, c + 3)) for t in (2, 3) for c in (5, 6)]
    assert densest(mask, 7) == (slice(0, 6), slice(1, 8))
    assert densest(mask, 99) == (slice(0, 6), slice(0, 9))


def test_the_command(folder, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(isda_figures, "draw_isda", lambda *arguments: asked.extend(arguments) or [ARRAYS])
    arguments = ["--classes=1, cat", "--directions=3", "--isda-rows=300", "--inversion-steps=0"]
    assert main(["plots", "--isda", str(folder), *arguments]) == 0
    assert asked[2] == Options(["1", "cat"], 3, 300, 0)
    assert f"drawn in {folder}: {ARRAYS}" in capsys.readouterr().out


def test_files(found, tmp_path, monkeypatch):
    """What was drawn before is written, and the numbers beside it."""
    monkeypatch.setattr(isda_figures, "IsdaFigures", lambda *arguments: found)
    monkeypatch.setattr(IsdaFigures, "inverted", IsdaFigures.spectra)
    names = draw_isda("run", tmp_path / "new" / "out")
    assert {path.name for path in (tmp_path / "new" / "out").iterdir()} == set(names)
    assert names == [ARRAYS, "isda_spectra.png", "isda_nearest.png", "isda_inverted.png"]
    assert min(Image.open(tmp_path / "new" / "out" / "isda_spectra.png").size) > 300
    with np.load(tmp_path / "new" / "out" / ARRAYS) as content:
        assert list(content["classes"]) == [3, 7]
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"):
        draw_isda("run", tmp_path / "file")


def test_mistakes(folder):
    with pytest.raises(UsageError, match="the run has no class 'cat': they are 0, 1"):
        IsdaFigures(folder, Options(classes=("cat",)))
    for wrong in ({"directions": 0}, {"rows": 0}, {"steps": -1}, {"variation": -1.0}):
        with pytest.raises(UsageError, match="must be at least 1"):
            Options(**wrong)


def test_a_class_without_rows(found, monkeypatch):
    monkeypatch.setattr(found, "classes", [3, 7])
    for _, seen in found.seen:
        monkeypatch.setitem(found.__dict__, "seen", [(found.data.test, seen._replace(label=seen.label * 0))])
    with pytest.raises(UsageError, match="none of the rows that were looked at has the class 3: raise rows"):
        found.inverted()

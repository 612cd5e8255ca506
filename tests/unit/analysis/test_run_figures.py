"""The figures of a run from its folder, or why there is none."""

import json

import numpy as np
import pytest
from helpers.pixel_run import train_pixels
from helpers.weighted_run import train_weights
from PIL import Image

from jaxaug.analysis.run_figures import FIGURES, RunFigures, draw_run, learned_policy_of
from jaxaug.cli import main as command
from jaxaug.core.errors import UsageError
from jaxaug.runs.workdir import read_config
from jaxaug.train.config import complete, default_config

OF_MAPS = ("class_iou.png", "segmentation.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, *train_weights(folder)


def test_a_run(finished, tmp_path, capsys):
    """Every figure but that of the policy, which was not learned; the state is that of the run."""
    folder, config, result = finished
    run = RunFigures(folder, 20)
    assert run.config.to_dict() == complete(config).to_dict()
    assert np.mean(run.on_test[0] == run.experiment.data.test.label) == pytest.approx(result["test_top1"])
    assert run.on_test[1].shape == (450, 64)
    assert command.main(["plots", str(folder), "--out", str(tmp_path / "new"), "--tsne-rows=20"]) == 0
    drawn = set(FIGURES) - {"augmentation.png", *OF_MAPS}
    assert {path.name for path in (tmp_path / "new").iterdir()} == drawn
    for name in drawn:
        assert Image.open(tmp_path / "new" / name).size[0] > 400
    printed = capsys.readouterr().out
    assert f"drawn in {tmp_path / 'new'}: learning.png, weights.png" in printed
    assert "not drawn, augmentation.png: no policy was learned" in printed
    for name in OF_MAPS:
        assert f"not drawn, {name}: its labels are classes of whole images" in printed


def test_a_run_without_its_data(tmp_path):
    """What needs neither data nor checkpoint is drawn; classes have numbers then, and each lack is told."""
    config = default_config()
    config.data = {"name": "folder", "path": str(tmp_path / "lost")}
    config.augment.train = ("affine",)
    (tmp_path / "config.json").write_text(json.dumps(complete(config).to_dict()))
    offsets = {name: np.zeros((3, 1, 7, 1), np.float32) for name in ("logits", "level")}
    np.savez(tmp_path / "per_example.npz", given=np.array([0, 4, 4]), **offsets)
    told = draw_run(tmp_path)
    assert [name for name, why in told.items() if not why] == ["augmentation.png"]
    assert told["weights.png"] == "no weights were learned"
    assert told["learning.png"] == "no epoch has been evaluated yet"
    assert "lost" in told["confusion.png"]
    assert RunFigures(tmp_path).class_names() == tuple("01234")


def test_a_run_with_label_maps(tmp_path):
    """Its figures are of pixels, and say what the result says."""
    run = RunFigures(train_pixels(tmp_path))
    result = json.loads((run.folder / "result.json").read_text())
    pixels = run.pixels
    assert np.trace(pixels) / pixels.sum() == pytest.approx(result["test_pixel_accuracy"])
    assert pixels.sum() == np.sum(run.experiment.data.test.label >= 0)
    assert run.confusion().axes[0].get_title().startswith(f"{100 * result['test_pixel_accuracy']:.2f} % of")
    bars = [bar.get_width() / 100 for bar in run.class_iou().axes[0].patches]
    assert bars == pytest.approx(list(result["class_iou"].values()))
    figure = run.segmentation()
    assert len(figure.axes) == 5 * 6
    assert figure.axes[0].get_ylabel().startswith("test row 0")
    shares = [float(axis.get_ylabel().split("\n")[1].split("%")[0]) / 100 for axis in figure.axes[::5]]
    assert np.mean(shares) == pytest.approx(result["test_pixel_accuracy"], abs=0.1)
    with pytest.raises(UsageError, match="labels are maps"):
        run.tsne()


def test_learned_policy_of_a_config():
    config = default_config()
    with pytest.raises(UsageError, match="no policy was learned"):
        learned_policy_of(config)
    config.augment.train = ("flip", {"name": "policy", "preset": "affine", "exact": False, "learned": "shared"})
    policy, per_row = learned_policy_of(config)
    assert (policy.op.shape, per_row) == ((1, 7, 2), False)
    config.augment.train = ("affine",)
    assert learned_policy_of(config)[1]


def test_mistakes(finished, tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"epochs": "many"}')
    (tmp_path / "file").write_text("")
    for arguments, message in (
        ([str(tmp_path / "none")], "is not the folder of a run"),
        ([str(tmp_path)], "is no config of this version"),
        ([str(finished[0]), "--tsne-rows=0"], "must be at least 1"),
        ([str(finished[0]), "--out", str(tmp_path / "file" / "out")], "cannot write"),
    ):
        assert command.main(["plots", *arguments]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(UsageError, match="not the folder of a run"):
        read_config(tmp_path / "file")

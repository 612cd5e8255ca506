"""What one run has learned, drawn: figures of arrays say what the arrays say; figures of a run's folder, or why not."""

import json

import numpy as np
import pytest
from helpers.settings import tiny_config
from PIL import Image
from test_plots import overlapping, texts_of

from jaxaug import viz
from jaxaug.analysis.run_figures import FIGURES, RunFigures, draw_run, policy_of
from jaxaug.cli import main as command
from jaxaug.core.errors import UsageError
from jaxaug.policies import autodo, presets
from jaxaug.policies.learnable import initial_offsets
from jaxaug.policies.policy import make_policy
from jaxaug.runs.workdir import read_config
from jaxaug.train import trainer
from jaxaug.train.config import default_config

NAMES = ("cat", "dog", "a name that is much too long")


def images_of(figure):
    return [np.ma.filled(axis.images[0].get_array().astype(float), np.nan) for axis in figure.axes if axis.images]


def test_weights():
    """Two histograms that sum to 1; the area is 1 where every wrong row weighs less, 1/2 where weights say nothing."""
    weight = np.array([0.2, 0.3, 1.0, 1.1, 1.2])
    figure = viz.weight_histogram(weight, weight < 0.5)
    (axis,) = figure.axes
    assert axis.get_title() == "learned weights: AUC 1.000 for wrong labels"
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["3 clean rows", "2 mislabelled rows"]
    assert sum(bar.get_height() for bar in axis.patches) == pytest.approx(2.0)
    assert "AUC 0.500" in viz.weight_histogram(np.ones(4), np.array([True, False] * 2)).axes[0].get_title()
    for wrong, told in ((None, "unknown"), (np.zeros(5, bool), "none wrong"), (np.ones(5, bool), "all wrong")):
        (axis,) = viz.weight_histogram(weight, wrong).axes
        assert axis.get_title() == f"learned weights of 5 rows (labels: {told})"
        assert sum(bar.get_height() for bar in axis.patches) == pytest.approx(1.0)


def test_confusion():
    """Rows sum to 1; a class without test rows has none."""
    label, said = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    figure = viz.confusion_matrix(label, said, NAMES)
    np.testing.assert_allclose(images_of(figure)[0], [[2 / 3, 0, 1 / 3], [0, 1, 0], [np.nan] * 3])
    assert figure.axes[0].get_title() == "top-1 75.00 % of 4 rows"
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["0.33", "0.67", "1.00"]
    assert not overlapping(texts_of(figure))
    many = np.arange(150)
    figure = viz.confusion_matrix(many, many, list(map(str, many)))
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_yticklabels()) < 20
    assert max(figure.get_size_inches()) < 20


def test_soft_labels():
    given, clean = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0, 1])
    soft = np.array([2, 1, 0, 1, 2, 1])
    figure = viz.soft_label_flips(given, soft, clean, NAMES)
    wrong, right = images_of(figure)
    np.testing.assert_array_equal(wrong, [[0, 1, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(right, [[0, 0, 1], [0, 0, 0], [0, 0, 0]])
    assert [axis.get_title() for axis in figure.axes] == [
        "4 wrong labels: 50.0 % corrected, 25.0 % flipped to another wrong one",
        "2 right labels: 50.0 % flipped",
    ]
    assert not overlapping(texts_of(figure))
    (axis,) = viz.soft_label_flips(given, soft, None, NAMES).axes
    assert axis.get_title() == "6 labels: 66.7 % flipped"
    titles = [axis.get_title() for axis in viz.soft_label_flips(given, given, given, NAMES).axes]
    assert titles == ["0 wrong labels: none corrected", "6 right labels: 0.0 % flipped"]


def test_tsne():
    """Two heaps stay two heaps, and the same ones at every call; few rows and one feature will do."""
    features = np.random.default_rng(0).normal(size=(20, 5)) + np.arange(20)[:, None] // 10 * 50
    points = viz.tsne(features)
    np.testing.assert_array_equal(points, viz.tsne(features))
    distance = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(20)
    np.testing.assert_array_equal(distance.argmin(1) // 10, np.arange(20) // 10)
    assert viz.tsne(features[:4, :1]).shape == (4, 2)
    with pytest.raises(UsageError, match="at least 4 rows"):
        viz.tsne(features[:3])


@pytest.mark.parametrize("count", [3, 15, 40])
def test_embedding(count):
    points, label = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % count
    figure = viz.embedding(points, label, list(map(str, range(count))))
    drawn = figure.axes[0].collections
    assert sum(len(one.get_offsets()) for one in drawn) == 60
    assert len(drawn) == (count if count <= 20 else 1)
    assert not overlapping(texts_of(figure))


def test_learning():
    """Panels for what there is; accuracies as errors; a search that begins late is drawn from there."""
    history = [
        {"epoch": e, "train_loss": 1 / e, "train_top1": 0.5, "test_nll": 1.0, "test_top1": 0.9} for e in (1, 2, 3)
    ]
    assert [axis.get_ylabel() for axis in viz.learning_curves(history).axes] == ["loss", "error %"]
    history[-1] |= {"search_loss": 2.0, "search_residual": 0.1, "validation_top1": 0.7}
    loss, error, search = viz.learning_curves(history).axes
    lines = {line.get_label(): line.get_xydata().tolist() for axis in (loss, error, search) for line in axis.lines}
    assert lines["trusted rows, in the search"] == [[3, 2.0]]
    assert lines["residual of its solver"] == [[3, 0.1]]
    assert [line.get_ydata()[-1] for line in error.lines] == pytest.approx([50.0, 10.0, 30.0])


def test_uses():
    """By hand: shares 3 : 1, an op in both layers, gates; one policy for each of two rows."""
    first = [[("Rotate", 0.2, 0.5), ("Invert", 0.0, 0.5)], [("Rotate", 0.6, 1.0)]]
    names, times, level = viz.op_usage(make_policy([first, [[("Invert", 0.0, 1.0)]] * 2], shares=[0.75, 0.25]))
    assert names == ("Identity", "Rotate", "Invert")
    np.testing.assert_allclose(times, [0, 0.75 * 1.5, 0.75 * 0.5 + 0.25 * 2])
    np.testing.assert_allclose(level, [np.nan, (0.5 * 0.2 + 0.6) / 1.5, 0.0])
    gates = autodo.affine()
    names, times, level = viz.op_usage(gates.replace(mix=np.zeros((2, 1)), logits=np.stack([gates.logits] * 2)))
    assert set(names) == set(autodo.AFFINE)
    np.testing.assert_allclose(times, np.full((2, 7), 0.2))
    np.testing.assert_allclose(level, np.full((2, 7), 0.5))


def test_augmentation():
    """Means over the rows of a class beside the start; a class without rows is empty."""
    policy = autodo.affine()
    offsets = {name: np.zeros((4, 1, 7, 1), np.float32) for name in ("logits", "level")}
    offsets["level"][:2] = np.log(3.0)
    figure = viz.policy_usage(policy, offsets, np.array([0, 2, 2, 2]), NAMES, "true class")
    times, level = images_of(figure)
    np.testing.assert_allclose(times, [[0.2, 0.2, np.nan, 0.2]] * 7, rtol=1e-6)
    np.testing.assert_allclose(level, [[0.5, 0.75, np.nan, (0.75 + 0.5 + 0.5) / 3]] * 7, rtol=1e-6)
    assert figure.axes[0].get_title() == "probability"
    assert "TranslateX  0 … 0.45" in [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert not overlapping(texts_of(figure))
    random = presets.named("randaugment")
    figure = viz.policy_usage(random, {n: np.asarray(o) for n, o in initial_offsets(random).items()}, None, ())
    times, level = images_of(figure)
    np.testing.assert_allclose(times, np.full((14, 2), 2 / 14), rtol=1e-6)
    assert np.isnan(level[0]).all()  # Identity has no level
    assert figure.axes[0].get_title() == "times per image"
    assert not overlapping(texts_of(figure))
    with pytest.raises(UsageError, match="offsets of a policy"):
        viz.policy_usage(random, offsets, np.zeros(4, int), NAMES)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Weights and soft labels learned on 96 digits in two epochs."""
    config = tiny_config(epochs=2, batch_size=32)
    config.data.update(validation_size=32, train_size=96, noise=0.5)
    config.model = {"name": "linear", "kw": {}}
    config.augment.train = ()
    config.loss.chain = ("targets.learned_targets", "weights.learned_weights")
    config.search.update(name="autodo", start=1, batch_size=32, validation_batch_size=32)
    config.search.direction = "directions.identity"
    folder = tmp_path_factory.mktemp("finished")
    return folder, config, trainer.train_and_evaluate(config, folder)


def test_a_run(finished, tmp_path, capsys):
    """Every figure but that of the policy, which was not learned; the state is that of the run."""
    folder, config, result = finished
    run = RunFigures(folder, 20)
    assert run.config.to_dict() == config.to_dict()
    assert np.mean(run.on_test[0] == run.job.data.test.label) == pytest.approx(result["test_top1"])
    assert run.on_test[1].shape == (450, 64)
    assert command.main(["plots", str(folder), "--out", str(tmp_path / "new"), "--tsne-rows=20"]) == 0
    drawn = set(FIGURES) - {"augmentation.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == drawn
    for name in drawn:
        assert Image.open(tmp_path / "new" / name).size[0] > 400
    printed = capsys.readouterr().out
    assert f"drawn in {tmp_path / 'new'}: learning.png, weights.png" in printed
    assert "not drawn, augmentation.png: no policy was learned" in printed


def test_a_run_without_its_data(tmp_path):
    """What needs neither data nor checkpoint is drawn; classes have numbers then, and each lack is told."""
    config = default_config()
    config.data.name, config.augment.train = "lost", ("affine.affine",)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    offsets = {name: np.zeros((3, 1, 7, 1), np.float32) for name in ("logits", "level")}
    np.savez(tmp_path / "findings.npz", given=np.array([0, 4, 4]), **offsets)
    told = draw_run(tmp_path)
    assert [name for name, why in told.items() if not why] == ["augmentation.png"]
    assert told["weights.png"] == "no weights were learned"
    assert told["learning.png"] == "no epoch has been evaluated yet"
    assert told["confusion.png"].startswith("unknown data name 'lost'")
    assert RunFigures(tmp_path).class_names() == tuple("01234")


def test_policy_of_a_config():
    config = default_config()
    with pytest.raises(UsageError, match="no policy was learned"):
        policy_of(config)
    config.augment.train = ("parts.flip", "policy.policy")
    config.augment.policy.update(preset="affine", exact=False, learned="shared")
    policy, sharing = policy_of(config)
    assert (policy.op.shape, sharing) == ((1, 7, 2), "shared")


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

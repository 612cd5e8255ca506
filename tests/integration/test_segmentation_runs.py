"""Label maps in files laid out as Cityscapes': trained, stopped and resumed, on one device and two, evaluated."""

import contextlib
import json
import signal

import jax
import numpy as np
import pytest
from helpers.processes import kill, run, two_processes
from helpers.road_scenes import get_config, write_cityscapes
from helpers.run_state import assert_same, final_state, on_devices, stop_at

from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.tasks.segmentation import confusion_of
from jaxaug.train import trainer
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import build_experiment

TRAIN, VAL = 10, 5


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with scenes below it."""
    folder = tmp_path_factory.mktemp("scenes")
    write_cityscapes(folder / "tree", train=TRAIN, val=VAL)
    return folder


@pytest.fixture(scope="module")
def straight(root):
    """A run left alone: (config, its final state, result)."""
    config = get_config(root)
    result = trainer.train_and_evaluate(config, root / "straight")
    return config, final_state(root / "straight", config), result


def test_it_learns(straight, root):
    """Statistics of both heads count labelled pixels of the coarse maps alone; figures are those of the records."""
    config, state, result = straight
    records = [json.loads(line) for line in (root / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 8]
    assert records[-1]["train_loss"] < records[0]["train_loss"]
    assert result["test_miou"] == records[-1]["test_miou"] > 0
    for path, pixels in (("", 6 * 8), ("['auxiliary']", 12 * 16)):
        count = state[f".loss_state{path}['pixel_isda'].count"]
        assert set(np.flatnonzero(count)) == {0, 10, 11, 13}  # road, sky, person, car
        assert 0.5 < count.sum() / (8 * config.batch_size * pixels) < 1


def test_stopped_in_an_epoch_and_resumed(straight, root, tmp_path, monkeypatch):
    """Bitwise; but not with another label map."""
    config, state, result = straight
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGTERM, 5)
        with pytest.raises(Interrupted, match="step 5 of 8"):
            trainer.train_and_evaluate(config, tmp_path)
    label = next((root / "tree" / "gtFine" / "train").rglob("*.png"))
    content = label.read_bytes()
    label.write_bytes(content + b" ")
    with pytest.raises(UsageError, match="train label: not what it was"):
        trainer.train_and_evaluate(config, tmp_path)
    label.write_bytes(content)
    assert trainer.train_and_evaluate(config, tmp_path)["test_miou"] == result["test_miou"]
    assert_same(final_state(tmp_path, config), state)


def test_one_device_and_two(straight, root, tmp_path, monkeypatch):
    """States within 1e-6; the confusion of one state exactly, every labelled pixel of every image once."""
    config, both, _ = straight

    def confusion():
        built = build_experiment(config)
        with contextlib.closing(Checkpointer(root / "straight" / "checkpoints")) as checkpointer:
            state = checkpointer.restore(built.abstract_state())
        return built, confusion_of(Evaluator(built, built.data.test).totals(state))

    assert jax.device_count() == 2
    built, found = confusion()
    with monkeypatch.context() as patch:
        on_devices(patch, 1)
        trainer.train_and_evaluate(config, tmp_path)
        assert_same(final_state(tmp_path, config), both, tolerance=1e-6)
        np.testing.assert_array_equal(confusion()[1], found)
    label = built.data.test.label[:]
    np.testing.assert_array_equal(found.sum(axis=1), np.bincount(label[label >= 0], minlength=19))


@pytest.mark.slow
@pytest.mark.fault(
    "SIGKILL at random moments of a training with label maps", "the same command goes on and ends bit for bit the same"
)
def test_killed_and_resumed(root, tmp_path):
    arguments = (f"--config=tests/helpers/road_scenes.py:{root}", "--config.epochs=12")
    assert run(*arguments, f"--workdir={tmp_path}/straight").returncode == 0
    log = tmp_path / "killed" / "helpers.road_scenes.TwoHeads" / "seed_0" / "metrics.jsonl"
    assert kill(arguments, tmp_path / "killed", log)
    kill(arguments, tmp_path / "killed", log)  # it may come to its end
    assert run(*arguments, f"--workdir={tmp_path}/killed").returncode == 0
    config = get_config(root)
    config.epochs = 12
    one, other = (
        final_state(tmp_path / name / "helpers.road_scenes.TwoHeads" / "seed_0", config)
        for name in ("straight", "killed")
    )
    assert_same(one, other)
    assert one[".step"] == 12 * (TRAIN // 4)


@pytest.mark.slow
def test_two_processes_are_one(root, tmp_path):
    """Each reads its share of the files; four devices in two processes and in one."""
    arguments = (f"--config=tests/helpers/road_scenes.py:{root}",)
    two_processes(*arguments, f"--workdir={tmp_path}/two")
    assert run(*arguments, f"--workdir={tmp_path}/one", devices=4).returncode == 0
    folders = [tmp_path / name / "helpers.road_scenes.TwoHeads" / "seed_0" for name in ("one", "two")]
    one, two = (final_state(folder, get_config(root)) for folder in folders)
    assert_same(one, two, tolerance=1e-6)
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    assert results[0]["test_miou"] == pytest.approx(results[1]["test_miou"], abs=1e-3)

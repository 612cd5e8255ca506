"""Averaged weights and micro-batches in whole runs: recorded, saved, resumed, on any number of devices, used."""

import json
import signal

import jax
import numpy as np
import pytest
from helpers.run_state import assert_same, final_state, on_devices, stop_at
from helpers.settings import tiny_config

from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.inference.evaluation import evaluate
from jaxaug.inference.trained_run import load
from jaxaug.train import trainer
from jaxaug.train.experiment import build_experiment
from jaxaug.train.initial_weights import load_weights

DECAY = 0.9


def config_of(**changes):
    """Two micro-batches of rows that the host sends, an average, and nothing that is drawn for a micro-batch alone."""
    config = tiny_config(average_decay=DECAY, accumulate=2, place="host", log_every=1, **changes)
    config.model.update(dropout_rate=0.0, widths=(4, 8))
    config.data.train_size = 320
    return config


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that is left alone: (folder, config, result)."""
    folder, config = tmp_path_factory.mktemp("straight"), config_of()
    return folder, config, trainer.train_and_evaluate(config, folder)


def test_both_are_evaluated(straight):
    """The network and its average, under names of their own, in the record and in the result."""
    folder, _, result = straight
    record = json.loads((folder / "metrics.jsonl").read_text())
    for metric in ("top1", "nll", "ece"):
        assert result[f"averaged_test_{metric}"] == record[f"averaged_test_{metric}"]
    assert record["averaged_test_nll"] != record["test_nll"]


def test_stopped_and_resumed_bitwise(straight, tmp_path, monkeypatch):
    folder, config, result = straight
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGTERM, 3)
        with pytest.raises(Interrupted):
            trainer.train_and_evaluate(config, tmp_path)
    resumed = trainer.train_and_evaluate(config, tmp_path)
    one, other = final_state(tmp_path, config), final_state(folder, config)
    assert any(name.startswith(".average['model_state']") for name in one)
    assert_same(one, other)
    assert resumed["averaged_test_nll"] == result["averaged_test_nll"]


def test_one_device_and_two_agree(straight, tmp_path, monkeypatch):
    folder, config, _ = straight
    both = final_state(folder, config)
    on_devices(monkeypatch, 1)
    trainer.train_and_evaluate(config, tmp_path)
    assert_same(final_state(tmp_path, config), both, tolerance=1e-6)


def test_the_average_is_what_is_asked_for(straight):
    """evaluate and predict give its recorded figures, `init_from` its weights."""
    folder, _, result = straight
    run, plain = load(folder, "averaged"), load(folder)
    data = build_experiment(run.config).data
    found = evaluate(run, data)
    assert found["top1"] == pytest.approx(result["averaged_test_top1"])
    assert found["nll"] == pytest.approx(result["averaged_test_nll"], rel=1e-5)
    image = np.asarray(data.test.image[:4])
    assert not np.array_equal(run.predict(image).logits, plain.predict(image).logits)
    params, statistics = load_weights(folder, "averaged")
    jax.tree.map(np.testing.assert_array_equal, params, jax.device_get(run.state.params))
    jax.tree.map(np.testing.assert_array_equal, statistics, jax.device_get(run.state.model_state))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"average_decay": 1.0}, r"^config\.average_decay: it must be in \[0, 1\), got 1\.0"),
        ({"task": {"name": "fixmatch"}}, r"^config\.average_decay: the task evaluates a network of its own"),
        ({"accumulate": 3}, r"^config\.accumulate: 3 micro-batches .* let it be a multiple of 6"),
        ({"accumulate": 0}, r"^config\.accumulate must be at least 1, got 0"),
        ({"precision": "float16"}, r"^config\.precision: precision must be one of float32, bfloat16, got 'float16'"),
    ],
)
def test_what_cannot_be(changes, message):
    config = config_of()
    config.update(changes)
    if "task" in changes:
        config.augment.strong = ("flip",)
    with pytest.raises(UsageError, match=message):
        build_experiment(config)

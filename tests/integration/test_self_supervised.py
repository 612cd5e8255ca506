"""SimSiam in whole runs: its figures, resumed, on any number of devices, and what is trained from it."""

import json
import signal

import jax
import numpy as np
import pytest
from helpers.run_state import assert_same, final_state, on_devices, stop_at
from helpers.settings import module_of

from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.inference.trained_run import load
from jaxaug.train import trainer
from jaxaug.train.config import complete, expand
from jaxaug.train.experiment import build_experiment
from jaxaug.train.initial_weights import load_weights


def config_of(**changes):
    """The small config's soft variant, smaller, two epochs of four steps."""
    config = expand(module_of("softaug_simsiam").get_config("small"))["soft"]
    config.update({"epochs": 2, "batch_size": 64, "eval_every": 1, "save_every": 1, "log_every": 1, **changes})
    config.model.widths = (4, 8)
    config.task.update(projector=(16, 12), predictor=4)
    config.data.update(train_size=256, labels_per_class=10)
    return config


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that is left alone: (folder, config, result)."""
    folder, config = tmp_path_factory.mktemp("straight"), config_of()
    return folder, config, trainer.train_and_evaluate(config, folder)


def test_figures(straight):
    """Neighbours, probe, similarity and spread are recorded; most rows have no label."""
    folder, config, result = straight
    record = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert result["test_knn_top1"] == record["test_knn_top1"] > 0.2
    assert -1 <= record["train_similarity"] <= 1
    assert 0 < record["train_spread"] <= 1.01
    assert 0 <= record["train_top1"] <= 1
    assert (build_experiment(config).data.train.label < 0).any()


def test_stopped_and_resumed_bitwise(straight, tmp_path, monkeypatch):
    folder, config, result = straight
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGTERM, 3)
        with pytest.raises(Interrupted):
            trainer.train_and_evaluate(config, tmp_path)
    resumed = trainer.train_and_evaluate(config, tmp_path)
    assert_same(final_state(tmp_path, config), final_state(folder, config))
    assert resumed["test_knn_top1"] == result["test_knn_top1"]


def test_one_device_and_two_agree(straight, tmp_path, monkeypatch):
    folder, config, _ = straight
    both = final_state(folder, config)
    on_devices(monkeypatch, 1)
    trainer.train_and_evaluate(config, tmp_path)
    assert_same(final_state(tmp_path, config), both, tolerance=1e-6)


def test_the_network_is_used_without_projector_and_predictor(straight):
    """A linear evaluation begins with its features and keeps them; predict asks the probe."""
    folder, config, _ = straight
    images = build_experiment(config).data.test.image[:3]
    run = load(folder)
    assert run.predict(images).logits.shape == (3, 10)
    linear = module_of("softaug_simsiam").get_config("linear")
    with pytest.raises(UsageError, match=r"config\.init_from: softaug_simsiam: there is no such file or folder"):
        build_experiment(linear_of(linear, config, "softaug_simsiam"))
    built = build_experiment(linear_of(linear, config, str(folder)))
    begun, (params, _) = built.begin(), load_weights(folder)
    assert begun.params.keys() == params.keys() == run.state.params.keys()
    for name in params.keys() - {"head"}:
        jax.tree.map(np.testing.assert_array_equal, begun.params[name], params[name])
    assert not np.array_equal(begun.params["head"]["kernel"], params["head"]["kernel"])


def test_a_run_without_an_average(straight):
    """Said by who is asked for it, with what would keep one."""
    with pytest.raises(UsageError, match=r"keeps no averaged weights, as config\.average_decay would"):
        load(straight[0], "averaged")


@pytest.mark.slow
def test_byol(tmp_path):
    """Its average is what is asked for by that name, and differs from the network."""
    config = config_of(epochs=1)
    config.task = {"name": "byol", "projector": (16, 12), "predictor": 4, "neighbours": 20, "decay": 0.9}
    result = trainer.train_and_evaluate(config, tmp_path)
    assert 0 <= result["test_knn_top1"] <= 1
    run, plain = load(tmp_path, "averaged"), load(tmp_path)
    params, _ = load_weights(tmp_path, "averaged")
    jax.tree.map(np.testing.assert_array_equal, params, jax.device_get(run.state.params))
    images = build_experiment(config).data.test.image[:3]
    assert not np.array_equal(run.predict(images).features, plain.predict(images).features)


def linear_of(linear, config, path):
    linear.model, linear.data, linear.batch_size = config.model, {"name": "digits", "train_size": 256}, 64
    linear.augment.train, linear.init_from.path = (), path
    return linear


def test_recipe():
    """SimSiam's training on CIFAR-10; crops that are told and crops that are not; frozen features."""
    get_config = module_of("softaug_simsiam").get_config
    soft, hard, resized, linear = (complete(get_config(row)) for row in ("soft", "hard", "resized", "linear"))
    assert (soft.batch_size, soft.epochs, soft.optim.learning_rate, soft.optim.weight_decay) == (512, 800, 0.06, 5e-4)
    assert (soft.task.projector, soft.task.predictor, soft.task.neighbours) == ((2048, 2048), 512, 200)
    assert [one.task.softening for one in (soft, hard, resized)] == ["weight", "none", "none"]
    assert {**soft.augment.after[0], "soften": False} == hard.augment.after[0]
    assert resized.augment.train[0]["scale"] == (0.2, 1.0)
    assert linear.optim.rates == (("head", 1.0), ("*", 0.0))

"""A training that begins with weights: of a run, a checkpoint or a file, and what is refused or noticed."""

import jax
import numpy as np
import pytest
from helpers.settings import tiny_config

from jaxaug.core.errors import CannotGoOnError, UsageError
from jaxaug.models import weights
from jaxaug.runs.checkpoint import Checkpointer, saved_steps
from jaxaug.runs.workdir import Workdir
from jaxaug.train import trainer
from jaxaug.train.config import apply_override
from jaxaug.train.experiment import build_experiment
from jaxaug.train.initial_weights import load_weights


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def begun_from(path, **options):
    config = tiny_config()
    config.init_from.update(path=str(path), **options)
    return build_experiment(config)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One epoch of a small network, with validation rows."""
    folder = tmp_path_factory.mktemp("runs")
    config = tiny_config()
    config.data.update(validation_size=100)
    trainer.train_and_evaluate(config, folder / "convnet" / "seed_0")
    return folder


@pytest.fixture(scope="module")
def trained(run):
    return load_weights(run)


def test_the_ways_to_name_a_run(run, trained):
    """By a folder above it, its last or best weights, one of its checkpoints; each gives the arrays it has saved."""
    folder = run / "convnet" / "seed_0"
    (step,) = saved_steps(folder / "checkpoints")
    for path, which in ((folder, "last"), (folder, "best"), (folder / "checkpoints" / str(step), "last")):
        same(load_weights(path, which), trained)
    assert float(np.abs(trained[1]["BatchNorm_0"]["mean"]).max()) > 0


def test_begins_with_the_network_and_nothing_else(run, trained):
    """ISDA's statistics, the optimiser and the count of steps begin anew."""
    experiment = begun_from(run)
    assert experiment.initial.told == f"begins with the weights of {run}: 12 arrays"
    state = experiment.begin()
    same((state.params, state.model_state), trained)
    assert int(state.step) == 0
    assert not np.any(state.loss_state["isda"].count)


def test_a_new_head(run, trained):
    state, fresh = begun_from(run, head="new").begin(), build_experiment(tiny_config()).begin()
    same(state.params["head"], fresh.params["head"])
    same(state.params["Conv_0"], trained[0]["Conv_0"])


def test_a_frozen_backbone_from_a_file(trained, tmp_path):
    """Of a network for other classes; only the head learns. A file that was changed since is noticed."""
    params, model_state = trained
    head = {"kernel": np.zeros((params["head"]["kernel"].shape[0], 3)), "bias": np.zeros(3)}
    weights.save(tmp_path / "other.npz", {**params, "head": head}, model_state)
    config = tiny_config()
    apply_override(config, "init_from", str(tmp_path / "other.npz"))
    apply_override(config, "optim.rates", '(("head", 1.0), ("*", 0.0))')
    config.update({"batch_size": 66, "accumulate": 3})  # whose means of equal statistics are others by a last bit
    trainer.train_and_evaluate(config, tmp_path / "run")
    after = load_weights(tmp_path / "run")
    same(after[1], model_state)
    same({**after[0], "head": head}, {**params, "head": head})
    assert after[0]["head"]["kernel"].shape[1] == 10
    trainer.train_and_evaluate(config, tmp_path / "run")  # nothing was touched
    weights.save(tmp_path / "other.npz", {**params, "head": {**head, "bias": np.ones(3)}}, model_state)
    with pytest.raises(CannotGoOnError, match=r"config\.init_from\.path \(.*other\.npz\): not what it was"):
        trainer.train_and_evaluate(config, tmp_path / "run")


def test_refused_before_anything_is_computed(run, trained, tmp_path):
    (tmp_path / "one.pth").write_bytes(b"x")
    for options, message in [
        (
            {"path": str(tmp_path / "one.pth")},
            r"convert it first: jaxaug convert .*one\.pth --model=NAME --out=one\.npz",
        ),
        ({"path": "resnet50.npz"}, r"resnet50\.npz: there is no such file or folder"),
        ({"path": str(tmp_path)}, "neither a file of weights nor the folder of a run"),
        ({"path": str(run), "weights": "averaged"}, "keeps no averaged weights"),
        ({"path": str(run), "weights": "lst"}, "unknown weights 'lst': did you mean 'last'"),
        ({"path": str(run), "head": "kept"}, "unknown head 'kept'"),
    ]:
        with pytest.raises(UsageError, match=r"^config\.init_from: .*" + message):
            begun_from(**options)
    config = tiny_config()
    config.init_from.path, config.model.widths = str(run), (8, 12)
    with pytest.raises(UsageError, match=r"params/Conv_1/kernel \[3, 3, 8, 16\] instead of \[3, 3, 8, 12\]"):
        build_experiment(config)
    config = tiny_config()
    config.optim.rates = (("heat", 0.5),)
    with pytest.raises(UsageError, match=r"^config\.optim: optim: rates: 'heat' matches nothing; the network's parts"):
        build_experiment(config)


def test_the_network_that_a_task_keeps(tmp_path):
    """A teacher, by its name "averaged"; the next training begins with it on both sides."""
    config = tiny_config()
    config.update({"task": {"name": "mean_teacher", "unlabelled_batch_size": 64}, "loss": ()})
    config.data.update(labels_per_class=10)
    experiment = build_experiment(config)
    begun = experiment.begin()
    teacher = jax.tree.map(lambda x: x + 1, begun.params)
    folder = Workdir(tmp_path, experiment.config.to_dict())
    folder.begin()
    checkpointer = Checkpointer(folder.checkpoints)
    checkpointer.save(begun.replace(task_state={**begun.task_state, "params": teacher}), {})
    checkpointer.close()
    same(load_weights(tmp_path)[0], begun.params)
    same(load_weights(tmp_path, "averaged"), (teacher, begun.model_state))
    config.init_from.update(path=str(tmp_path), weights="averaged")
    state = build_experiment(config).begin()
    same(state.params, teacher)
    same(state.task_state["params"], teacher)

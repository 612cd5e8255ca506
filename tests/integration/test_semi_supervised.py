"""Runs on digits of which few have labels: resumed bitwise, the same on one device and two, or refused."""

import logging

import jax
import numpy as np
import pytest
from helpers.run_state import assert_same, final_state, on_devices, stop_at
from helpers.settings import tiny_config

from jaxaug import inference
from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.core.sharding import put_global
from jaxaug.core.types import Batch
from jaxaug.train import trainer
from jaxaug.train.experiment import build_experiment, step_batches
from jaxaug.train.step import batch_of

STRONG = ({"name": "cutout", "length": 3},)


def few_labels(name="fixmatch", strong=(), **changes):
    config = tiny_config(**changes)
    config.batch_size, config.model.widths = 16, (4,)
    config.data = {"name": "digits", "labels_per_class": 5, "train_size": 300}
    config.task = {"name": name, "unlabelled_batch_size": 32}
    config.augment.strong = STRONG if "match" in name else strong
    return config


def test_stopped_and_resumed_is_the_same_run(tmp_path, monkeypatch):
    """FlexMatch keeps labels of rows, an average and ISDA's statistics; the average is what is evaluated."""
    config = few_labels("flexmatch", epochs=2)
    result = trainer.train_and_evaluate(config, tmp_path / "straight")
    assert build_experiment(config).steps_per_epoch == 250 // 32 == 7
    with monkeypatch.context() as patch:
        stop_at(patch, 15, 9)
        with pytest.raises(Interrupted, match="step 9 of 14"):
            trainer.train_and_evaluate(config, tmp_path / "resumed")
    assert trainer.train_and_evaluate(config, tmp_path / "resumed")["test_top1"] == result["test_top1"]
    straight = final_state(tmp_path / "straight", config)
    assert_same(final_state(tmp_path / "resumed", config), straight)
    assert straight[".task_state['per_example']['label']"].shape == (256,)
    assert np.abs(straight[".task_state['params']['head']['kernel']"] - straight[".params['head']['kernel']"]).max() > 0
    data = build_experiment(config).data
    run = inference.load(tmp_path / "straight")
    found = run.predict(data.test.image).labels
    assert np.mean(found == data.test.label) == pytest.approx(result["test_top1"])


# With a store for rows, with a second network; without either it is `slow`.
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("pi_model", "vat")]


@pytest.mark.parametrize("name", ["temporal_ensembling", "mean_teacher", *SLOW])
def test_one_device_and_two_agree(name, monkeypatch):
    """Two steps; each device has half the rows, and half of what is kept for every row."""
    config = few_labels(name)
    found = []
    for count in (1, 2):
        mesh = on_devices(monkeypatch, count)
        one = build_experiment(config)
        state = jax.jit(one.init, out_shardings=one.shardings())(one.key)
        step = jax.jit(one.train_step, out_shardings=(one.shardings(), None))
        for _, rows in zip(range(2), step_batches(one, 0), strict=False):
            part = one.data.train.at(rows[1][0])
            batch = put_global(
                Batch(part.image, part.label, part.index), jax.sharding.NamedSharding(mesh, jax.P("data"))
            )
            state, totals = step(state, batch)
        found.append(jax.device_get((state.params, state.task_state, totals.sums)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=1e-6), *found)


def test_streams():
    """Labelled rows first; each stream goes through all of its rows before one comes again; resumed exactly."""
    config = few_labels("fixmatch", epochs=3)
    one = build_experiment(config)
    steps = [rows[0] for _, rows in step_batches(one, 0)]
    label = one.data.train.label
    assert all((label[rows[:16]] >= 0).all() and (label[rows[16:]] < 0).all() for rows in steps)
    passed = np.concatenate([rows[16:] for rows in steps])[:250]
    assert len(set(passed.tolist())) == 250
    assert np.bincount(np.concatenate([rows[:16] for rows in steps])[:100]).max() == 2
    later = [rows[0] for _, rows in step_batches(one, 5)]
    assert all((a == b).all() for a, b in zip(steps[5:], later, strict=True))
    config.task["epoch_of"] = "labelled"
    assert build_experiment(config).steps_per_epoch == 50 // 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": {"name": "fixmatch", "unlabelled_batch_size": 512}}, "must be at most the 250 rows without a label"),
        ({"task": {"name": "fixmatch", "unlabelled_batch_size": 31}}, "divisible among 2 devices"),
        ({"augment": {"strong": ()}}, "config.augment: strong: 'fixmatch' needs strong views"),
        ({"task": "vat"}, "config.augment: strong: 'vat' has no strong views: leave it out"),
        ({"task": "classification", "augment": {"strong": ()}}, "config.task: classification: 250 training rows"),
        ({"search": {"name": "autodo"}}, "a search does not go with rows that have no label"),
        ({"augment": {"views": 2}}, "config.augment.views must be 1 for 'fixmatch'"),
        ({"batch_norm_groups": 2}, "config.batch_norm_groups must be 1 for 'fixmatch'"),
        (
            {"augment": {"train": ("mixup",)}, "loss": ("mixed_targets",)},
            "'mixup' mixes rows, and the task FixMatch compares views of one row",
        ),
        ({"data": {"labels_per_class": 40}}, "labels_per_class=40, but class .* has .* labelled training rows"),
    ],
)
def test_what_cannot_be(changes, message):
    config = few_labels("fixmatch")
    for name, value in changes.items():
        if name in ("augment", "data"):
            config[name].update(value)
        else:
            config[name] = {"name": value} if isinstance(value, str) else value
    with pytest.raises(UsageError, match=message):
        build_experiment(config)


def test_without_unlabelled_rows_it_is_classification(caplog):
    """Bit for bit, though an average is kept beside it; and it is told."""
    config = few_labels("mean_teacher")
    config.data = {"name": "digits", "train_size": 100}
    plain = few_labels()
    plain.data, plain.task, plain.augment.strong = config.data, {"name": "classification"}, ()
    found = []
    with caplog.at_level(logging.WARNING):
        experiments = [build_experiment(one) for one in (config, plain)]
    assert caplog.text.count("every training row has a label, so that 'mean_teacher' is its supervised part") == 1
    for one in experiments:
        state = one.init(one.key)
        for _, rows in step_batches(one, 0):
            state = jax.jit(one.train_step)(state, batch_of(one.data.train, rows[0]))[0]
            break
        found.append(jax.device_get((state.params, state.loss_state)))
    jax.tree.map(np.testing.assert_array_equal, *found)

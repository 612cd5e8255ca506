"""Trainings with a search: what they leave behind, resuming, when its steps come, and the mistakes of its config."""

import dataclasses
import json
import signal

import numpy as np
import pytest
from helpers.run_state import assert_same, final_state, stop_at
from helpers.settings import tiny_config

from jaxaug.core.errors import CannotGoOnError, Interrupted, UsageError
from jaxaug.data.contents import row_arrays
from jaxaug.train import trainer
from jaxaug.train.experiment import build_experiment, step_batches

LEARNED = ("learned_targets", "learned_weights")


def config_of(**search):
    """A linear model on digits with wrong labels: 19 steps an epoch; 9 search steps before epochs 1 and 2."""
    config = tiny_config(epochs=3)
    config.model, config.augment.train, config.loss = {"name": "linear"}, (), LEARNED
    config.data.update(validation_size=130, noise=0.2)
    config.search = {"name": "autodo", "start": 1, "batch_size": 128, "validation_batch_size": 64, **search}
    return config


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run left alone: (workdir, config, result)."""
    workdir, config = tmp_path_factory.mktemp("search"), config_of()
    return workdir, config, trainer.train_and_evaluate(config, workdir)


def test_what_a_search_leaves_behind(straight):
    workdir, config, _ = straight
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert "search_loss" not in records[0]
    assert 0 < records[2]["search_loss"] < 1
    assert 0 <= records[2]["search_residual"] < 1
    assert records[2]["search_indefinite"] == 0
    data, found = build_experiment(config).data, np.load(workdir / "per_example.npz")
    np.testing.assert_array_equal(found["index"], data.train.index)
    np.testing.assert_array_equal(found["given"], data.train.label)
    wrong = found["clean"] != found["given"]
    assert wrong.sum() == (data.clean_label != data.train.label).sum() > 100
    assert np.median(found["weight"][wrong]) < np.median(found["weight"][~wrong])
    assert found["soft_given"][wrong].mean() < found["soft_given"][~wrong].mean()
    with np.load(workdir / "rows.npz") as rows:
        expected = row_arrays(data)
        assert {*rows.files} == {*expected} > {"train_label", "clean_label"}
        assert all(np.array_equal(rows[name], array) for name, array in expected.items())


def test_the_state_counts_the_steps(straight):
    workdir, config, _ = straight
    state = final_state(workdir, config)
    assert state[".search_state.step"] == 2 * (len(build_experiment(config).data.train) // 128)
    assert len(state[".search_state.ids"]) % 2 == 0  # rows are added until two devices divide them
    assert state[".meta.per_example['soft']"].shape == (len(state[".search_state.ids"]), 10)


@pytest.mark.parametrize("step", [20, 37])
def test_stopped_and_resumed_is_the_same_run(straight, tmp_path, monkeypatch, step):
    """In the middle of an epoch and just before a pass of the search."""
    workdir, config, _ = straight
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGTERM, step)
        with pytest.raises(Interrupted):
            trainer.train_and_evaluate(config, tmp_path)
    trainer.train_and_evaluate(config, tmp_path)
    assert_same(final_state(tmp_path, config), final_state(workdir, config))


@pytest.mark.parametrize(
    ("start", "every", "expected"),
    [(1, 0, [0, 0, 9, 9, 18]), (0, 0, [9, 9, 18, 18, 27]), (1, 5, [0, 0, 1, 1, 4]), (0, 1, [1, 19, 20, 21, 39])],
)
def test_when_steps_are_due(start, every, expected):
    due = build_experiment(config_of(start=start, every=every)).search.due
    assert [due(step) for step in (0, 18, 19, 20, 38)] == expected


def test_search_steps_are_taken_where_they_are_due():
    """A dispatch of several training steps ends before each that a search step comes before."""
    built = build_experiment(config_of(start=0, every=5))
    built.config.steps_per_dispatch = 8
    steps = [(step, len(rows)) for step, rows in step_batches(built, 0)]
    assert steps[:5] == [(0, 5), (5, 5), (10, 5), (15, 4), (19, 1)]
    assert sum(count for _, count in steps) == built.total_steps
    due = built.search.due
    assert all(due(step) == due(step + count - 1) for step, count in steps)


def test_passes_see_every_row_once():
    search = build_experiment(config_of()).search
    rows, trusted = zip(*(search.rows(n) for n in range(9)), strict=True)
    assert len(np.unique(np.concatenate(rows))) == 9 * 128
    assert len(np.unique(np.concatenate(trusted[:2]))) == 2 * 64
    np.testing.assert_array_equal(search.rows(4)[0], rows[4])
    assert not np.array_equal(search.rows(9)[0], rows[0])


def test_other_rows_are_refused(straight):
    """The rows that a run has been trained on are part of it."""
    workdir, config, _ = straight
    (workdir / "result.json").unlink()

    def others(config):
        built = build_experiment(config)
        label = (built.data.train.label + 1) % 10
        train = dataclasses.replace(built.data.train, label=label)
        return dataclasses.replace(built, data=dataclasses.replace(built.data, train=train))

    with pytest.raises(CannotGoOnError, match=r"read something else before:\n  train label: (\d+) of \1 differ"):
        trainer.train_and_evaluate(config, workdir, build=others)


def unset(config):
    config.loss = ()


def of_solver(**options):
    return lambda config: config.search.update(solver={"name": "conjugate_gradient", **options})


MISTAKES = {
    "no trusted rows": (lambda c: c.data.update(validation_size=0), r"config\.search: .*set validation_size"),
    "nothing to learn": (unset, r"config\.search: there is nothing to learn"),
    "unknown search": (lambda c: c.search.update(name="autodoo"), r"config\.search: .*did you mean 'autodo'"),
    "unknown option": (lambda c: c.search.update(strat=1), r"unknown option 'strat' of search 'autodo': .*'start'"),
    "unknown solver": (
        lambda c: c.search.update(solver="newman"),
        r"config\.search\.solver: unknown solver 'newman': did you mean 'neumann'",
    ),
    "option of another solver": (
        lambda c: c.search.update(solver={"name": "neumann", "damping": 0.1}),
        r"config\.search\.solver: unknown option 'damping' of solver 'neumann'",
    ),
    "unknown part": (lambda c: c.search.update(part=("heads",)), r"config\.search: .*no part 'heads'.*head"),
    "unknown curvature": (
        lambda c: c.search.update(curvature="hesian"),
        r"config\.search: unknown curvature 'hesian': did you mean 'hessian'",
    ),
    "too late": (lambda c: c.search.update(start=3), r"config\.search: .*nothing is searched"),
    "batch and devices": (lambda c: c.search.update(batch_size=65), r"config\.search: .*divided among 2 devices"),
    "batch too large": (lambda c: c.search.update(batch_size=5000), "1217 training rows"),
    "damping": (of_solver(damping=-1.0), r"config\.search: .*damping"),
    "unknown optimiser": (
        lambda c: c.search.update(optim={"name": "sgd"}),
        r"config\.search\.optim: unknown meta_optimizer 'sgd': did you mean 'normalized_sgd'",
    ),
    "rate": (
        lambda c: c.search.update(optim={"name": "rmsprop", "learning_rate": 0.0}),
        r"config\.search: .*learning_rate must be above 0",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    mistake, message = MISTAKES[name]
    config = config_of()
    mistake(config)
    with pytest.raises(UsageError, match=message):
        build_experiment(config)


def test_non_finite_gradient(tmp_path):
    """The message comes at the next record, and names what to lower."""
    config = config_of()
    config.search.optim = {"name": "rmsprop", "learning_rate": 1e38}
    with pytest.raises(UsageError, match="not finite"):
        trainer.train_and_evaluate(config, tmp_path)


def test_all_four_in_one_run(tmp_path):
    """A soft crop with a learned exponent, ISDA with a learned strength, a learned policy, weights per row."""
    config = config_of(start=0)
    config.epochs = 1
    policy = {"name": "policy", "preset": "affine", "exact": False, "border": "edge", "learned": "shared"}
    soft_crop = {"name": "soft_crop", "sigma": 0.2, "relative": True, "fill": "zero", "closing": 0.0}
    config.augment.train = (policy, soft_crop)
    isda = {"name": "isda", "learned": True, "strength": 0.5, "schedule": "constant", "covariance": "diagonal"}
    config.loss = ({"name": "soft_targets", "learned": True}, isda, "learned_weights")
    trainer.train_and_evaluate(config, tmp_path)
    state = final_state(tmp_path, config)
    names = ["softening']", "strength']", "policy']['level']", "policy']['logits']"]
    for name in [f".meta.shared['{name}" for name in names] + [".meta.per_example['weight']"]:
        assert np.abs(state[name]).max() > 0.01, name


def with_learned(run):
    config = config_of()
    config.epochs, config.search = 1, {"name": "learned", "run": str(run)}
    return config


def test_what_was_learned_is_used_by_another_training(straight, tmp_path):
    """Another network on the same rows, and on fewer: it begins, and ends, with their weights and soft labels."""
    workdir, _, _ = straight
    again = with_learned(workdir)
    again.seed, again.data.seed = 5, 0
    trainer.train_and_evaluate(again, tmp_path / "again")
    before, after = (np.load(folder / "per_example.npz") for folder in (workdir, tmp_path / "again"))
    for name in ("index", "weight", "soft", "soft_given"):
        np.testing.assert_allclose(before[name], after[name], rtol=1e-6)
    for changes, message in (
        ({"run": str(tmp_path)}, "there is no .*learned.npz"),
        ({"run": ""}, "run must be the folder of a finished run"),
        ({"loss": ()}, "no transform of this config is learned"),
        ({"loss": (*LEARNED, {"name": "isda", "learned": True})}, "has no 'shared/strength': that run learned"),
        ({"loss": ({"name": "learned_targets", "rank": 2},)}, "has no 'shared/soft_basis'"),
    ):
        other = with_learned(changes.get("run", workdir))
        other.loss = changes.get("loss", other.loss)
        with pytest.raises(UsageError, match=f"^config.search: learned: .*{message}"):
            build_experiment(other)

"""Whole runs on real digits: what they leave behind, resuming, stopping, and every mistake a user can make."""

import functools
import json
import re
import signal

import jax
import numpy as np
import pytest
from helpers.run_state import assert_same, final_state, on_devices, stop_at
from helpers.settings import ROOT, tiny_config
from matplotlib.figure import Figure

from jaxaug.cli.main import STOPPED, main
from jaxaug.core.errors import Interrupted, UsageError
from jaxaug.core.sharding import put_global, replicated, sharded_along
from jaxaug.runs.checkpoint import Checkpointer
from jaxaug.train import sweep, trainer
from jaxaug.train.evaluator import Evaluator
from jaxaug.train.experiment import build_experiment
from jaxaug.train.step import batch_of


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of three epochs, left alone: (workdir, config, result)."""
    workdir = tmp_path_factory.mktemp("straight")
    config = tiny_config(epochs=3)
    return workdir, config, trainer.train_and_evaluate(config, workdir)


def test_a_run_leaves_its_record(straight):
    workdir, _, result = straight
    names = {path.name for path in workdir.iterdir()}
    assert {"config.json", "environment.json", "metrics.jsonl", "tensorboard", "checkpoints", "curves.png"} <= names
    environment = json.loads((workdir / "environment.json").read_text())
    assert environment["packages"]["jax"] == jax.__version__
    assert environment["code"] != "unknown"
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == [1, 2, 3]
    assert [r["step"] for r in records] == [21, 42, 63]
    assert records[-1]["train_loss"] < records[0]["train_loss"]
    assert result["test_top1"] == records[-1]["test_top1"] > 0.25
    assert result["last10_top1"] == pytest.approx(np.mean([r["test_top1"] for r in records]))
    assert result["best_on_test_top1"] == max(r["test_top1"] for r in records)
    assert (workdir / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_complete_run_is_not_repeated(straight, capsys):
    workdir, config, result = straight
    assert trainer.train_and_evaluate(config, workdir, build=None) == result
    assert capsys.readouterr().out == f"digits: finished before; nothing was trained ({workdir.resolve()})\n"


def test_stopped_and_resumed_is_the_same_run(straight, tmp_path, monkeypatch, capsys):
    """A signal at the end of an epoch saves; the same call goes on to bitwise the same state, and says so at first."""
    _, config, result = straight
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGINT, 42)
        with pytest.raises(Interrupted, match="step 42 of 63"):
            trainer.train_and_evaluate(config, tmp_path)
    assert capsys.readouterr().out.splitlines()[0] == f"digits: begins, 63 steps ({tmp_path.resolve()})"
    assert not (tmp_path / "result.json").exists()
    resumed = trainer.train_and_evaluate(config, tmp_path)
    assert capsys.readouterr().out.splitlines()[0] == f"digits: goes on from step 42 of 63 ({tmp_path.resolve()})"
    assert_same(final_state(tmp_path, config), final_state(straight[0], config))
    assert {k: v for k, v in resumed.items() if "test" in k} == {k: v for k, v in result.items() if "test" in k}
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_command_that_was_stopped_has_an_exit_code_of_its_own(straight, tmp_path, monkeypatch, capsys):
    """A signal in the middle of an epoch: 3; 0 when the same command has gone on, to bitwise the same state."""
    file, (workdir, config, _) = tmp_path / "tiny.py", straight
    file.write_text(
        "from helpers.settings import tiny_config\n\n\ndef get_config():\n    return tiny_config(epochs=3)\n"
    )
    command = ["train", f"--config={file}", f"--workdir={tmp_path}/run", "--quiet", "--noreport"]
    with monkeypatch.context() as patch:
        stop_at(patch, signal.SIGTERM, 30)
        assert main(command) == STOPPED == 3
    assert "step 30 of 63" in (told := capsys.readouterr()).err
    assert not told.out
    assert main(command) == 0
    assert_same(final_state(tmp_path / "run" / "convnet" / "seed_0", config), final_state(workdir, config))


def test_several_steps_in_one_call(straight, tmp_path):
    """An epoch that they do not divide included."""
    config = tiny_config(epochs=3, steps_per_dispatch=4)
    result = trainer.train_and_evaluate(config, tmp_path)
    assert_same(final_state(tmp_path, config), final_state(straight[0], config), 2e-4)
    assert result["test_top1"] == pytest.approx(straight[2]["test_top1"], abs=2e-4)


def test_rows_sent_ahead_from_the_host(tmp_path, monkeypatch):
    """Bitwise the run whose rows lie on the devices, as XLA compiles by default.

    Its older emitters, which the other tests use since they are quick, round differently where a gather is fused.
    """
    monkeypatch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options={"xla_cpu_use_fusion_emitters": True}))
    there, sent = tiny_config(epochs=2), tiny_config(epochs=2, place="host", prefetch=3)
    expected = trainer.train_and_evaluate(there, tmp_path / "there")
    result = trainer.train_and_evaluate(sent, tmp_path / "sent")
    assert_same(final_state(tmp_path / "sent", sent), final_state(tmp_path / "there", there))
    assert result["test_top1"] == expected["test_top1"]


def test_one_device_and_two_agree(tmp_path, monkeypatch):
    """The same parameters, BatchNorm and ISDA statistics within 1e-6 after 21 steps; each device has half the rows."""
    config = tiny_config()
    assert jax.device_count() == 2
    trainer.train_and_evaluate(config, tmp_path / "two")
    both = final_state(tmp_path / "two", config)
    with monkeypatch.context() as patch:
        on_devices(patch, 1)
        trainer.train_and_evaluate(config, tmp_path / "one")
        assert_same(final_state(tmp_path / "one", config), both, tolerance=1e-6)


def test_two_devices_share_the_work():
    """The compiled step convolves 32 of the 64 rows on each device."""
    built = build_experiment(tiny_config())
    everywhere = replicated(built.mesh)
    state = jax.jit(built.init, out_shardings=everywhere)(built.key)
    source = put_global(built.data.train, everywhere)
    rows = put_global(np.arange(64, dtype=np.int32), sharded_along(built.mesh, 0))
    step = jax.jit(lambda s, d, r: built.train_step(s, batch_of(d, r)), out_shardings=everywhere)
    text = step.lower(state, source, rows).compile().as_text()
    assert "f32[32,8,8,8]" in text
    assert "f32[64,8,8,8]" not in text


def test_evaluation_counts_every_row_once():
    """450 test rows in batches of 128 on two devices: the padding changes nothing."""
    built = build_experiment(tiny_config())
    state = jax.jit(built.init, out_shardings=replicated(built.mesh))(built.key)
    evaluator = Evaluator(built, built.data.test)
    found = evaluator(state)
    whole = built.data.test
    batch = batch_of(put_global(whole, replicated(built.mesh)), np.arange(450))
    expected = jax.device_get(built.task.eval_sums(built.predict(state, batch), batch))
    assert expected["top1"][1] == 450
    assert found["top1"] == pytest.approx(float(expected["top1"][0] / 450))
    assert found["nll"] == pytest.approx(float(expected["nll"][0] / 450), rel=1e-5)


def test_non_finite_loss(tmp_path):
    """The message names the first bad step; the last good checkpoint stays and still loads."""
    config = tiny_config(epochs=4)
    config.loss = (*config.loss, "helpers.overflowing_loss.late")
    with pytest.raises(UsageError, match=r"not finite at step 51 \(epoch 2\).*step 42, is kept"):
        trainer.train_and_evaluate(config, tmp_path)
    assert final_state(tmp_path, config)[".step"] == 42


def test_saving_does_not_wait_for_an_evaluation(tmp_path):
    config = tiny_config(epochs=3, eval_every=3, save_every=2)
    trainer.train_and_evaluate(config, tmp_path)
    kept = {int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {42, 63}


def test_divergence_is_not_saved(tmp_path):
    config = tiny_config()
    config.optim.learning_rate = 1e30
    with pytest.raises(UsageError, match="not finite"):
        trainer.train_and_evaluate(config, tmp_path)
    assert Checkpointer(tmp_path / "checkpoints").latest is None


def test_best_checkpoint_on_validation(tmp_path):
    """The epoch chosen on validation has a checkpoint, whatever `save_every` is."""
    config = tiny_config(epochs=4, save_every=10)
    config.data.validation_size = 0.2
    result = trainer.train_and_evaluate(config, tmp_path)
    assert 1 <= result["chosen_epoch"] <= 4
    assert {"chosen_top1", "chosen_nll"} <= result.keys()
    kept = {int(p.name) for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()}
    steps_per_epoch = round(0.8 * 1347) // 64
    assert {4 * steps_per_epoch, int(result["chosen_epoch"]) * steps_per_epoch} <= kept


def test_sweep(tmp_path, capsys):
    """Two variants and two seeds: one table, one figure, four runs; a second call repeats none."""
    config = tiny_config(seeds=2)
    config.variants = {"plain": {"loss": ()}, "isda": {}}
    results = sweep.run(config, tmp_path)
    assert {name: len(runs) for name, runs in results.items()} == {"plain": 2, "isda": 2}
    printed = capsys.readouterr().out
    assert "±" in printed
    assert "plain (n=2)" in printed
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["results"] == results
    assert table["environment"]["packages"]["jax"] == jax.__version__
    assert (tmp_path / "curves.png").exists()
    saved = json.loads((tmp_path / "plain" / "seed_1" / "config.json").read_text())
    assert saved["seed"] == 1
    assert saved["loss"] == []
    capsys.readouterr()
    assert sweep.run(config, tmp_path) == results
    assert capsys.readouterr().out.count("finished before; nothing was trained") == 4


def test_a_sweep_builds_and_reads_once(tmp_path, monkeypatch):
    """An experiment for each run, and the data once for all of them; a finished run needs none."""
    built, read = [], []
    build, load = sweep.build_experiment, sweep.load_dataset
    monkeypatch.setattr(sweep, "build_experiment", lambda *arguments: built.append(arguments) or build(*arguments))
    monkeypatch.setattr(sweep, "load_dataset", lambda config: read.append(config.data.name) or load(config))
    config = tiny_config(variants={"plain": {"loss": ()}, "isda": {}})

    def stopped(config, folder, title, *, on_change, build):
        build(config)
        return {"test_top1": 0.5}

    monkeypatch.setattr(sweep, "train_and_evaluate", stopped)
    monkeypatch.setattr(sweep, "training_curves", lambda *arguments: Figure())
    monkeypatch.setattr(sweep, "save_evaluation_figures", lambda *arguments: None)
    sweep.run(config, tmp_path)
    assert (len(built), read) == (2, ["digits"])
    config.variants.isda = {"data": {"validation_size": 100}}
    sweep.run(config, tmp_path)
    # The experiment of the second data set was checked and not kept: it is built again when its turn comes.
    assert (len(built), len(read)) == (5, 3)


def test_workdir_of_another_config(straight):
    workdir, _, _ = straight
    config = tiny_config(epochs=3)
    config.model.widths = (8, 24)
    with pytest.raises(UsageError, match=r"(?s)model\.widths.*another --workdir"):
        trainer.train_and_evaluate(config, workdir)


def test_checkpoint_of_another_model(straight, tmp_path):
    """The config file is gone, the checkpoint is there: its structure tells."""
    workdir, _, _ = straight
    config = tiny_config(epochs=3)
    config.model.widths = (8, 24)
    (tmp_path / "checkpoints").symlink_to(workdir / "checkpoints")
    with pytest.raises(UsageError, match="of another model, data set or optimiser"):
        trainer.train_and_evaluate(config, tmp_path)


def test_checkpoint_of_another_data_set(straight):
    """Same shapes, other images: the name tells."""
    workdir, config, _ = straight
    checkpointer = Checkpointer(workdir / "checkpoints", {"data": "mnist", "model": "convnet"})
    with pytest.raises(UsageError, match="data: checkpoint digits, this run mnist"):
        checkpointer.restore(build_experiment(config).abstract_state())


def test_unwritable_workdir(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to the workdir"):
        trainer.train_and_evaluate(tiny_config(), tmp_path / "file" / "run")


def test_readme_names_real_files():
    """Every path that the README links to exists."""
    for target in re.findall(r"\]\(((?!http)[^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target

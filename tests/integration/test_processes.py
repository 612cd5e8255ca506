"""The command line, as a user or a cluster runs it: killed and resumed, in two processes, with mistakes."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.processes import environment, kill_and_resume, run, two_processes
from helpers.run_state import assert_same, final_state
from helpers.settings import ROOT, module_of, tiny_config

from jaxaug.policies.policy import Policy
from jaxaug.runs.workdir import fingerprint
from jaxaug.train import trainer
from jaxaug.train.config import complete

SMOKE = ("--config=configs/smoke.py", "--config.model.widths=(8, 16)", "--config.data.validation_size=0")
SEARCH = (
    *("--config=configs/deepaa_search_digits.py", "--config.epochs=1", "--config.log_every=1"),
    *("--config.model.widths=(8, 16)", "--config.search.ops=('Rotate', 'Invert', 'TranslateX')"),
    *(f"--config.search.{field}" for field in ("num_layers=2", "updates=3", "images=4", "refine=1")),
)


def smoke_config(**changes):
    config = module_of("smoke").get_config()
    config.update({"model": {"widths": (8, 16)}, "data": {"validation_size": 0}, **changes})
    return config


@pytest.mark.fault(
    "SIGKILL at random moments of a training with ISDA", "the same command goes on and ends bit for bit the same"
)
def test_killed_and_resumed_is_bitwise_the_same(tmp_path):
    """SIGKILL at random moments, mid-step or mid-save; the same command ends where an undisturbed one does."""
    arguments = (*SMOKE, "--config.epochs=12")
    assert run(*arguments, f"--workdir={tmp_path}/straight").returncode == 0
    kill_and_resume(arguments, tmp_path / "killed", "metrics.jsonl", times=1)
    config = smoke_config(epochs=12)
    one, other = (final_state(tmp_path / name / "convnet" / "seed_0", config) for name in ("straight", "killed"))
    assert_same(one, other)
    assert one[".step"] == 12 * 21


@pytest.mark.fault("SIGKILL at random moments of a DeepAA search", "the same command goes on and finds the same policy")
@pytest.mark.slow
def test_policy_search_killed_and_resumed(tmp_path):
    """The same policy, byte for byte."""
    assert run(*SEARCH, f"--workdir={tmp_path}/straight").returncode == 0
    kill_and_resume(SEARCH, tmp_path / "killed", "search.jsonl")
    one, other = (tmp_path / name / "convnet" / "seed_0" / "policy.json" for name in ("straight", "killed"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_policy_search_in_two_processes(tmp_path):
    """The policy of one process with as many devices."""
    two_processes(*SEARCH, f"--workdir={tmp_path}/two")
    assert run(*SEARCH, f"--workdir={tmp_path}/one", devices=4).returncode == 0
    found = [Policy.load(tmp_path / name / "convnet" / "seed_0" / "policy.json") for name in ("one", "two")]
    one, two = (policy.probabilities()[1] for policy in found)
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("resumed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_are_one(tmp_path, resumed):
    """The parameters of one process within 1e-6 after an epoch, and, resumed from there, after two."""
    arguments = (*SMOKE, "--config.epochs=2")
    config = smoke_config(epochs=2)
    printed = two_processes(*arguments, f"--workdir={tmp_path}/two")
    assert "top-1" in printed[0]
    assert "top-1" not in printed[1]
    one, two = tmp_path / "one", tmp_path / "two" / "convnet" / "seed_0"
    trainer.train_and_evaluate(config, one)
    assert_same(final_state(one, config, step=21), final_state(two, config, step=21), tolerance=1e-6)
    if resumed:  # as if it had been stopped after the first epoch
        shutil.rmtree(two / "checkpoints" / "42")
        (two / "result.json").unlink()
        two_processes(*arguments, f"--workdir={tmp_path}/two")
    assert_same(final_state(one, config), final_state(two, config), tolerance=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config.epohcs=3",), "unknown setting config.epohcs: did you mean 'epochs'?"),
        (("--config.epochs=many",), "config.epochs must be a whole number, got 'many'"),
        (("--config=configs/nowhere.py",), "there is no config configs/nowhere.py"),
        (("epochs=3",), "settings look like"),
        (("--config.model.name=convnest",), "did you mean 'convnet'"),
        (("--config.data.name=mnist", "--config.data.download=False"), "mnist is not on this machine"),
        (("--coordinator=127.0.0.1:1",), "--num_processes"),
        (("--config.loss.isda.ordr=x",), "unknown setting config.loss.isda.ordr: did you mean 'order'?"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message, tmp_path):
    """Exit status 2, no traceback, within seconds of a processor's time, however busy the machine is."""
    began = os.times()
    done = run(
        "--config=configs/smoke.py",
        *arguments,
        f"--workdir={tmp_path}/run",
        HOME=str(tmp_path),
        JAXAUG_DATA_DIR=str(tmp_path),
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    now = os.times()
    assert now.children_user - began.children_user + now.children_system - began.children_system < 30


def test_import_is_light():
    """`import jaxaug` and a loss of it load no data, checkpoint, plotting or TensorBoard library."""
    heavy = ("tensorflow_datasets", "orbax", "matplotlib", "tensorboardX", "sklearn", "scipy.io")
    code = f"import jaxaug, sys; jaxaug.losses.isda(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment())
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_default_workdir_tells_configs_apart():
    def of(**changes):
        return fingerprint(complete(tiny_config(**changes)).to_dict())

    assert of() == of()
    assert of() != of(epochs=2)
    assert np.unique([len(of(epochs=n)) for n in range(1, 5)]) == [6]

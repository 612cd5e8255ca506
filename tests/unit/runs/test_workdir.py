"""The folder of a run: what it holds, which configs it refuses, and that a fingerprint tells configs apart."""

import dataclasses
import json
import os

import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxaug import runs
from jaxaug.core.errors import CannotGoOnError, UsageError
from jaxaug.runs.inputs import Inputs, read_inputs
from jaxaug.runs.workdir import Workdir, fingerprint, read_config, set_aside

CONFIG = {"seed": 0, "loss": ({"name": "isda", "strength": 0.5},), "model": {"name": "convnet", "widths": (8, 16)}}


def test_a_config_comes_back_as_it_was_given(tmp_path):
    Workdir(tmp_path, CONFIG).begin()
    assert read_config(tmp_path) == CONFIG
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["packages"]["numpy"] == np.__version__
    with pytest.raises(UsageError, match=r"is not the folder of a run: it has no config\.json; a training names"):
        read_config(tmp_path / "elsewhere")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"is not the folder of a run, its config\.json cannot be read"):
        read_config(tmp_path)


def test_a_run_of_another_config_is_refused(tmp_path):
    for _ in range(2):
        workdir = Workdir(tmp_path, CONFIG)
        workdir.begin()
        workdir.close()
    with pytest.raises(
        UsageError,
        match=r"holds a run of another config:\n  seed: there 0, now 1\nChoose another --workdir, or --restart",
    ):
        Workdir(tmp_path, {**CONFIG, "seed": 1})
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to the workdir"):
        Workdir(tmp_path / "file" / "run", CONFIG)


def test_on_what_a_run_is_carried_out_may_differ(tmp_path):
    """A run goes on with other devices: nothing is refused, and the folder keeps its name."""
    one, other = ({**CONFIG, "mesh": {"fsdp": size}} for size in (1, 2))
    for config in (one, other, CONFIG):
        workdir = Workdir(tmp_path, config, may_differ=("mesh",))
        workdir.begin()
        workdir.close()
    with pytest.raises(UsageError, match="mesh"):
        Workdir(tmp_path, one)
    assert fingerprint(one, ("mesh",)) == fingerprint(other, ("mesh",)) == fingerprint(CONFIG)
    assert fingerprint(one) != fingerprint(other)


def test_one_process_at_a_time(tmp_path):
    workdir = Workdir(tmp_path, CONFIG)
    with pytest.raises(
        UsageError, match=rf"process {os.getpid()} on .* works in the workdir .*wait for it, stop it, or"
    ):
        Workdir(tmp_path, CONFIG)
    workdir.close()
    Workdir(tmp_path, CONFIG).close()


def test_set_aside(tmp_path):
    """Nothing is lost, however often."""
    for number in (1, 2):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "note").write_text(str(number))
        assert set_aside(tmp_path / "run") == tmp_path / "replaced" / f"run-{number}"
        assert (tmp_path / "replaced" / f"run-{number}" / "note").read_text() == str(number)
    with pytest.raises(UsageError, match="cannot be moved to"):
        set_aside(tmp_path / "run")


INPUTS = Inputs({"train_image": "1"}, {"train_label": np.arange(3)}, "as they are")


def check(path, inputs, **options):
    """Whether the run may have been touched, and a run that begins or goes on with these inputs."""
    workdir = Workdir(path, CONFIG)
    try:
        touched = workdir.touched(inputs.facts)
        workdir.check_inputs(lambda: inputs, **options)
        workdir.begin()
        return touched
    finally:
        workdir.close()


def test_inputs_are_remembered(tmp_path):
    """Also those that were agreed to; a folder of an older version, which kept none, goes on and has them then."""
    assert check(tmp_path, INPUTS)
    assert not check(tmp_path, INPUTS)
    assert check(tmp_path, dataclasses.replace(INPUTS, facts=""))
    other = dataclasses.replace(INPUTS, digests={"train_image": "2"})
    with pytest.raises(CannotGoOnError, match=r"(?s)read something else before:\n  train image: .*--accept_inputs"):
        check(tmp_path, other)
    check(tmp_path, other, accept=True)
    check(tmp_path, other)
    assert read_inputs(tmp_path / "inputs.json")["accepted"] == ["train image: not what it was"]
    (tmp_path / "inputs.json").unlink()
    check(tmp_path, INPUTS)
    with pytest.raises(CannotGoOnError):
        check(tmp_path, other)


def test_inputs_of_a_run_that_never_began_bind_nobody(tmp_path):
    check(tmp_path, INPUTS)
    (tmp_path / "config.json").unlink()
    check(tmp_path, dataclasses.replace(INPUTS, digests={"train_image": "2"}))


def test_history_and_result(tmp_path):
    """Records after the step from which a run goes on are dropped for good."""
    workdir = Workdir(tmp_path, CONFIG)
    assert workdir.history() == []
    records = [{"step": step, "epoch": step // 10, "train_loss": 1 / step} for step in (10, 20, 30)]
    for record in records:
        workdir.log(record)
    workdir.close()
    assert workdir.history() == records
    assert workdir.history(until_step=20) == workdir.history() == records[:2]
    assert list((tmp_path / "tensorboard").iterdir())
    assert not workdir.complete()
    workdir.finish({"test_top1": 0.5})
    assert workdir.complete()
    assert workdir.result() == {"test_top1": 0.5}


def test_fingerprints():
    """The same for the same fields in any kind of mapping and order, another one for another value."""
    assert fingerprint(CONFIG) == fingerprint(dict(reversed(CONFIG.items())))
    assert fingerprint(ConfigDict({"a": 1, "b": {"c": (2, 3)}})) == fingerprint({"b": {"c": [2, 3]}, "a": 1})
    assert len({fingerprint({**CONFIG, "seed": seed}) for seed in range(5)}) == 5
    assert len(fingerprint(CONFIG)) == 6


def test_the_face():
    assert dir(runs) == sorted(runs.__all__)
    assert all(getattr(runs, name).__doc__ for name in runs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'walk'"):
        _ = runs.walk

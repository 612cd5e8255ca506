"""The folder of a run: what it holds, which configs it refuses, and that a fingerprint tells configs apart."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from jaxaug import runs
from jaxaug.core.errors import UsageError
from jaxaug.runs.workdir import Workdir, fingerprint, read_config

CONFIG = {"seed": 0, "loss": ({"name": "isda", "strength": 0.5},), "model": {"name": "convnet", "widths": (8, 16)}}


def test_a_config_comes_back_as_it_was_given(tmp_path):
    Workdir(tmp_path, CONFIG).begin()
    assert read_config(tmp_path) == CONFIG
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["packages"]["numpy"] == np.__version__
    with pytest.raises(UsageError, match=r"is not the folder of a run, its config\.json cannot be read"):
        read_config(tmp_path / "elsewhere")


def test_a_run_of_another_config_is_refused(tmp_path):
    Workdir(tmp_path, CONFIG).begin()
    Workdir(tmp_path, CONFIG)
    with pytest.raises(UsageError, match=r"holds a run of another config:\n  seed: there 0, now 1\nChoose another --w"):
        Workdir(tmp_path, {**CONFIG, "seed": 1})
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to the workdir"):
        Workdir(tmp_path / "file" / "run", CONFIG)


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

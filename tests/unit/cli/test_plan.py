"""The command that plans: what it hands on, what it prints, and what it sets before JAX is loaded."""

import importlib
import json
import os

import jax
import pytest
from helpers.settings import ROOT

from jaxaug.cli.main import main
from jaxaug.planning.compiled import Cost
from jaxaug.planning.plan import Plan
from jaxaug.planning.topology import Devices

SMOKE = f"--config={ROOT / 'configs' / 'smoke.py'}"


@pytest.fixture
def asked(monkeypatch):
    """What is planned, in order; each plan is of one step of two devices."""
    told = []
    devices = jax.devices()[:2]  # now, so that what the command sets changes nothing for other tests

    def plan(config, topology, *, steps, largest, reading):
        told.append((config.batch_size, topology, steps, largest, reading))
        return Plan(Devices(topology, devices, None), {"train": Cost(2.0**20, flops=6.0)}, {"train": 64})

    monkeypatch.setattr(importlib.import_module("jaxaug.planning.plan"), "plan", plan)
    for name in ("JAX_PLATFORMS", "XLA_FLAGS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back at the end
    return told


def test_what_is_handed_on_and_printed(asked, capsys):
    """Every topology with the same steps and settings of the config."""
    arguments = ["--topology=cpu:2,cpu:4", "--steps=train", "--no_largest", "--config.batch_size=48", "--reading=2"]
    assert main(["plan", SMOKE, *arguments]) == 0
    assert asked == [(48, "cpu:2", ("train",), False, 2.0), (48, "cpu:4", ("train",), False, 2.0)]
    told = capsys.readouterr().out
    assert "cpu:4: 2 x virtual devices of this machine" in told
    assert "train, 64 rows in all, 32 on each device" in told
    assert os.environ["JAX_PLATFORMS"] == "cpu"
    assert os.environ["XLA_FLAGS"].endswith("--xla_force_host_platform_device_count=4")


def test_as_json(asked, capsys):
    """Standard output is JSON alone."""
    assert main(["plan", SMOKE, "--topology=cpu:2", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["topology"], found["steps"]["train"]["flops"], found["largest_batch"]) == ("cpu:2", 6.0, None)


def test_a_topology_that_is_none(asked, capsys):
    """One line, before a config is read."""
    assert main(["plan", "--config=nowhere.py", "--topology=v9:2x2"]) == 2
    assert "topology must be a chip" in capsys.readouterr().err
    assert not asked

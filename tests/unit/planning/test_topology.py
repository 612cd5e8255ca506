"""Names of topologies, what their compilation needs of the environment, and the message where a compiler is missing."""

import importlib.util
import os
import types

import jax
import pytest
from jax.experimental import topologies

from jaxaug.core.errors import UsageError
from jaxaug.planning import topology
from jaxaug.planning.chips import CHIPS


@pytest.mark.parametrize("name", ["v5e", "v5e:", "v5e:2x2x2x2", "v7:2x2", "h100:a", "8", "v5e:2x4,v5e:8x8"])
def test_names_that_are_none(name):
    with pytest.raises(UsageError, match="topology must be"):
        topology.extents_of(name)


def test_what_is_set_before_jax_is_imported():
    environment = {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false"}
    topology.prepare_environment("cpu:8", environment)
    assert environment["JAX_PLATFORMS"] == "cpu"
    assert environment["XLA_FLAGS"].split() == [
        "--xla_cpu_enable_fast_math=false",
        "--xla_force_host_platform_device_count=8",
    ]


@pytest.mark.parametrize(("name", "package"), [("v5e:2x4", r"jax\[tpu\]=="), ("h100:8", "jax-cuda12-plugin==")])
def test_a_missing_compiler_is_told_with_the_command(name, package, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not topology.has_compiler(name)
    with pytest.raises(UsageError, match=f"not installed.*pip install '{package}{jax.__version__}"):
        topology.devices_of(name)


def test_devices_of_this_process():
    found = topology.devices_of("cpu:2")
    assert (len(found.devices), found.platform, found.hosts, found.chip) == (2, "cpu", 1, None)
    with pytest.raises(UsageError, match="has 2 devices"):
        topology.devices_of("cpu:1024")


@pytest.fixture
def described(monkeypatch):
    """What JAX is asked to describe, where compilers seem to be installed; it gives this machine's devices."""
    asked = []

    def get_topology_desc(**options):
        asked.append({**options, "environment": {name: os.environ.get(name) for name in topology._OF_LIBTPU}})
        if options.get("topology_name") == "v5e:3x5":
            raise RuntimeError("no such topology\nmore")
        return types.SimpleNamespace(devices=jax.devices())

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(topologies, "get_topology_desc", get_topology_desc)
    return asked


def test_a_slice_is_described_to_the_tpu_compiler(described, monkeypatch):
    """Under its name and, for a single chip, its bounds; the library's variables are there only for the call."""
    monkeypatch.setenv("TPU_ACCELERATOR_TYPE", "mine")
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)  # which JAX sets by itself where libtpu is
    assert topology.has_compiler("v5e:2x4")
    found = topology.devices_of("v5e:2x4")
    topology.devices_of("v5e:1x1")
    assert (found.devices, found.chip, found.hosts) == (jax.devices(), CHIPS["v5e"], 1)
    first, second = described
    assert (first["platform"], first["topology_name"]) == ("tpu", "v5e:2x4")
    assert "chips_per_host_bounds" not in first
    assert second["chips_per_host_bounds"] == (1, 1, 1)
    assert first["environment"] == {**topology._OF_LIBTPU, "TPU_ACCELERATOR_TYPE": "mine"}
    assert os.environ["TPU_ACCELERATOR_TYPE"] == "mine"
    assert "TPU_SKIP_MDS_QUERY" not in os.environ
    with pytest.raises(UsageError, match=r"^v5e:3x5: the TPU compiler knows no such slice \(no such topology\)$"):
        topology.devices_of("v5e:3x5")


@pytest.mark.parametrize(("name", "extents"), [("h100:8", "1x1x8"), ("a100:16", "1x2x8"), ("h100:4", "1x1x4")])
def test_gpus_are_described_by_hosts_and_data_sheet(described, name, extents):
    """Eight to a host; the description is text of a message, with braces in pairs and the name of the GPU."""
    assert topology.devices_of(name).chip == CHIPS[name.split(":")[0]]
    (asked,) = described
    assert (asked["platform"], asked["topology"]) == ("cuda", extents)
    told = asked["target_config"]
    assert told.count("{") == told.count("}")
    assert f'device_description_str: "NVIDIA {name[:4].upper()}' in told
    assert "device_memory_size: 80000000000" in told

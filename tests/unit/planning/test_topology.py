"""Names of topologies, what their compilation needs of the environment, and the message where a compiler is missing."""

import importlib.util

import jax
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.planning import topology


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

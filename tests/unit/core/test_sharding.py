"""Devices and processes: one mesh axis, and mistakes in joining other processes in one message each."""

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from jaxaug.core import sharding
from jaxaug.core.errors import UsageError

NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAXAUG_DISTRIBUTED")


@pytest.fixture
def joined(monkeypatch):
    """Arguments with which JAX was told to join other processes."""
    calls = []
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda *arguments: calls.append(arguments))
    return calls


def test_one_process_joins_nothing(joined):
    sharding.initialize_distributed()
    assert joined == []


def test_arguments_come_before_the_environment(joined, monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "host:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "4")
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
    sharding.initialize_distributed()
    sharding.initialize_distributed("other:2", 2, 1)
    assert joined == [("host:1", 4, 0), ("other:2", 2, 1)]


@pytest.mark.parametrize(("processes", "process"), [(0, -1), (2, -1), (0, 0)])
def test_a_coordinator_alone(joined, processes, process):
    with pytest.raises(UsageError, match=r"coordinator \(host:1\) needs .*--num_processes and --process_id"):
        sharding.initialize_distributed("host:1", processes, process)
    assert joined == []


@pytest.mark.parametrize("name", ["JAX_NUM_PROCESSES", "JAX_PROCESS_ID"])
def test_numbers_that_are_none(joined, monkeypatch, name):
    monkeypatch.setenv(name, "two")
    with pytest.raises(UsageError, match=r"JAX_NUM_PROCESSES and JAX_PROCESS_ID must be whole numbers: .*'two'"):
        sharding.initialize_distributed()


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_cluster_that_is_none(joined, monkeypatch, error):
    """One message, whatever JAX says of it."""

    def refuse(*arguments):
        raise error("coordinator_address should be defined.")

    monkeypatch.setenv("JAXAUG_DISTRIBUTED", "1")
    sharding.initialize_distributed()
    assert joined == [()]
    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(UsageError, match=r"JAXAUG_DISTRIBUTED=1 .*finds none \(coordinator_address.*Slurm"):
        sharding.initialize_distributed()


def test_compiled_programs_are_kept_below_home_unless_said(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(jax.config, "update", lambda *arguments: told.append(arguments))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    sharding.enable_compilation_cache()
    assert told == []
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    sharding.enable_compilation_cache()
    assert told == [("jax_compilation_cache_dir", f"{tmp_path}/.cache/jaxaug/compiled")]


def test_where_arrays_lie():
    mesh = sharding.make_mesh()
    assert (mesh.axis_names, mesh.size) == (("data",), jax.device_count())
    assert sharding.replicated(mesh).spec == PartitionSpec()
    assert sharding.sharded_along(mesh, 1).spec == PartitionSpec(None, "data")
    rows = np.arange(8).reshape(2, 4)
    everywhere = sharding.put_global({"rows": rows}, sharding.replicated(mesh))["rows"]
    spread = sharding.put_global(rows, sharding.sharded_along(mesh, 1))
    assert [shard.data.shape for shard in everywhere.addressable_shards] == [(2, 4)] * mesh.size
    assert [shard.data.shape for shard in spread.addressable_shards] == [(2, 4 // mesh.size)] * mesh.size
    np.testing.assert_array_equal(spread, rows)


def test_one_process_is_the_main_one():
    assert sharding.is_main_process()
    assert sharding.any_process(True)
    assert not sharding.any_process(False)

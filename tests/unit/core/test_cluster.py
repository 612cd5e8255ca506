"""The processes of a run: how they find each other, and what a process with an error does."""

import os
import threading

import jax
import pytest

from jaxaug.core import cluster
from jaxaug.core.errors import Interrupted, LostProcessError, UsageError

NAMES = (
    *("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAXAUG_DISTRIBUTED"),
    *(*cluster.TORCHRUN, "LOCAL_RANK", "LOCAL_WORLD_SIZE", "TORCHELASTIC_USE_AGENT_STORE", "JAX_COORDINATOR_PORT"),
)


def told(address, processes, process, heartbeat=cluster.HEARTBEAT, **more):
    where = {"coordinator_address": address, "num_processes": processes, "process_id": process}
    return {**where, "heartbeat_timeout_seconds": heartbeat, **more}


@pytest.fixture
def joined(monkeypatch):
    """Arguments with which JAX was told to join other processes."""
    calls = []
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jax.distributed, "initialize", lambda **arguments: calls.append(arguments))
    return calls


def test_one_process_joins_nothing(joined):
    cluster.initialize_distributed()
    assert joined == []


def test_arguments_come_before_the_environment(joined, monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "host:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "4")
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
    cluster.initialize_distributed()
    cluster.initialize_distributed("other:2", 2, 1, heartbeat=5)
    assert joined == [told("host:1", 4, 0), told("other:2", 2, 1, heartbeat=5)]


@pytest.mark.parametrize(("processes", "process"), [(0, -1), (2, -1), (0, 0)])
def test_a_coordinator_alone(joined, processes, process):
    with pytest.raises(UsageError, match=r"coordinator \(host:1\) needs .*--num_processes and --process_id"):
        cluster.initialize_distributed("host:1", processes, process)
    assert joined == []


@pytest.mark.parametrize("name", ["JAX_NUM_PROCESSES", "JAX_PROCESS_ID"])
def test_numbers_that_are_none(joined, monkeypatch, name):
    monkeypatch.setenv(name, "two")
    with pytest.raises(UsageError, match=f"{name} must be a whole number, got 'two'"):
        cluster.initialize_distributed()


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_cluster_that_is_none(joined, monkeypatch, error):
    """One message, whatever JAX says of it."""

    def refuse(**arguments):
        raise error("coordinator_address should be defined.")

    monkeypatch.setenv("JAXAUG_DISTRIBUTED", "1")
    cluster.initialize_distributed()
    assert joined == [{"heartbeat_timeout_seconds": cluster.HEARTBEAT}]
    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with pytest.raises(UsageError, match=r"JAXAUG_DISTRIBUTED=1 .*there is none \(coordinator_address.*Slurm"):
        cluster.initialize_distributed()


TORCHRUN = {"MASTER_ADDR": "head", "MASTER_PORT": "29500", "WORLD_SIZE": "4", "RANK": "3"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, told("head:29500", 4, 3)),
        ({"LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}, told("head:29500", 4, 3)),
        ({"LOCAL_WORLD_SIZE": "2", "LOCAL_RANK": "1"}, told("head:29500", 4, 3, local_device_ids=[1])),
        ({"TORCHELASTIC_USE_AGENT_STORE": "True"}, told("head:29501", 4, 3)),
        ({"JAX_COORDINATOR_PORT": "7"}, told("head:7", 4, 3)),
    ],
)
def test_variables_of_torchrun(joined, monkeypatch, more, expected):
    """Only where they are asked for; torchrun itself listens at its port."""
    for name, value in {**TORCHRUN, **more}.items():
        monkeypatch.setenv(name, value)
    cluster.initialize_distributed()
    assert joined == []
    monkeypatch.setenv("JAXAUG_DISTRIBUTED", "1")
    cluster.initialize_distributed()
    assert joined == [expected]


def test_mistakes_in_variables_of_torchrun(joined, monkeypatch):
    for name, value in {**TORCHRUN, "RANK": "first", "JAXAUG_DISTRIBUTED": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="RANK must be a whole number, got 'first'"):
        cluster.initialize_distributed()
    monkeypatch.setenv("JAXAUG_DISTRIBUTED", "yes")
    with pytest.raises(UsageError, match=r"JAXAUG_DISTRIBUTED must be 1, .* or 0; got 'yes'"):
        cluster.initialize_distributed()


@pytest.fixture
def ended(monkeypatch):
    """An event that says that this process would have ended; there seem to be two processes."""
    event = threading.Event()
    event.codes = []
    monkeypatch.setattr(os, "_exit", lambda code: (event.codes.append(code), event.set()))
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(cluster, "any_process", lambda flag: flag)
    return event


def test_a_process_with_an_error_does_not_wait_for_long(ended):
    with pytest.raises(UsageError, match="mine"), cluster.together(patience=0.0):
        raise UsageError("mine")
    assert ended.wait(10)
    assert ended.codes == [2]


def test_one_process_tells_that_all_have_stopped(ended, monkeypatch):
    with pytest.raises(Interrupted, match="after step 3"), cluster.together(patience=0.0):
        raise Interrupted("after step 3")
    monkeypatch.setattr(cluster, "is_main_process", lambda: False)
    with pytest.raises(Interrupted, match=r"^$"), cluster.together(patience=0.0):
        raise Interrupted("after step 3")


def test_all_is_well(ended):
    with cluster.together(patience=0.0):
        pass
    assert not ended.is_set()


@pytest.mark.parametrize(
    ("message", "expected", "code"),
    [
        (
            "INTERNAL: Gloo all-reduce failed: Connection closed by peer [::1]:5",
            "another process of this run is gone",
            4,
        ),
        ("RESOURCE_EXHAUSTED: out of memory", "^RESOURCE_EXHAUSTED", 1),
    ],
)
def test_a_lost_process_is_told_from_other_errors(ended, message, expected, code):
    with pytest.raises((LostProcessError, jax.errors.JaxRuntimeError), match=expected), cluster.together(patience=0.0):
        raise jax.errors.JaxRuntimeError(message)
    assert ended.wait(10)
    assert ended.codes == [code]

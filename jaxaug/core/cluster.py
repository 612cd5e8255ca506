"""The processes of a run: how they find each other, are stopped together, and end when one of them is lost."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Iterator
from typing import Any

import jax
from jax.experimental import multihost_utils

from jaxaug.core.errors import Interrupted, LostProcessError, UsageError
from jaxaug.core.sharding import any_process, is_main_process

HEARTBEAT = 30  # seconds without a sign of life after which a process counts as lost, and all others stop
PATIENCE = 15  # seconds that a process with an error waits for the others before it ends without them
_AFTER_A_LOSS = 3  # for those with the same message, before process 0 takes with it what they talk through
TORCHRUN = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK")
# What collectives say, on CPUs by gloo, when the process at the other end is no more.
_LOST = ("gloo", "connection closed", "connection reset", "broken pipe", "heartbeat", "unavailable:", "coordination")
# JAX agrees on a number of the question at which all processes are told; so it is counted over all runs of a process.
_questions = itertools.count()


def initialize_distributed(
    coordinator: str = "", processes: int = 0, process: int = -1, *, heartbeat: int = HEARTBEAT
) -> None:
    """Join the other processes of a run, before any other use of JAX.

    The address comes from the arguments, else from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. If
    JAXAUG_DISTRIBUTED=1 asks for it, else from torchrun's variables (MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK), else
    from the cluster's own, which JAX reads itself (Slurm, Open MPI, Cloud TPU, Kubernetes). With none of these the run
    has one process.

    Args:
      coordinator: host and port of process 0.
      processes: how many there are.
      process: which one this is.
      heartbeat: seconds without a sign of life after which a process counts as lost.

    Raises:
      UsageError: a part is missing or is no number, or JAXAUG_DISTRIBUTED=1 outside of a cluster.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS", "")
    processes = processes or _number("JAX_NUM_PROCESSES", 0)
    process = process if process >= 0 else _number("JAX_PROCESS_ID", -1)
    asked = os.environ.get("JAXAUG_DISTRIBUTED", "")
    if coordinator and processes > 0 and process >= 0:
        _join(heartbeat, coordinator_address=coordinator, num_processes=processes, process_id=process)
    elif coordinator:
        raise UsageError(
            f"a coordinator ({coordinator}) needs the number of processes and this one's number: give --num_processes "
            "and --process_id, or JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        )
    elif asked == "1":
        _join(heartbeat, **_of_torchrun())
    elif asked not in ("", "0"):
        raise UsageError(f"JAXAUG_DISTRIBUTED must be 1, to join the other processes of a cluster, or 0; got {asked!r}")


def _number(name: str, otherwise: int) -> int:
    try:
        return int(os.environ.get(name) or otherwise)
    except ValueError:
        raise UsageError(f"{name} must be a whole number, got {os.environ[name]!r}") from None


def _of_torchrun() -> dict[str, Any]:
    """What torchrun's variables say of this process; {} where they are not all there."""
    if not all(os.environ.get(name) for name in TORCHRUN):
        return {}
    port = _number("MASTER_PORT", 0)
    # torchrun itself listens at MASTER_PORT, and tells so.
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        port += 1
    found: dict[str, Any] = {
        "coordinator_address": f"{os.environ['MASTER_ADDR']}:{_number('JAX_COORDINATOR_PORT', port)}",
        "num_processes": _number("WORLD_SIZE", 1),
        "process_id": _number("RANK", 0),
    }
    if _number("LOCAL_WORLD_SIZE", 1) > 1:  # one device each, as torchrun is used
        found["local_device_ids"] = [_number("LOCAL_RANK", 0)]
    return found


def _join(heartbeat: int, **address: Any) -> None:
    try:
        jax.distributed.initialize(**address, heartbeat_timeout_seconds=heartbeat)
    except (RuntimeError, ValueError) as error:
        why = str(error).partition("\n")[0]
        if address:
            raise UsageError(
                f"cannot join the run at {address['coordinator_address']} as process {address['process_id']} of "
                f"{address['num_processes']}: {why}"
            ) from None
        raise UsageError(
            f"JAXAUG_DISTRIBUTED=1 asks for the cluster's own environment; there is none ({why}): start under Slurm, "
            "Open MPI, torchrun, Kubernetes or on a Cloud TPU, or give --coordinator, --num_processes and --process_id"
        ) from None


def notices_of_preemption() -> bool:
    """Whether JAX itself waits for SIGTERM, in order to tell all processes."""
    return jax.process_count() > 1


def all_told_to_stop() -> bool:
    """Whether some process got SIGTERM: true once, on all processes at the same question; no collective is needed.

    All of them must ask equally often.
    """
    return notices_of_preemption() and multihost_utils.reached_preemption_sync_point(next(_questions))


@contextlib.contextmanager
def together(patience: float = PATIENCE) -> Iterator[None]:
    """Leave the block together with the other processes: a process with an error does not wait for them for long.

    Args:
      patience: seconds after an error until this process ends, even if the others have not.

    Raises:
      LostProcessError: another process is gone.
    """
    try:
        yield
        any_process(False)  # what process 0 still writes takes as long as it takes
    except BaseException as error:
        if jax.process_count() == 1:
            raise
        found = lost_process(error) or error
        waits = min(patience, _AFTER_A_LOSS) if isinstance(found, LostProcessError) else patience
        end = threading.Timer(waits, os._exit, (getattr(found, "exit_code", 1),))
        end.daemon = True
        end.start()
        if isinstance(error, Interrupted) and not is_main_process():
            raise Interrupted from None
        if found is error:
            raise
        raise found from None


def lost_process(error: BaseException) -> LostProcessError | None:
    """What is to be told if an error comes from a process that is gone, at the other end of a collective; else None."""
    if isinstance(error, LostProcessError):
        return error
    # JAX raises it as an error of its own or as a ValueError; those of files are the file system's.
    told, other = str(error), isinstance(error, UsageError | OSError) or not isinstance(error, Exception)
    if jax.process_count() == 1 or other or not any(word in told.lower() for word in _LOST):
        return None
    return LostProcessError(
        f"process {jax.process_index()}: another process of this run is gone or has stopped, see its own messages "
        f"({told.partition(chr(10))[0][:200]}). The same command goes on from the last checkpoint, with any number of "
        "processes"
    )

"""Devices and processes: one mesh axis, `data`; parameters on every device, rows of a batch spread over all."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from jaxaug.core.errors import UsageError


def initialize_distributed(coordinator: str = "", processes: int = 0, process: int = -1) -> None:
    """Join the other processes of a run, before any other use of JAX.

    The address comes from the arguments, else from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, else
    from the cluster's own environment (Slurm, Open MPI, Cloud TPU), which JAX reads itself if
    JAXAUG_DISTRIBUTED=1 asks for it. With none of these the run has one process.
    """
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS", "")
    try:
        processes = processes or int(os.environ.get("JAX_NUM_PROCESSES", "0"))
        process = process if process >= 0 else int(os.environ.get("JAX_PROCESS_ID", "-1"))
    except ValueError as error:
        raise UsageError(f"JAX_NUM_PROCESSES and JAX_PROCESS_ID must be whole numbers: {error}") from None
    if coordinator and processes > 0 and process >= 0:
        jax.distributed.initialize(coordinator, processes, process)
    elif coordinator:
        raise UsageError(
            f"a coordinator ({coordinator}) needs the number of processes and this one's number: give --num_processes "
            "and --process_id, or JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        )
    elif os.environ.get("JAXAUG_DISTRIBUTED") == "1":
        try:
            jax.distributed.initialize()
        except (RuntimeError, ValueError) as error:
            raise UsageError(
                f"JAXAUG_DISTRIBUTED=1 asks for the cluster's own environment; JAX finds none ({error}): start "
                "under Slurm, Open MPI or on a Cloud TPU, or give --coordinator, --num_processes and --process_id"
            ) from None


def enable_compilation_cache() -> None:
    """Keep what is compiled for the next run, below the home folder unless JAX_COMPILATION_CACHE_DIR says where."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        cache = pathlib.Path("~/.cache/jaxaug/compiled").expanduser()
        jax.config.update("jax_compilation_cache_dir", str(cache))


def make_mesh() -> Mesh:
    """All devices of all processes along `data`."""
    # Explicit axis types, jax.make_mesh's default, would ask every operation for its output sharding.
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def sharded_along(mesh: Mesh, axis: int) -> NamedSharding:
    """The sharding of an array whose axis number `axis` is spread over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def put_global(tree: Any, sharding: Sharding) -> Any:
    """Arrays that every process holds whole -> global arrays with `sharding`."""

    def one(array: Any) -> jax.Array:
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(one, tree)


def any_process(flag: bool) -> bool:
    """Whether the flag is set on any process: a question all of them must ask at the same step."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def is_main_process() -> bool:
    """Whether this is the process that writes logs and prints."""
    return jax.process_index() == 0

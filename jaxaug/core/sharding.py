"""Devices and processes: rows of a batch spread over all devices; what is large spread over the mesh's axis `fsdp`.

The mesh has the axis `data` and, if it is asked for, `fsdp`. Rows lie along both. Along `data` the state is repeated;
along `fsdp` each device holds its part of the large arrays, which XLA gathers where they are needed.
"""

from __future__ import annotations

import math
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from jaxaug.core.errors import UsageError

DATA, FSDP = AXES = ("data", "fsdp")
# Numbers in an array from which on it is worth a message to spread it: 256 KiB in float32.
LARGE = 2**16
# Parts of a training's state whose large arrays are spread where no rule says otherwise.
_SPREAD = ("params", "model_state", "opt_state", "loss_state", "task_state", "average")


def enable_compilation_cache() -> None:
    """Keep what is compiled for the next run, below the home folder unless JAX_COMPILATION_CACHE_DIR says where."""
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        cache = pathlib.Path("~/.cache/jaxaug/compiled").expanduser()
        jax.config.update("jax_compilation_cache_dir", str(cache))


def make_mesh(sizes: Mapping[str, int] | None = None, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The devices of all processes in a mesh.

    Args:
      sizes: {"data": ..., "fsdp": ...}, devices along each axis, -1 for as many as there are left. An axis `fsdp` of
        one device is left out. None: all of them along `data`.
      devices: that it is made of, which need not be here; None for those of all processes.

    Raises:
      UsageError: an axis of another name, or sizes that do not multiply to the number of devices.
    """
    asked, count = {DATA: -1, FSDP: 1, **(sizes or {})}, jax.device_count() if devices is None else len(devices)
    for name, size in asked.items():
        if name not in AXES:
            raise UsageError(f"a mesh has the axes {' and '.join(AXES)}, not {name!r}")
        if size != -1 and size < 1:
            raise UsageError(f"{name} must be -1 or at least 1, got {size}")
    fixed = math.prod(size for size in asked.values() if size != -1)
    free = sum(size == -1 for size in asked.values())
    if free > 1 or count % fixed or (free == 0 and fixed != count):
        told = ", ".join(f"{name}={size}" for name, size in asked.items())
        raise UsageError(f"{told} does not fit {count} devices: give one of them, and -1 for the other")
    found = {name: count // fixed if size == -1 else size for name, size in asked.items()}
    if found[FSDP] == 1:
        del found[FSDP]
    # Explicit axis types, jax.make_mesh's default, would ask every operation for its output sharding.
    types = (AxisType.Auto,) * len(found)
    return jax.make_mesh(tuple(found.values()), tuple(found), axis_types=types, devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def sharded_along(mesh: Mesh, axis: int) -> NamedSharding:
    """The sharding of an array whose axis number `axis` is spread over all devices."""
    names = mesh.axis_names if len(mesh.axis_names) > 1 else mesh.axis_names[0]
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, names))


Rule = tuple[str, str | Sequence[str | None]]


def shardings_of(tree: Any, mesh: Mesh, rules: Sequence[Rule] = ()) -> Any:
    """Where each array of a training's state lies: the first rule that its path matches, else spread if it is large.

    Args:
      tree: arrays, or their shapes. The path of an array is its keys with slashes, such as "params/head/kernel",
        "opt_state/0/trace/head/kernel" or "loss_state/isda/covariance".
      mesh: the devices.
      rules: (regular expression, searched for in the path; "fsdp" for the largest of the array's axes that the mesh's
        `fsdp` divides, or the name of a mesh axis or None for each axis of the array, () being whole on every device).

    Returns:
      A tree of shardings like `tree`.

    Raises:
      UsageError: a rule that is none, or does not fit an array that it is for.
    """
    compiled = [_compiled(rule) for rule in rules]

    def one(path: Any, leaf: Any) -> NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spec = next((spec for pattern, spec in compiled if pattern.search(name)), None)
        if spec is None:
            spec = FSDP if name.split("/")[0] in _SPREAD and math.prod(leaf.shape) >= LARGE else ()
        fitted = _largest(leaf.shape, mesh) if spec == FSDP else _fitted(name, leaf.shape, tuple(spec), mesh)
        return NamedSharding(mesh, PartitionSpec(*fitted))

    return jax.tree_util.tree_map_with_path(one, tree)


def _compiled(rule: Any) -> tuple[re.Pattern[str], str | Sequence[str | None]]:
    try:
        pattern, spec = rule
        if spec != FSDP and (isinstance(spec, str) or any(name not in (*AXES, None) for name in spec)):
            raise ValueError(f"{spec!r} is neither {FSDP!r} nor a sequence of {DATA!r}, {FSDP!r} and None")
        return re.compile(pattern), spec
    except (TypeError, ValueError, re.error) as error:
        raise UsageError(
            f'{rule!r} is no rule, which is for example ("params/.*kernel", "fsdp") or ("covariance", ("fsdp", None)): '
            f"{error}"
        ) from None


def _largest(shape: tuple[int, ...], mesh: Mesh) -> list[str | None]:
    """`fsdp` at the largest axis that it divides, the first of equal ones; [] where there is none."""
    size = mesh.shape.get(FSDP, 1)
    fit = [n for n in range(len(shape)) if shape[n] % size == 0 and shape[n] > 0]
    if size == 1 or not fit:
        return []
    return [*[None] * max(fit, key=lambda n: shape[n]), FSDP]


def _fitted(name: str, shape: tuple[int, ...], spec: tuple[str | None, ...], mesh: Mesh) -> list[str | None]:
    """The spec without axes that the mesh has not, so that the rules of many devices serve for one too."""
    if len(spec) > len(shape):
        raise UsageError(f"the rule {spec} has more axes than {name}, which is {list(shape)}")
    found = [axis if axis in mesh.axis_names else None for axis in spec]
    for axis, length in zip(found, shape, strict=False):
        if axis is not None and length % mesh.shape[axis]:
            raise UsageError(f"the rule {spec} cannot divide {name}, {list(shape)}, among {mesh.shape[axis]} devices")
    return found


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

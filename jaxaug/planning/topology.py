"""Devices by a name such as "v5e:8x8": of TPU slices and GPUs that are not here, or of this machine's processor."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import math
import os
import re
from collections.abc import Iterator, MutableMapping
from typing import NamedTuple

from jaxaug.core.errors import UsageError
from jaxaug.planning.chips import CHIPS, Chip

CPU = "cpu"
# TPU slices are named by their extents, as 2x4 or 2x2x4; GPUs and processors by their number.
_NAME = re.compile(r"(\w+):(\d+(?:x\d+){0,2})")
# Without these libtpu looks for the TPU that it is on.
_OF_LIBTPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


class Devices(NamedTuple):
    """devices: what meshes are made of, compiled for but not here. chip: as published, None for processors."""

    name: str
    devices: list
    chip: Chip | None

    @property
    def platform(self) -> str:
        """For which programs are lowered."""
        return self.devices[0].platform

    @property
    def hosts(self) -> int:
        """How many machines they are in."""
        return 1 if self.chip is None else -(-len(self.devices) // self.chip.per_host)


def extents_of(topology: str) -> tuple[str, tuple[int, ...]]:
    """("v5e", (8, 8)) of "v5e:8x8". Raises UsageError for a name that is none."""
    found = _NAME.fullmatch(topology)
    if found is None or found[1] not in (*CHIPS, CPU):
        raise UsageError(
            f"topology must be a chip and extents or a number, such as v5e:2x4, v5p:2x2x2, h100:8 or cpu:8, not "
            f"{topology!r}; the chips are {', '.join((*CHIPS, CPU))}"
        )
    return found[1], tuple(int(x) for x in found[2].split("x"))


def prepare_environment(topology: str, environment: MutableMapping[str, str]) -> None:
    """What must be set before JAX is imported: arrays stay on this machine's processor, whatever else it has."""
    chip, extents = extents_of(topology)
    environment["JAX_PLATFORMS"] = "cpu"
    if chip == CPU:
        flag = f"--xla_force_host_platform_device_count={math.prod(extents)}"
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flag}".strip()


def has_compiler(topology: str) -> bool:
    """Whether the compiler for these devices is installed."""
    return _compiler(extents_of(topology)[0])[0]


def devices_of(topology: str) -> Devices:
    """The devices of a topology.

    Args:
      topology: "v5e:8x8" a TPU slice by its extents, "h100:8" a number of GPUs, "cpu:8" of this process.

    Raises:
      UsageError: a name that is none, or a compiler that is missing, with how to install it.
    """
    import jax

    chip, extents = extents_of(topology)
    count = math.prod(extents)
    if chip == CPU:
        if count > jax.device_count():
            raise UsageError(f"{topology}: this process has {jax.device_count()} devices; jaxaug plan makes them")
        return Devices(topology, jax.devices()[:count], None)
    there, command = _compiler(chip)
    if not there:
        raise UsageError(f"{topology}: its compiler is not installed, which needs no such device: {command}")
    make = _gpus if _is_gpu(chip) else _tpus
    return Devices(topology, make(chip, extents), CHIPS[chip])


def _is_gpu(chip: str) -> bool:
    return not chip.startswith("v")


def _compiler(chip: str) -> tuple[bool, str]:
    """(is it there, the command that installs it)."""
    version = importlib.metadata.version("jax")
    if chip == CPU:
        return True, ""
    if _is_gpu(chip):
        there = importlib.util.find_spec("jax_cuda12_plugin") is not None
        return there, f"pip install 'jax-cuda12-plugin=={version}' nvidia-cuda-nvcc-cu12 (0.6 GB)"
    return importlib.util.find_spec("libtpu") is not None, f"pip install 'jax[tpu]=={version}' (0.7 GB)"


def _tpus(chip: str, extents: tuple[int, ...]) -> list:
    from jax.experimental import topologies

    name = f"{chip}:{'x'.join(map(str, extents))}"
    # Several hosts are the default, which a single chip is not a multiple of.
    options = {"chips_per_host_bounds": (1, 1, 1)} if math.prod(extents) == 1 else {}
    with _environment(_OF_LIBTPU):
        try:
            found = topologies.get_topology_desc(platform="tpu", topology_name=name, **options)
        except Exception as error:  # jaxlib's own type, whose name differs between versions
            reason = str(error).splitlines()[0]
            raise UsageError(f"{name}: the TPU compiler knows no such slice ({reason})") from None
    return list(found.devices)


def _gpus(chip: str, extents: tuple[int, ...]) -> list:
    from jax.experimental import topologies

    from jaxaug.planning.gpu_targets import GPU_TARGETS

    count = math.prod(extents)
    per_host = min(count, CHIPS[chip].per_host)
    found = topologies.get_topology_desc(
        platform="cuda", topology=f"1x{count // per_host}x{per_host}", target_config=GPU_TARGETS[chip]
    )
    return list(found.devices)


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """The settings, where there are none of the user's, for as long as a library is loaded."""
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]

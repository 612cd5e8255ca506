"""A config's steps compiled for devices that are not here: what each costs, the least time, the largest batch."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from jaxaug.core.errors import UsageError
from jaxaug.data.loader import is_sent
from jaxaug.planning.compiled import Cost, cost_of
from jaxaug.planning.delivery import images_delivered
from jaxaug.planning.programs import STEPS, Program, programs_of
from jaxaug.planning.stand_ins import load_stand_in
from jaxaug.planning.topology import Devices, devices_of
from jaxaug.train.config import complete, expand
from jaxaug.train.experiment import build_experiment

_TRIES = 3  # of batches at the estimate and a little below it
_LESS = 0.95


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the steps of a config cost.

    Attributes:
      devices: that they were compiled for.
      steps: name -> what a call costs each device.
      rows: name -> rows of data in a call, of all devices together.
      largest_batch: rows of all devices together that a training step has memory for; None where that was not asked
        for or is not known.
      delivered: images/s that this machine reads for the training, None where that was not measured or none is sent.
      sends: whether the training's images are sent batch by batch; otherwise they lie on the devices.
    """

    devices: Devices
    steps: Mapping[str, Cost]
    rows: Mapping[str, int]
    largest_batch: int | None = None
    delivered: float | None = None
    sends: bool = True

    def seconds(self, step: str) -> float | None:
        """The least time of a call: of the slowest of products, memory and links, as if they overlapped wholly.

        None where the step does not fit, or the compiler counts no operations, as that of GPUs.
        """
        if self.devices.chip is None or not self.steps[step].fits:
            return None
        return max(self.steps[step].seconds(self.devices.chip).values(), default=None)

    def images_per_host(self, step: str) -> float | None:
        """Images/s that each host must read, or find on its devices, to keep them busy at that time."""
        seconds = self.seconds(step)
        return None if not seconds else self.rows[step] / seconds / self.devices.hosts

    def as_json(self) -> dict[str, Any]:
        """All of it as plain numbers."""
        found = {}
        for name, cost in self.steps.items():
            one = dataclasses.asdict(cost)
            one["collectives"] = {kind: dataclasses.asdict(each) for kind, each in cost.collectives.items()}
            one |= {"rows": self.rows[name], "least_seconds": self.seconds(name)}
            found[name] = one | {"images_per_second_per_host": self.images_per_host(name)}
        about = {"topology": self.devices.name, "devices": len(self.devices.devices), "hosts": self.devices.hosts}
        input_ = {"sends": self.sends, "delivered_images_per_second": self.delivered}
        return {**about, "steps": found, "largest_batch": self.largest_batch, **input_}


def plan(
    config: ConfigDict, topology: str, *, steps: Sequence[str] = STEPS, largest: bool = True, reading: float = 0.0
) -> Plan:
    """Compile the steps of a config for a topology.

    Args:
      config: as for a training; of variants, the first. Data sets whose size is known need not be here.
      topology: such as "v5e:2x4", "h100:8" or "cpu:8", see `devices_of`.
      steps: of `STEPS`, those that are wanted.
      largest: whether to look for the largest batch, which compiles the training step two to four times more.
      reading: seconds for which images are read as a host of the topology would, to see how many a second this machine
        delivers; the data set must be here then. 0: not at all.

    Raises:
      UsageError: whatever is wrong with the config; another topology; a compiler that is missing, with how to get it.
    """
    unknown = set(steps) - set(STEPS)
    if unknown:
        raise UsageError(f"steps must be of {', '.join(STEPS)}, not {', '.join(sorted(unknown))}")
    devices = devices_of(topology)
    config = complete(next(iter(expand(config).values())))
    # What is done after the training is not planned, and its protocols may want files.
    config.robustness = ()
    experiment = build_experiment(config, load_stand_in, devices.devices)
    # Before minutes of compilation: a data set that is missing shows here.
    delivered = images_delivered(config, devices.hosts, reading) if reading else None
    programs = programs_of(experiment, tuple(steps))
    costs = {name: _cost(program, devices) for name, program in programs.items()}
    found = None
    if largest and "train" in costs and devices.chip is not None:
        found = largest_batch(
            lambda rows: _cost_of_batch(config, devices, rows),
            costs["train"],
            config.batch_size,
            unit=math.lcm(len(devices.devices), config.batch_norm_groups or 1) * config.accumulate,
            most=len(experiment.data.train),
            room=devices.chip.memory,
        )
    rows = {name: program.rows for name, program in programs.items()}
    return Plan(devices, costs, rows, found, delivered, is_sent(experiment.data.train, config.place))


def largest_batch(
    cost_of_batch: Callable[[int], Cost], cost: Cost, rows: int, *, unit: int, most: int, room: float
) -> int | None:
    """The largest batch whose step has memory, by a line through two sizes, and then tried.

    Args:
      cost_of_batch: compiles a training step of so many rows.
      cost: of `rows`, which is known already.
      unit: batches are multiples of it.
      most: rows that there are.
      room: bytes of memory.

    Returns:
      Rows, a multiple of `unit`; None if not even one unit fits.
    """
    while not (cost.fits and cost.memory <= room):
        if rows <= unit:
            return None
        rows = max(rows // 2 // unit, 1) * unit
        cost = cost_of_batch(rows)
    other = 2 * rows if 2 * rows <= most else max(rows // 2 // unit, 1) * unit
    if other == rows:
        return rows
    slope = (cost_of_batch(other).memory - cost.memory) / (other - rows)
    guess = most if slope <= 0 else min(rows + (room - cost.memory) / slope, most)
    for _ in range(_TRIES):
        found = int(guess) // unit * unit
        if found <= rows:
            break
        tried = cost_of_batch(found)
        if tried.fits and tried.memory <= room:
            return found
        guess *= _LESS
    return rows


def _cost(program: Program, devices: Devices) -> Cost:
    platform = devices.platform if devices.platform != "gpu" else "cuda"
    return cost_of(program.jitted, *program.arguments, platform=platform, devices=len(devices.devices))


def _cost_of_batch(config: ConfigDict, devices: Devices, rows: int) -> Cost:
    other = copy.deepcopy(config)
    other.batch_size = rows
    return _cost(programs_of(build_experiment(other, load_stand_in, devices.devices), ("train",))["train"], devices)

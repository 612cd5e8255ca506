"""A plan in words and tables."""

from __future__ import annotations

import os

from jaxaug.planning.compiled import Cost
from jaxaug.planning.plan import Plan

_MIB, _GIB = 2**20, 2**30


def report(found: Plan) -> str:
    """What a plan says, line by line, with where its numbers come from."""
    devices, chip = found.devices, found.devices.chip
    count = len(devices.devices)
    name = "virtual devices of this machine" if chip is None else f"{chip.name} in {devices.hosts} hosts"
    lines = [f"{devices.name}: {count} x {name}"]
    for step, cost in found.steps.items():
        lines += ["", f"{step}, {found.rows[step]} rows in all, {found.rows[step] // count} on each device"]
        lines += [f"  {line}" for line in _of_step(found, step, cost)]
    if found.largest_batch is not None:
        lines += [
            "",
            f"largest batch that fits in training: {found.largest_batch} ({found.largest_batch // count} each)",
        ]
    if found.delivered:
        lines += ["", _delivered(found)]
    if chip is not None:
        lines += ["", _source(found)]
    return "\n".join(lines)


def _of_step(found: Plan, step: str, cost: Cost) -> list[str]:
    chip = found.devices.chip
    room = "" if chip is None else f" of {chip.memory / _GIB:.1f} GiB"
    if not cost.fits:
        return [f"memory      does not fit: {cost.memory / _GIB:.2f} GiB{room}"]
    lines = [
        f"memory      {cost.memory / _MIB:,.0f} MiB a device{room}, {cost.arguments / _MIB:,.0f} MiB of it arguments"
    ]
    if cost.flops is not None:
        lines += [f"operations  {cost.flops:.3e} FLOPs a device"]
    if cost.bytes_accessed is not None:
        lines += [f"traffic     {cost.bytes_accessed:.3e} bytes of its memory"]
    for kind, one in cost.collectives.items():
        lines += [f"{kind:<11} {one.count} x, {one.bytes / 1e6:,.2f} MB in all"]
    parts = {} if chip is None else cost.seconds(chip)
    if chip is not None and not parts:
        lines += ["time        not known: the compiler of these devices counts no operations"]
    if parts:
        told = ", ".join(f"{name} {1e3 * value:.2f}" for name, value in parts.items())
        slowest = max(parts, key=lambda name: parts[name])
        lines += [f"time        at least {1e3 * parts[slowest]:.2f} ms, of {slowest} (ms: {told})"]
    return lines + _input(found, step)


def _input(found: Plan, step: str) -> list[str]:
    needed = found.images_per_host(step)
    where = "" if found.sends else ", which lie on its devices"
    return [f"input       up to {needed:,.0f} images/s for each host{where}"] if needed else []


def _delivered(found: Plan) -> str:
    needed = found.images_per_host("train") if "train" in found.steps else None
    share = f", {100 * found.delivered / needed:.0f} % of what the training needs" if found.delivered and needed else ""
    return f"this machine of {os.cpu_count()} cores reads {found.delivered:,.0f} images/s{share}"


def _source(found: Plan) -> str:
    chip = found.devices.chip
    assert chip is not None
    return (
        f"Published of {chip.name}: {chip.flops / 1e12:.0f} TFLOP/s in bfloat16, {chip.bandwidth / 1e9:.0f} GB/s of "
        f"memory, {chip.link / 1e9:.0f} GB/s of links ({chip.source}).\nMemory, operations, bytes and collectives are "
        "the compiler's; what is in a loop is counted once. The time is a bound from below: as if products, memory "
        "and links overlapped wholly and each ran at its published rate."
    )

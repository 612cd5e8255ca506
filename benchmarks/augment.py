"""How fast RandAugment(2, 9) runs on uint8 batches on this machine's CPU: jaxaug beside PIL, kornia, torchvision,
timm, albumentations, dm-pix, augmax and Keras.

    python3 -m venv ~/peers
    ~/peers/bin/pip install torch torchvision kornia timm albumentations augmax dm-pix keras pillow
    python benchmarks/augment.py --python ~/peers/bin/python --output benchmarks/results/augment_cpu.json

PIL and jaxaug run in the Python that runs this file, the others in that of --python; what does not import there is
listed as absent, with the reason. Every contender lives in a process of its own. In each round the processes take
turns, in an order that is reversed every round, so that other load on the machine falls on all alike. NumPy images
[B H W 3] on the host go in and come back: drawing the parameters and changing layouts and types are part of a call,
importing and compiling are not (they stand apart). Reported: medians of images a second of wall time and of CPU time
(of all threads of the process), and medians over the rounds of the ratio to one PIL thread and to kornia's best path
with operations of each image's own.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pathlib
import platform
import shlex
import statistics
import sys
from typing import Any

from augmentation.contenders import CONTENDERS, HOME
from turns import Contestant, race, ratios

BATCHES = {32: 512, 224: 64}


def measure(size: int, names: list[str], pythons: dict[str, str], rounds: int, seconds: float) -> dict[str, Any]:
    """The result for one size."""
    batches = {name: CONTENDERS[name].batches.get(size, BATCHES.get(size, 64)) for name in names}

    def start(name: str) -> Contestant:
        contender = CONTENDERS[name]
        parts = [contender.module, str(size), str(batches[name]), json.dumps(dict(contender.options))]
        return Contestant("augmentation.worker", parts, pythons[name])

    makers = {name: functools.partial(start, name) for name in names}
    reports, took, absent = race(makers, rounds, lambda r: (1000 * (r + 1), seconds))
    rates = {name: [[batches[name] / t for t in turn] for turn in turns] for name, turns in took.items()}
    return {**summary(rates, batches, reports), "absent": absent}


def summary(rates: dict[str, list[list[float]]], batches: dict[str, int], reports: dict[str, Any]) -> dict[str, Any]:
    """Medians of `rates` (name -> [rounds][wall, CPU] in images a second) and of their ratios, round by round."""
    median = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in rates.items()}
    paths = [name for name in rates if name.startswith("kornia") and CONTENDERS[name].per_image]
    kornia = max(paths, key=lambda name: median[name][0], default="")
    rows = {}
    for name, report in reports.items():
        rows[name] = {
            "images_per_second": median[name][0],
            "images_per_cpu_second": median[name][1],
            **ratios("pil", rates[name], rates.get("pil")),
            **ratios("kornia", rates[name], rates.get(kornia)),
            "batch": batches[name],
            "operations_per_image": CONTENDERS[name].per_image,
            "note": CONTENDERS[name].note,
            **report,
            "rounds_images_per_second": [wall for wall, _ in rates[name]],
            "rounds_images_per_cpu_second": [cpu for _, cpu in rates[name]],
        }
    return {"kornia_best": kornia, "contenders": rows}


def show(size: int, result: dict[str, Any]) -> None:
    print(f"{size} x {size}; kornia's best path: {result['kornia_best'] or 'absent'}")
    print(f"  {'images a second of':20s} {'wall':>9s} {'CPU':>9s}   x PIL wall, CPU   x kornia wall, CPU   first call")
    for name, row in result["contenders"].items():
        times = [row.get(f"times_{key}", float("nan")) for key in ("pil_wall", "pil_cpu", "kornia_wall", "kornia_cpu")]
        print(
            f"  {name:20s} {row['images_per_second']:9.0f} {row['images_per_cpu_second']:9.0f}  "
            f"{times[0]:8.3f} {times[1]:8.3f}  {times[2]:9.3f} {times[3]:9.3f}  {row['first_call_seconds'][0]:9.1f} s"
            f"{'' if row['operations_per_image'] else '  (not operations per image)'}"
        )
    for name, reason in result["absent"].items():
        print(f"  {name:20s} absent: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="the least length of a turn")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--python", action="append", default=[], metavar="[NAME=]PATH", help="of all peers, or of one")
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    given = dict(value.rpartition("=")[::2] for value in arguments.python)
    pythons = {n: given.get(n, sys.executable if n in HOME else given.get("", sys.executable)) for n in CONTENDERS}
    result: dict[str, Any] = {"command": shlex.join(["python", *sys.argv]), **machine(), "sizes": {}}
    for size in arguments.sizes:
        print(f"{size} x {size}", file=sys.stderr)
        row = measure(size, arguments.only, pythons, arguments.rounds, arguments.seconds)
        result["sizes"][str(size)] = row
        show(size, row)
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n")


def machine() -> dict[str, Any]:
    from jaxaug.runs import environment

    information = pathlib.Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    told = environment()
    return {
        "hardware": f"{platform.machine()}, {os.cpu_count()} CPU cores, {model}",
        "load_at_start": list(os.getloadavg()),
        "code": told["code"],
        "versions": {"python": told["python"], **told["packages"]},
    }


if __name__ == "__main__":
    main()

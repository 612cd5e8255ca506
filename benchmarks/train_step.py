"""A training step on this machine's CPU in float32: jaxaug, plain and with each method, beside PyTorch.

    python3 -m venv ~/torch
    ~/torch/bin/pip install torch numpy
    python benchmarks/train_step.py --python ~/torch/bin/python --output benchmarks/results/train_step_cpu.json

A step is forward, backward and the update of SGD with momentum on images that lie in memory as uint8: jaxaug's as its
trainer takes it, PyTorch's eager (channels last, fused optimizer) and compiled. Without --python jaxaug runs alone.
Every arm lives in a process of its own; they take turns of a step or more, in an order that is reversed every round.
Reported: medians over the rounds of wall time and of CPU time (of all threads of the process, which other load on the
machine changes less), and of the ratios in each round: to the plain step of the same library, and of jaxaug to PyTorch.

The floor is what the convolutions and products of a step take at the speed of the faster library's product of two
2048 x 2048 matrices, measured in the same rounds: 3 x 2 x multiplications of a forward pass, for the outputs and for
both gradients. (XLA counts less, since it leaves out products with padding
and the first convolution's gradient in the images.)
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import shlex
import statistics
import sys
from typing import Any

from augment import machine
from training_step.cases import CASES, PRODUCT
from turns import Contestant, race, ratios

PRODUCT_ARM = "matrix product"
# arm: the libraries that have it, so that what is compared stands side by side.
ARMS = {
    "plain": ("jaxaug", "torch"),
    "plain, compiled": ("torch",),
    "ISDA": ("jaxaug", "torch"),
    "Soft Augmentation": ("jaxaug",),
    "DeepAA's policy": ("jaxaug",),
    "AutoDO": ("jaxaug",),
    "all": ("jaxaug",),
    PRODUCT_ARM: ("jaxaug", "torch"),
}


def measure(name: str, chosen: list[str], libraries: dict[str, str], rounds: int, seconds: float) -> dict[str, Any]:
    """The result of one case and the chosen arms. libraries: {name: the Python it runs in}."""

    def start(library: str, arm: str) -> Contestant:
        return Contestant("training_step.worker", [library, name, arm], libraries[library])

    pairs = [(library, arm) for arm in (*chosen, PRODUCT_ARM) for library in ARMS[arm] if library in libraries]
    arms = {f"{library}: {arm}": (library, arm) for library, arm in pairs}
    makers = {key: functools.partial(start, *arm) for key, arm in arms.items()}
    reports, took, absent = race(makers, rounds, lambda r: (seconds,))
    check_alike(reports)
    return {**summary(name, arms, took, reports), "absent": absent}


def check_alike(reports: dict[str, Any]) -> None:
    """Both sides have the same network and the same ISDA."""
    for key in ("parameters", "multiplications"):
        found = {report[key] for report in reports.values() if key in report}
        if len(found) > 1:
            raise SystemExit(f"the networks differ in their {key}: {found}")
    for form in ("full", "diagonal"):
        losses = [report["isda_of_example"][form] for report in reports.values() if "isda_of_example" in report]
        if any(abs(a - b) > 1e-4 * abs(b) for one in losses for a, b in zip(one, losses[0], strict=True)):
            raise SystemExit(f"ISDA with {form} covariances differs: {losses}")


def summary(
    name: str, arms: dict[str, tuple[str, str]], took: dict[str, list[list[float]]], reports: dict[str, Any]
) -> dict[str, Any]:
    """Medians and ratios of the arms that are there."""
    products = [_medians(took[key]) for key in took if arms[key][1] == PRODUCT_ARM]
    best = [min(median[i] for median in products) for i in (0, 1)]
    peak = [2 * PRODUCT**3 / seconds for seconds in best]
    multiplications = next(report["multiplications"] for report in reports.values() if "multiplications" in report)
    flop = 3 * 2 * multiplications * CASES[name].batch
    rows = {}
    for key, turns in took.items():
        library, arm = arms[key]
        median, report = _medians(turns), dict(reports[key])
        report.pop("isda_of_example", None)
        if arm == PRODUCT_ARM:
            rates = [2 * PRODUCT**3 / seconds / 1e9 for seconds in median]
            rows[key] = {"gigaflop_per_second": rates[0], "gigaflop_per_cpu_second": rates[1], **report}
            continue
        rows[key] = {
            "wall_ms": 1e3 * median[0],
            "cpu_ms": 1e3 * median[1],
            "images_per_second": CASES[name].batch / median[0],
            "images_per_cpu_second": CASES[name].batch / median[1],
            "times_floor_wall": median[0] * peak[0] / flop,
            "times_floor_cpu": median[1] * peak[1] / flop,
            **ratios("plain", turns, took.get(f"{library}: plain")),
            **(ratios("torch", turns, took.get(f"torch: {arm}")) if library == "jaxaug" else {}),
            **report,
            "rounds_wall_ms": [round(1e3 * wall, 2) for wall, _ in turns],
            "rounds_cpu_ms": [round(1e3 * cpu, 2) for _, cpu in turns],
        }
    told: dict[str, Any] = {"batch": CASES[name].batch, "size": CASES[name].size, "classes": CASES[name].classes}
    fastest = {"gigaflop_per_second": peak[0] / 1e9, "gigaflop_per_cpu_second": peak[1] / 1e9}
    return {**told, "gigaflop_of_a_step": flop / 1e9, "peak": fastest, "arms": rows}


def _medians(turns: list[list[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*turns, strict=True)]


def show(name: str, result: dict[str, Any]) -> None:
    print(
        f"{name}: {result['batch']} images of {result['size']} px, {result['gigaflop_of_a_step']:.1f} GFLOP; "
        f"{result['peak']['gigaflop_per_second']:.0f} GFLOP/s, "
        f"{result['peak']['gigaflop_per_cpu_second']:.0f} a CPU second"
    )
    print(f"  {'':28s} {'ms wall':>9s} {'ms CPU':>9s} {'images/s':>9s}   x floor    x plain    x PyTorch  (wall, CPU)")
    for key, row in result["arms"].items():
        if "wall_ms" not in row:
            continue
        pairs = [
            [row.get(f"times_{other}_{kind}") for kind in ("wall", "cpu")] for other in ("floor", "plain", "torch")
        ]
        ratios = "  ".join(" ".join("    -" if x is None else f"{x:5.2f}" for x in pair) for pair in pairs)
        print(f"  {key:28s} {row['wall_ms']:9.0f} {row['cpu_ms']:9.0f} {row['images_per_second']:9.1f} {ratios}")
    for key, reason in result["absent"].items():
        print(f"  {key:28s} absent: {reason}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NETWORK")
    measurable = [arm for arm in ARMS if arm != PRODUCT_ARM]
    parser.add_argument("--arms", nargs="+", choices=measurable, default=measurable, metavar="ARM")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="the least length of a turn")
    parser.add_argument("--python", default="", metavar="PATH", help="where PyTorch is")
    parser.add_argument("--output", default="", help="where cases that are not measured stay as they are")
    arguments = parser.parse_args()
    libraries = {"jaxaug": sys.executable} | ({"torch": arguments.python} if arguments.python else {})
    output = pathlib.Path(arguments.output)
    cases: dict[str, Any] = json.loads(output.read_text()) if output.is_file() else {}
    for name in arguments.only:
        print(name, file=sys.stderr)
        about = machine()  # of each case, with the load as it begins
        found = measure(name, arguments.arms, libraries, arguments.rounds, arguments.seconds)
        cases[name] = {"command": shlex.join(["python", *sys.argv]), **about, **found}
        show(name, found)
        if arguments.output:
            output.write_text(json.dumps({key: cases[key] for key in CASES if key in cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()

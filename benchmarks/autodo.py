"""What a search step costs beside a training step, how both grow with the number of rows, and the same step as AutoDO's
released code writes it.

    python benchmarks/autodo.py --output benchmarks/results/autodo_cpu.json    # minutes, most of them compiling

The convnet (32, 64, 128) on 32x32x3, 64 training and 64 trusted rows. The floor, in floating-point operations for an
image: forward 20.6 million (the three convolutions 1.8, 9.4 and 9.4), as much again for the gradient in the parameters
and 18.9 for that in the feature maps (the images need none): 60.1 for a training step. A search step through the
classifier needs one forward pass of the batch and one of the trusted rows, 41.2: 0.69 training steps, whatever the
solver, which works on features [64 128]. With augmentation that is learned the gradient goes on to the
images, 20.6 more: 1.03, besides the warp and its derivative. Through all parameters each product with the curvature
costs a training step or two.

One process on one core, one thread; the arms take turns in rounds whose order is reversed every time, and ratios are
medians over the rounds of CPU time, which other load on the machine changes less than wall time. The state is donated.
In each call the row numbers are new and the state is that after two passes over all rows, so that Adam finds as many
missed steps to make up for as it would.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import shlex
import sys
from collections.abc import Callable
from typing import Any

from augment import machine
from hyperstep import released
from hyperstep.clock import Arm, Calls, race
from hyperstep.ours import Ours, batches, bytes_per_row

from jaxaug.bilevel import ihvp

COUNTS = (1_000, 10_000, 100_000, 1_000_000)
SOLVERS = {
    "identity": ihvp.identity(),
    "conjugate gradient 5": ihvp.conjugate_gradient(steps=5),
    "conjugate gradient 10": ihvp.conjugate_gradient(steps=10),
}
Makers = dict[str, Callable[[], Arm]]


def arm(ours: Ours, step: Callable, size: int = 64, calls: int = 1) -> Callable[[], Arm]:
    return lambda: Arm(step, ours.state(size), batches(ours.count, size), calls)


def cost(widths: tuple[int, ...], rounds: int, size: int = 64) -> dict[str, Any]:
    """A search step beside the training steps, for what each solver costs, with and without augmentation."""
    plain = Ours("plain", widths=widths)
    makers: Makers = {"training, plain": arm(plain, plain.train_step(), size)}
    for word, affine in (("", False), (", affine", True)):
        ours = Ours(affine=affine, widths=widths)
        makers[f"training{word}"] = arm(ours, ours.train_step(), size)
        for name, solver in SOLVERS.items():
            makers[f"search{word}, {name}"] = arm(ours, ours.search_step(solver), size)

    def against(name: str) -> dict[str, str]:
        alike = "training, affine" if "affine" in name else "training"
        return {"times_plain_training": "training, plain", "times_training": alike}

    return race(makers, rounds, against)


def growth(widths: tuple[int, ...], rounds: int, rule: str) -> dict[str, Any]:
    """Training and search steps with weights, soft labels and affine policies, for more and more rows; and what a
    search step does to the rows' numbers alone."""
    makers: Makers = {}
    for count in COUNTS:
        ours = Ours(affine=True, rule=rule, count=count, widths=widths)
        makers[f"training, {count} rows"] = arm(ours, ours.train_step())
        makers[f"search, {count} rows"] = arm(ours, ours.search_step(SOLVERS["conjugate gradient 5"]))
        makers[f"rows alone, {count} rows"] = arm(ours, ours.rows_step(), calls=10)

    def against(name: str) -> dict[str, str]:
        return {"times_fewest_rows": f"{name.split(',')[0]}, {COUNTS[0]} rows"}

    memory = {"bytes_per_row": bytes_per_row(ours)}
    return {**memory, **race(makers, rounds, against)}


def peers(widths: tuple[int, ...], rounds: int) -> dict[str, Any]:
    """The released step beside ours with the same loss, solver and theta. What both do is compared too."""
    makers: Makers = {}
    for count in COUNTS[1:]:
        ours = Ours("released", count=count, widths=widths)
        for theta, part in released.THETA.items():
            if theta == "classifier" or count == COUNTS[1]:
                makers[f"ours, {theta}, {count} rows"] = arm(ours, ours.search_step(**released.AS_OURS, part=part))
                makers[f"released, {theta}, {count} rows"] = other(ours, released.step_of(ours, not part))
        with_policy = Ours(affine=True, count=count, widths=widths)
        makers[f"ours, rows alone, {count} rows"] = arm(with_policy, with_policy.rows_step(), calls=10)
        makers[f"released, rows alone, {count} rows"] = other(with_policy, released.rows_step)
    ours = Ours("released", count=COUNTS[1], widths=widths)
    product = released.step_of(ours, False, in_calls=True)
    makers[f"released product by product, classifier, {COUNTS[1]} rows"] = other(ours, product, Calls)

    def against(name: str) -> dict[str, str]:
        return {"times_ours": ", ".join(["ours", *name.split(", ")[1:]])}

    return {"difference_after_a_step": released.differences(widths), **race(makers, rounds, against)}


def other(ours: Ours, step: Callable, kind: type[Arm] = Arm) -> Callable[[], Arm]:
    return lambda: kind(step, released.begin(ours), batches(ours.count, 64))


GROUPS: dict[str, tuple[Callable, int]] = {
    # name: (what measures it, rounds)
    "batch 64": (cost, 11),
    "batch 256": (functools.partial(cost, size=256), 5),
    "rows, rmsprop": (functools.partial(growth, rule="rmsprop"), 9),
    "rows, adam": (functools.partial(growth, rule="adam"), 9),
    "released": (peers, 7),
}


def show(title: str, result: dict[str, Any]) -> None:
    told = result["measuring"]
    print(
        f"{title}: {told['seconds']:.0f} s, {told['share_of_the_core']:.0%} of the core, load {told['load_before']:.1f}"
    )
    for name, row in result["arms"].items():
        ratios = "".join(f"  {value:6.2f} {key.replace('_', ' ')}" for key, value in row.items() if "times" in key)
        memory = f"  {row['temporaries_MB']:7.1f} MB beside the state" if "temporaries_MB" in row else ""
        print(f"  {name:52s} {row['cpu_ms']:8.2f} ms CPU {row['wall_ms']:8.2f} wall{ratios}{memory}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--rounds", type=int, default=0, help="of all groups, instead of their own")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"command": shlex.join(["python", *sys.argv]), **machine(), "groups": {}}
    for name in arguments.only:
        print(name, file=sys.stderr)
        measure, rounds = GROUPS[name]
        result["groups"][name] = measure(tuple(arguments.widths), arguments.rounds or rounds)
        show(name, result["groups"][name])
        if arguments.output:
            pathlib.Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

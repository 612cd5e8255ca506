"""What an update of DeepAA's policy search costs beside its network alone, on 32x32 images.

    python benchmarks/deepaa.py --output benchmarks/results/deepaa_cpu.json    # 7 CPU minutes, 5 of them compiling

The toy setting in which the released code was timed elsewhere: 2 items, 64 validation images of each, 139 branches,
2 copies, factor 1, chunk 1, WRN-10-1. An item has 64 + 139 images forward and backward; a first layer has 139 more in
forward mode, a later one and all layers together 278. The floor, in floating-point operations for an image: forward
25.0 million (convolutions 0.9, 9.4, 7.3 and 7.3), as much again for the gradient in the parameters and 24.1 for that in
the maps (the image needs none): 74 forward and backward, and 74 in forward mode too, whose tangent has two terms in
each convolution. With 684 images an update of a first layer needs 50.7 billion, of later ones 962 images and 71.3. XLA
counts 6 to 7 % less, as it leaves out what padding multiplies by 0. The released layout has its stride on the second
convolution of a block: 39 million forward.

"ours" is `DeepAASearch.update_functions`, the choice of rows and the step of Adam included; "floor" the network's
gradients and derivatives on images that are ready, in batches of the same sizes; "augmentation" the images of an update
alone.
"pieces" shows where the time goes. An update of the released setting (WRN-40-2, 16 items, 16 copies, factor 4) has up
to 45,504 images: it is extrapolated from one call of each piece. The policy is uniform, so that hardly a draw is idle.

One process on one core, one thread; the arms take turns in rounds whose order is reversed every time, and ratios are
medians over the rounds of CPU time, which other load on the machine changes less than wall time.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import sys
from typing import Any

from augment import machine
from hyperstep.clock import race
from hyperstep.policy import LAYER, Ours, Taken

NETWORKS = {"ours": "wide_resnet", "released": "hyperstep.wide_resnet_tf.WideResNetTF"}
TOY = {"images": 2, "validation": 64, "copies": 2, "factor": 1, "chunk": 1}
RELEASED = {"images": 16, "validation": 64, "copies": 16, "factor": 4, "chunk": 1}
# One piece of each kind, the same as those of the released setting.
LEAST = {**RELEASED, "images": 1, "copies": 1, "factor": 1}
ALLOWED = 1.3  # times the floor
# CPU seconds of an update of the released code under TensorFlow 2.5, which does not run here: WRN-10-1 in the toy
# setting, main process alone, its augmentation in other processes not counted, medians of 5.
ELSEWHERE = {
    "cpu_s": {"first": 4.47, "later": 5.45},
    "range_cpu_s": {"first": [3.57, 5.23], "later": [5.32, 6.37]},
    "where": "measured elsewhere: 2 virtual cores at 2.5 GHz under other load, TensorFlow 2.5; ratios are indicative",
}


def updates(network: str, rounds: int) -> dict[str, Any]:
    """Updates of each stage beside their floors and their augmentation, in the toy setting."""
    ours = Ours(NETWORKS[network], 10, 1, TOY)
    stages = tuple(LAYER) if network == "ours" else tuple(ELSEWHERE["cpu_s"])
    makers = {f"ours, {stage}": lambda stage=stage: ours.update(stage) for stage in stages}
    makers |= {f"floor, {stage}": lambda stage=stage: ours.floor(stage) for stage in ("first", "later")}
    makers |= {f"augmentation, {stage}": lambda stage=stage: ours.augmentation(stage) for stage in stages}

    def against(name: str) -> dict[str, str]:
        kind, stage = name.split(", ")
        if kind == "ours":
            return {"times_floor": f"floor, {'first' if stage == 'first' else 'later'}"}
        return {"share_of_update": f"ours, {stage}"} if kind == "augmentation" else {}

    found = {"numbers": ours.numbers(), **race(makers, rounds, against)}
    for stage in stages:
        row = found["arms"][f"ours, {stage}"]
        row["within_what_is_allowed"] = row["times_floor"] <= ALLOWED
        if network == "released":
            row["released_code_elsewhere_times_ours"] = 1e3 * ELSEWHERE["cpu_s"][stage] / row["cpu_ms"]
    return found


def toy_pieces(network: str, rounds: int) -> dict[str, Any]:
    """The jitted pieces of the updates in the toy setting, and how often each is called."""
    return _pieces(Taken(tuple(LAYER), NETWORKS[network], 10, 1, TOY), TOY, rounds)


def released_setting(network: str, rounds: int) -> dict[str, Any]:
    """The pieces with WRN-40-2, and an update of the released setting extrapolated from them."""
    return _pieces(Taken(("later",), NETWORKS[network], 40, 2, LEAST), RELEASED, rounds)


def _pieces(taken: Taken, setting: dict[str, int], rounds: int) -> dict[str, Any]:
    found = race(taken.arms, rounds, lambda name: {})
    seconds = {name: row["cpu_ms"] / 1e3 for name, row in found["arms"].items()}
    for name, row in found["arms"].items():
        row["gigaflop_a_second"] = row["gigaflop"] / seconds[name]
    items, copies = setting["images"], setting["copies"] // setting["chunk"]
    validation, drawn, seen = (seconds[name] for name in ("validation", "add_sampled", "add_importance"))
    # With the images of other branches the work of the network is the same.
    first = validation + seconds.get("add_expected", drawn) + seconds.get("add_first", seen)
    later = validation + setting["factor"] * drawn + copies * seen
    added = {"first": items * first, "later": items * later}
    told = {"setting": setting, "calls_of_an_update": taken.counts, "added_up_cpu_s": added}
    return {"numbers": taken.ours.numbers(), **told, **found}


GROUPS = {
    # name: (what measures it, network, rounds)
    "WRN-10-1": (updates, "ours", 5),
    "WRN-10-1 of the released search": (updates, "released", 3),
    "pieces, WRN-10-1": (toy_pieces, "ours", 3),
    "pieces, WRN-40-2": (released_setting, "ours", 1),
}


def show(title: str, result: dict[str, Any]) -> None:
    told, numbers = result["measuring"], result["numbers"]
    print(
        f"{title}: {numbers['in_the_gradient']} numbers in the gradient; {told['seconds']:.0f} s, "
        f"{told['share_of_the_core']:.0%} of the core, load {told['load_before']:.1f}"
    )
    for name, row in result["arms"].items():
        ratios = "".join(
            f"  {value:.3f} {key.replace('_', ' ')}" for key, value in row.items() if key.startswith(("times", "share"))
        )
        work = f"  {row['gigaflop']:7.2f} GFLOP" if "gigaflop" in row else ""
        print(f"  {name:22s} {row['cpu_ms']:9.1f} ms CPU {row['wall_ms']:9.1f} wall{ratios}{work}", flush=True)
        if "released_code_elsewhere_times_ours" in row:
            stage, ratio = name.split(", ")[1], row["released_code_elsewhere_times_ours"]
            seconds = ELSEWHERE["cpu_s"][stage]
            print(f"    released code {seconds:.2f} CPU s, {ratio:.2f} times ours; {ELSEWHERE['where']}")
    for stage, seconds in result.get("added_up_cpu_s", {}).items():
        print(f"  an update, {stage}: {seconds:.1f} CPU s, pieces added up for {result['setting']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--rounds", type=int, default=0, help="of all groups, instead of their own")
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"command": shlex.join(["python", *sys.argv]), **machine(), "setting": TOY}
    result |= {"released_code": ELSEWHERE, "allowed_times_floor": ALLOWED, "groups": {}}
    for name in arguments.only:
        print(name, file=sys.stderr)
        measure, network, rounds = GROUPS[name]
        result["groups"][name] = measure(network, arguments.rounds or rounds)
        show(name, result["groups"][name])
        if arguments.output:
            pathlib.Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

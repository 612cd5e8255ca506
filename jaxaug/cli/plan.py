"""What a config costs on devices that are not here: `jaxaug plan --config=configs/isda_cifar.py --topology=v5e:8x8`.

The steps are compiled for the devices, and nothing is computed: memory per device, FLOPs, bytes, collectives, the least
time, the largest batch. Settings as for `jaxaug train`. Data sets of a known size need not be on this machine.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from jaxaug.cli.arguments import add_output_arguments, print_json, speaking

HELP = "memory, FLOPs, collectives and time of a config on TPUs or GPUs that are not here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside these, settings: --config.<path>=<value>."""
    parser.add_argument("--config", required=True, metavar="FILE[:WORD]", help="a file with get_config(), see configs/")
    parser.add_argument(
        "--topology",
        required=True,
        metavar="CHIP:EXTENTS",
        help="such as v5e:2x4, v5p:2x2x2, v6e:16x16, h100:8, or cpu:8; several with commas",
    )
    parser.add_argument("--steps", default="train,evaluate,search", help="which to compile (default: %(default)s)")
    parser.add_argument("--no_largest", action="store_true", help="do not look for the largest batch, which takes time")
    parser.add_argument(
        "--reading",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="read images for so long, as a host would, to see how many a second this machine delivers",
    )
    add_output_arguments(parser, "the plan of each topology")


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Compile and tell."""
    from jaxaug.planning.topology import prepare_environment

    topologies, steps = chosen.topology.split(","), tuple(chosen.steps.split(","))
    for topology in topologies:
        prepare_environment(topology, os.environ)

    from jaxaug.cli.train import read_config
    from jaxaug.planning.plan import plan
    from jaxaug.planning.report import report

    config, found = read_config(chosen.config, others), []
    with speaking(chosen) as stdout:
        for topology in topologies:
            found.append(plan(config, topology, steps=steps, largest=not chosen.no_largest, reading=chosen.reading))
            print(report(found[-1]), flush=True)
    if chosen.json:
        print_json([one.as_json() for one in found], stdout)

"""Augment a folder of images: `jaxaug augment --policy=deepaa_cifar_2 --images=IN --out=OUT --copies=3`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from jaxaug.cli.arguments import add_output_arguments, print_json, refuse, speaking
from jaxaug.core.errors import UsageError

HELP = "augment a folder of images by a policy, or draw a policy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The policy, the folders, how often."""
    parser.add_argument(
        "--policy", required=True, help="a file that Policy.save wrote, or the name of a preset, such as randaugment"
    )
    parser.add_argument("--images", help="the folder with the images, sub-folders included")
    parser.add_argument("--out", help="the folder to write to: <name>_<copy>.png and visible.csv")
    parser.add_argument("--copies", type=int, default=1, help="augmented versions of each image (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--exact", action="store_true", default=True, help="PIL's results, by NumPy (the default)")
    parser.add_argument(
        "--noexact",
        dest="exact",
        action="store_false",
        help="the differentiable form, rounded; JAX compiles each size of image",
    )
    parser.add_argument(
        "--skip_broken", action="store_true", help="leave out images that cannot be read, and say which"
    )
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--plot", help="draw the policy into this file, for example policy.png")
    parser.add_argument("--num_layers", type=int, help="of randaugment, uniformaugment and autodo_* (default: 2)")
    parser.add_argument("--magnitude", type=int, help="of randaugment and autodo_*, 0 to 30 (default: 9)")
    add_output_arguments(parser, "what was written")


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Draw the policy, augment the folder."""
    from jaxaug.augment import image_folder
    from jaxaug.core.sharding import enable_compilation_cache
    from jaxaug.viz.policy import plot_policy

    refuse(others)
    enable_compilation_cache()
    policy = image_folder.load_policy(chosen.policy, chosen.num_layers, chosen.magnitude)
    if bool(chosen.images) != bool(chosen.out) or not (chosen.images or chosen.plot):
        raise UsageError("say --images=FOLDER and --out=FOLDER, or --plot=FILE.png, or all three")
    made: dict[str, Any] = {}
    with speaking(chosen) as stdout:
        if chosen.plot:
            plot_policy(policy, chosen.plot)
            made["plot"] = chosen.plot
            print(f"the policy is drawn in {chosen.plot}")
        if chosen.images:
            names = ("copies", "seed", "exact", "skip_broken", "overwrite")
            options = {name: getattr(chosen, name) for name in names}
            written = image_folder.augment_folder(policy, chosen.images, chosen.out, **options)
            made |= {"out": chosen.out, "images": len(written)}
            print(f"{len(written)} images and {image_folder.TABLE} are in {chosen.out}")
        if chosen.json:
            print_json(made, stdout)

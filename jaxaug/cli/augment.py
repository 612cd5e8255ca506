"""Augment a folder of images: `python -m jaxaug.augment --policy=deepaa_cifar_2 --images=IN --out=OUT --copies=3`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jaxaug.augment import image_folder
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.policies import presets
from jaxaug.viz.policy import plot_policy


def main(arguments: Sequence[str]) -> int:
    """Run with the arguments of the command line: 0, or 2 after a mistake of the user's."""
    chosen = _parser().parse_args(arguments)
    enable_compilation_cache()
    try:
        policy = image_folder.load_policy(chosen.policy, chosen.layers, chosen.magnitude)
        if bool(chosen.images) != bool(chosen.out) or not (chosen.images or chosen.plot):
            raise UsageError("say --images=FOLDER and --out=FOLDER, or --plot=FILE.png, or all three")
        if chosen.plot:
            plot_policy(policy, chosen.plot)
            print(f"the policy is drawn in {chosen.plot}")
        if chosen.images:
            names = ("copies", "seed", "exact", "batch_size", "overwrite")
            options = {name: getattr(chosen, name) for name in names}
            written = image_folder.augment_folder(policy, chosen.images, chosen.out, **options)
            print(f"{len(written)} images and {image_folder.TABLE} are in {chosen.out}")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    # Not absl: its flags are one table for the whole process, and whoever looks for parts imports this module too.
    parser = argparse.ArgumentParser("python -m jaxaug.augment", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--policy", required=True, help=f"a file that Policy.save wrote, or one of: {', '.join(presets.every())}"
    )
    parser.add_argument("--images", help="the folder with the images, sub-folders included")
    parser.add_argument("--out", help="the folder to write to: <name>_<copy>.png and visible.csv")
    parser.add_argument("--copies", type=int, default=1, help="augmented versions of each image (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--batch_size", type=int, default=64, help="images of one size at a time (default: 64)")
    parser.add_argument("--exact", action="store_true", default=True, help="PIL's results (the default)")
    parser.add_argument("--noexact", dest="exact", action="store_false", help="the differentiable form, rounded")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")
    parser.add_argument("--plot", help="draw the policy into this file, for example policy.png")
    parser.add_argument(
        "--layers", type=int, default=2, help="of randaugment, uniformaugment and autodo_* (default: 2)"
    )
    parser.add_argument("--magnitude", type=int, default=9, help="of randaugment and autodo_*, 0 to 30 (default: 9)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Name the classes of images by a run's network: `jaxaug predict RUN photos/ --out=predictions.csv`.

Inputs are folders, image files, .npz or .npy files of images, or `-`: a list of them on stdin, one a line. Images are
cut to the proportions of the run's images and resized. Those that cannot be read are named and left out.

A run that says a class for each pixel writes pictures instead, each as large as its image: `--out=DIR` gets label maps
with a palette in DIR/labels, overlays in DIR/overlays, and predictions.csv and classes.csv.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from jaxaug.cli.arguments import add_output_arguments, print_json, refuse, speaking
from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick

if TYPE_CHECKING:
    from jaxaug.inference.trained_run import TrainedRun

HELP = "name the classes of images by a run's network"
SIZES = {"data": None, "run": True, "own": False}  # whether images of label maps are resized


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, the images, the files."""
    parser.add_argument("folder", metavar="RUN", help="the folder of a run, or one with a single run below it")
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="a folder, an image, an .npz, or - for a list on stdin"
    )
    parser.add_argument(
        "--out",
        default="",
        metavar="PATH",
        help="a .csv or .jsonl (default: CSV to the terminal); for label maps a folder",
    )
    parser.add_argument("--features", default="", metavar="FILE", help="keep the features there, as .npz")
    parser.add_argument("--top", type=int, default=5, help="classes of an image, the likeliest first (default: 5)")
    parser.add_argument(
        "--batch_size", type=int, default=0, help="images at a time (default: the run's eval_batch_size)"
    )
    parser.add_argument(
        "--size",
        default="data",
        help="for label maps, how large the network sees an image: run, as large as the run's; own, as it is, which is "
        "compiled for each size; data, as the run's data set does (the default)",
    )
    parser.add_argument("--checkpoint", default="last", help="last (the default), best on validation, or averaged")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="divide the logits by a temperature, which is fitted on the run's validation rows once and kept beside it",
    )
    add_output_arguments(parser, "the predictions (JSON lines), or with --out how many there are,")


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Predict, say how many and what was left out."""
    from absl import logging

    from jaxaug.core.sharding import enable_compilation_cache
    from jaxaug.inference.trained_run import load

    refuse(others)
    pick("size", chosen.size, SIZES)
    logging.set_verbosity(logging.ERROR)
    enable_compilation_cache()
    inputs = [line for one in chosen.inputs for line in (_listed() if one == "-" else [one])]
    with speaking(chosen) as stdout:
        trained = load(chosen.folder, chosen.checkpoint)
        (_write_maps if trained.has_maps else _write_classes)(trained, inputs, chosen, stdout)


def _write_classes(trained: TrainedRun, inputs: list[str], chosen: argparse.Namespace, stdout: IO[str]) -> None:
    from jaxaug.inference.calibration import calibrate
    from jaxaug.inference.predictions import predict_files

    temperature = calibrate(trained) if chosen.calibrate else 1.0
    counts = predict_files(
        trained,
        inputs,
        chosen.out or stdout,
        style="" if chosen.out else "jsonl" if chosen.json else "csv",
        features=chosen.features,
        top=chosen.top,
        batch_size=chosen.batch_size,
        temperature=temperature,
        bar=not chosen.quiet,
        told=_tell,
    )
    if chosen.json and chosen.out:
        print_json({**counts._asdict(), "temperature": temperature, "out": chosen.out}, stdout)
    elif not chosen.quiet:
        calibrated = f", temperature {temperature:.4g}" if chosen.calibrate else ""
        where = f" are in {chosen.out}" if chosen.out else ""
        _tell(f"{counts.predicted} images{where}, {counts.skipped} skipped{calibrated}")


def _write_maps(trained: TrainedRun, inputs: list[str], chosen: argparse.Namespace, stdout: IO[str]) -> None:
    from jaxaug.inference.label_map_pictures import predict_label_maps

    if not chosen.out or chosen.features or chosen.calibrate:
        raise UsageError(
            "the run says a class for each pixel: name a folder for its label maps with --out=DIR, without --features "
            "and --calibrate"
        )
    counts = predict_label_maps(
        trained,
        inputs,
        chosen.out,
        batch_size=chosen.batch_size,
        resize=SIZES[chosen.size],
        bar=not chosen.quiet,
        told=_tell,
    )
    if chosen.json:
        print_json({**counts._asdict(), "out": chosen.out}, stdout)
    elif not chosen.quiet:
        _tell(f"the label maps of {counts.predicted} images are in {chosen.out}, {counts.skipped} skipped")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _listed() -> list[str]:
    return [line.strip() for line in sys.stdin if line.strip()]

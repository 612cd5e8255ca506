"""A run's network, weights or policy for other programs: `jaxaug export RUN --out=model.stablehlo`.

The function takes uint8 images of any batch size and needs JAX alone:
jax.export.deserialize(bytearray(open("model.stablehlo", "rb").read())).call(images).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from jaxaug.cli.arguments import add_output_arguments, print_json, refuse, speaking
from jaxaug.core.errors import UsageError

OTHERS = (".onnx", ".pb", ".pt", ".pth", ".tflite")  # files of formats that are not written here
HELP = "a run's network as StableHLO, its weights as .safetensors, its policy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run, and a file for each thing that is wanted."""
    parser.add_argument("folder", metavar="RUN", help="the folder of a run, or one with a single run below it")
    parser.add_argument("--out", default="", metavar="FILE", help="the function, with preprocessing and weights in it")
    parser.add_argument(
        "--platforms", default="cpu,cuda,tpu", help="where the function is to run (default: %(default)s)"
    )
    parser.add_argument("--features", action="store_true", help="let the function give the features, too")
    parser.add_argument("--calibrate", action="store_true", help="as in jaxaug predict")
    parser.add_argument("--weights", default="", metavar="FILE", help="parameters and statistics, as .safetensors")
    parser.add_argument("--policy", default="", metavar="FILE", help="the policy that was searched, or is trained with")
    parser.add_argument("--style", default="json", help="of the policy: json (the default), torchvision or timm")
    parser.add_argument("--checkpoint", default="last", help="last (the default), best on validation, or averaged")
    add_output_arguments(parser, "what was written")


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Write what is asked for."""
    from absl import logging

    from jaxaug.core.sharding import enable_compilation_cache
    from jaxaug.inference.calibration import calibrate
    from jaxaug.inference.export import export_function, export_policy, export_weights
    from jaxaug.inference.trained_run import load

    refuse(others)
    if not (chosen.out or chosen.weights or chosen.policy):
        raise UsageError(
            "say what to export: --out=model.stablehlo, --weights=model.safetensors or --policy=policy.json"
        )
    if chosen.out.endswith(OTHERS):
        raise UsageError(f"{chosen.out}: what is written is StableHLO: call it for example model.stablehlo")
    logging.set_verbosity(logging.ERROR)
    enable_compilation_cache()
    with speaking(chosen) as stdout:
        trained = load(chosen.folder, chosen.checkpoint)
        written: dict[str, Any] = {"run": str(trained.folder), "step": trained.step}
        if chosen.policy:
            written["policy"] = {"file": chosen.policy, "source": export_policy(trained, chosen.policy, chosen.style)}
            print(f"the policy {written['policy']['source']} is in {chosen.policy}")
        if chosen.weights:
            written["weights"] = {"file": chosen.weights, "arrays": export_weights(trained, chosen.weights)}
            print(f"{written['weights']['arrays']} arrays are in {chosen.weights}")
        if chosen.out:
            platforms = [word.strip() for word in chosen.platforms.split(",")]
            temperature = calibrate(trained) if chosen.calibrate else 1.0
            options = {"platforms": platforms, "features": chosen.features, "temperature": temperature}
            written["function"] = {"file": chosen.out, **export_function(trained, chosen.out, **options)}
            print(f"the function for {', '.join(platforms)} is in {chosen.out}, what it takes in {chosen.out}.json")
        if chosen.json:
            print_json(written, stdout)

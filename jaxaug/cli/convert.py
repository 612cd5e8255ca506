"""Weights of torchvision, timm or ISDA into jaxaug's, or back into a state dict with torchvision's names.

jaxaug convert resnet50.pth --model=resnet50 --out=resnet50.npz            # from PyTorch, which need not be there
jaxaug convert resnet50.npz --model=resnet50 --out=resnet50.safetensors    # to PyTorch
jaxaug convert resnet101-imagenet.pth --model=resnet --model.stem=deep --model.depth=101 --out=resnet101.npz
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import Any

from jaxaug.cli.arguments import add_output_arguments, print_json, settings_of, speaking
from jaxaug.core.errors import UsageError

HELP = "weights of torchvision, timm or ISDA in, of torchvision's layout out"
OURS, THEIRS = ".npz", ".safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two files and the network; beside these, the network's options: --model.<option>=<value>."""
    parser.add_argument(
        "file", metavar="FILE", help=".pth, .pt, .bin or .safetensors; or .npz, to be written for PyTorch"
    )
    parser.add_argument(
        "--model",
        required=True,
        help="the network's name, such as resnet50 or vit_b_16; its options as --model.stem=deep, see "
        "`jaxaug options model`",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help=".npz; for PyTorch .safetensors")
    parser.add_argument("--num_classes", type=int, default=1000, help="of the file's head (default: 1000)")
    parser.add_argument("--image_size", type=int, default=224, help="pixels of a side, for a ViT (default: 224)")
    add_output_arguments(parser, "what was written")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Read, convert, write."""
    from jaxaug import models
    from jaxaug.models import weights

    source, target = pathlib.Path(chosen.file), pathlib.Path(chosen.out)
    expected = THEIRS if source.suffix == OURS else OURS
    if target.suffix != expected:
        raise UsageError(f"--out: a {source.suffix or 'file'} becomes a {expected}, not {target.name}")
    model = models.create(**_slot_of(chosen.model, others), num_classes=chosen.num_classes)
    if source.suffix == OURS:
        weights.export(target, model, *weights.load(source))
    else:
        state = weights.read_torch(source)
        weights.save(target, *weights.from_torch(model, state, image_size=chosen.image_size))
    with speaking(chosen) as stdout:
        print(f"{target}: {chosen.model}")
        if chosen.json:
            print_json({"out": str(target), "model": chosen.model}, stdout)


def _slot_of(name: str, others: Sequence[str]) -> dict[str, Any]:
    """The slot of a network with the options that arguments such as "--model.stem=deep" set."""
    from jaxaug.train.config import apply_override, default_config

    config = default_config()
    config.model = {"name": name}
    for option, value in settings_of(others, "--model.", "--model.depth=50"):
        apply_override(config, f"model.{option}", value)
    return config.model.to_dict()

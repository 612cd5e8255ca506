"""What a training gains from `jaxaug label-errors` without a look at the list: digits with labels drawn anew.

    python benchmarks/cleaned_labels.py --output=benchmarks/results/cleaned_labels_digits_cpu.json

All 1,347 training rows, 30 % of their labels drawn anew (none is trusted), the network and the schedule of
configs/autodo_digits.py. The list is made by the command itself, without a network and with one; then a training takes
what it left: the rows without the suspects, the weights, or the soft labels. Beside these: the labels as they are, with
and without label smoothing, and the true ones. Accuracy is that of the final epoch on the 450 test rows.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
import time
from typing import Any

import numpy as np
from configured import config_of

from jaxaug import data, train
from jaxaug.cli.main import main as jaxaug
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.runs import environment

SMOOTHED = {"loss": ({"name": "label_smoothing", "amount": 0.1},)}
JUDGES = {"patches": ("--epochs=0",), "patches and network": ()}


def listed(folder: pathlib.Path, noise: float, seed: int, judge: tuple[str, ...]) -> dict[str, float]:
    """Write the list; how many rows it drops, and how many of them, and of all, are wrong."""
    options = (f"--data.noise={noise}", f"--data.seed={seed}", f"--seed={seed}", f"--out={folder}", "--quiet")
    if jaxaug(["label-errors", "digits", *options, *judge]):
        raise SystemExit("label-errors failed")
    judged = data.load("digits", noise=noise, seed=seed)
    left = data.load("digits", labels=str(folder / "without_suspects.csv")).train.index
    wrong, dropped = judged.clean_label != judged.train.label, ~np.isin(judged.train.index, left)
    return {"dropped": int(dropped.sum()), "wrong": int(wrong.sum()), "wrong_dropped": int((wrong & dropped).sum())}


def trained(changes: dict[str, Any], seed: int) -> float:
    """Test accuracy of the final epoch of the plain training, so changed."""
    config = config_of("autodo_digits")
    config.variants, config.seeds, config.seed = {}, 1, seed
    config.data.update(seed=seed, validation_size=0, imbalance=1.0, noise=0.0)
    config.eval_every = config.save_every = config.epochs
    config.search = {"name": "none"}
    config.update(changes)
    with tempfile.TemporaryDirectory() as workdir:
        return train.train_and_evaluate(config, workdir)["test_top1"]


def after(folder: pathlib.Path, noise: float) -> dict[str, dict[str, Any]]:
    """name -> what a training takes from a list."""
    noisy = {"data": {"noise": noise}, "search": {"name": "learned", "run": str(folder)}}
    return {
        "without suspects": {"data": {"labels": str(folder / "without_suspects.csv")}},
        "weights": {**noisy, "loss": ("learned_weights",)},
        "soft labels": {**noisy, "loss": ("learned_targets",)},
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.3])
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    enable_compilation_cache()
    results: dict[str, Any] = {"environment": environment(), "lists": {}, "accuracy": {}}

    def measure(name: str, changes: dict[str, Any], seed: int) -> None:
        began = time.perf_counter()
        results["accuracy"].setdefault(name, []).append(trained(changes, seed))
        print(f"{name:50} {results['accuracy'][name][-1]:.4f}  {time.perf_counter() - began:.0f} s", flush=True)
        if arguments.output:  # after every training, so that what was measured stays
            pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1) + "\n")

    for seed in range(arguments.seeds):
        measure("true labels", {}, seed)
        for noise in arguments.noise:
            noisy = {"data": {"noise": noise}}
            measure(f"{noise}: plain", noisy, seed)
            measure(f"{noise}: label smoothing", {**noisy, **SMOOTHED}, seed)
            for judge, options in JUDGES.items():
                with tempfile.TemporaryDirectory() as folder:
                    found = listed(pathlib.Path(folder), noise, seed, options)
                    results["lists"].setdefault(f"{noise}: {judge}", []).append(found)
                    for name, changes in after(pathlib.Path(folder), noise).items():
                        measure(f"{noise}: {judge}: {name}", changes, seed)


if __name__ == "__main__":
    main()

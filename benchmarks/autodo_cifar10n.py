"""AutoDO where people labelled (CIFAR-10N), beside plain training, a list of suspects, and the controls.

    python benchmarks/autodo_cifar10n.py cifar10.npz random1.npy benchmarks/results/autodo_cifar10n_random1_cpu.json

cifar10.npz has the true labels, the other file the people's, one for each training row in its order. The rows of
configs/autodo_cifar10n.py, 10,000 images and 500 trusted ones, drawn by the seed; for each seed first the list, which
`dropped` and `weighted` take. Accuracy is that of the final epoch; `early` is the test accuracy of the epoch that was
best on the trusted rows, which costs what looking at them costs. What the output has already is not run again.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
from typing import Any

import numpy as np
from configured import FOLDER
from ml_collections import ConfigDict

from jaxaug import data
from jaxaug.cli.main import main as jaxaug
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.runs import environment
from jaxaug.train import load_config_file, train_and_evaluate
from jaxaug.train.config import expand


def listed(seed: int, folder: pathlib.Path, rows: dict[str, Any]) -> dict[str, int]:
    """Write the list; how many rows it drops, and how many of them, and of all, are wrong."""
    options = [f"--data.{name}={value}" for name, value in rows.items()]
    if jaxaug(["label-errors", "npz", *options, "--trusted=validation", f"--seed={seed}", f"--out={folder}"]):
        raise SystemExit("label-errors failed")
    judged = data.load("npz", **rows)
    left = data.load("npz", **{**rows, "labels": str(folder / "without_suspects.csv"), "train_size": 0})
    wrong = judged.clean_label != judged.train.label
    dropped = ~np.isin(judged.train.index, left.train.index)
    counts = {
        "rows": len(wrong),
        "wrong": wrong.sum(),
        "dropped": dropped.sum(),
        "wrong_dropped": (wrong & dropped).sum(),
    }
    return {name: int(count) for name, count in counts.items()}


def trained(config: ConfigDict, workdir: pathlib.Path, title: str) -> dict[str, float]:
    """Test accuracy at the end, and of the epoch that was best on the trusted rows if they were not trained on."""
    result = train_and_evaluate(config, workdir, title)
    found = {"accuracy": result["test_top1"], "seconds": round(result["seconds"], 1)}
    if "chosen_top1" in result:
        found["early"], found["epoch"] = result["chosen_top1"], result["chosen_epoch"]
    return found


def main() -> None:
    """Measure what is not there yet, write after each run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("labels", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", default="all", help="of the config, joined by +")
    chosen = parser.parse_args()
    enable_compilation_cache()
    table = {"environment": environment(), "lists": {}, "results": {}}
    if chosen.output.exists():
        table = json.loads(chosen.output.read_text())
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(chosen.seeds):
            found = pathlib.Path(temporary) / f"found_{seed}"
            config = load_config_file(f"{FOLDER / 'autodo_cifar10n.py'}:{chosen.rows},{chosen.labels},{found}")
            config.seed = config.data.seed = seed
            config.data.update(name="npz", path=str(chosen.images))
            rows = {option: value for option, value in config.data.items() if option != "name"}
            for row, one in expand(config).items():
                of = table["results"].setdefault(row, {})
                if str(seed) in of:
                    continue
                if row in ("dropped", "weighted") and not found.exists():
                    table["lists"][str(seed)] = listed(seed, found, rows)
                of[str(seed)] = trained(one, pathlib.Path(temporary) / f"{row}_{seed}", f"{row}, seed {seed}")
                chosen.output.write_text(json.dumps(table, indent=1) + "\n")
    for row, of in table["results"].items():
        accuracy = 100 * np.array([one["accuracy"] for one in of.values()])
        early = 100 * np.array([one.get("early", np.nan) for one in of.values()])
        spread = accuracy.std(ddof=1) if len(accuracy) > 1 else np.nan
        print(f"{row:10} {accuracy.mean():.1f} ± {spread:.1f}, stopped early {early.mean():.1f}, {len(accuracy)} seeds")


if __name__ == "__main__":
    main()

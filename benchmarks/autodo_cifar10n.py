"""AutoDO where people labelled (CIFAR-10N), beside plain training, a list of suspects, and the controls.

    python benchmarks/autodo_cifar10n.py cifar10.npz random1.npy benchmarks/results/autodo_cifar10n_random1_cpu.json

cifar10.npz has the true labels, the other file the people's, one for each training row in its order. The rows of
configs/autodo_cifar10n.py, 10,000 images and 500 trusted ones, drawn by the seed; for each seed first the list, which
`dropped`, `weighted` and `softened` take. With --kept lists stay there, and the weights of WGHT, for `WGHT_again`.

`chosen_top1` is the test accuracy of the epoch that was best on the trusted rows, where these were not trained on. Of
learned weights, `auc` tells how well they part wrong rows from right ones, `wrong_share` which part of the sum is that
of wrong rows, and `effective_rows` how many equal rows they are worth, (sum w)^2 / sum w^2, as a share of all. What the
table has already is not run again.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import tempfile
from typing import Any

import numpy as np
from configured import FOLDER
from seed_by_seed import Table
from sklearn.metrics import roc_auc_score

from jaxaug import data
from jaxaug.cli.main import main as jaxaug
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.label_errors.cleaning import WITHOUT_SUSPECTS
from jaxaug.search.learned import FILE, read_learned
from jaxaug.train import load_config_file
from jaxaug.train.config import expand

LISTED = ("dropped", "weighted", "softened")


def is_wrong(rows: dict[str, Any], index: np.ndarray) -> np.ndarray:
    """Of training rows, whether people labelled them otherwise than the set."""
    with np.load(rows["path"]) as arrays:
        return arrays["train_label"][index] != np.load(rows["labels"])[index]


def of_weights(rows: dict[str, Any], folder: pathlib.Path) -> dict[str, float]:
    """What a run's learned weights know of wrong rows; nothing where it has none."""
    if not (folder / FILE).exists():
        return {}
    learned = read_learned(folder / FILE)
    if "per_example/weight" not in learned:
        return {}
    raw, wrong = learned["per_example/weight"], is_wrong(rows, learned["index"])
    weight = np.log1p(np.exp(raw))
    found = {
        "auc": roc_auc_score(wrong, -raw),
        "wrong_share": weight[wrong].sum() / weight.sum(),
        "effective_rows": weight.sum() ** 2 / (weight**2).sum() / len(weight),
    }
    return {name: float(value) for name, value in found.items()}


def listed(seed: int, folder: pathlib.Path, rows: dict[str, Any]) -> dict[str, int]:
    """Write the list; how many rows it drops, and how many of them, and of all, are wrong."""
    options = [f"--data.{name}={value}" for name, value in rows.items()]
    if jaxaug(["label-errors", "npz", *options, "--trusted=validation", f"--seed={seed}", f"--out={folder}"]):
        raise SystemExit("label-errors failed")
    judged = data.load("npz", **rows)
    left = data.load("npz", **{**rows, "labels": str(folder / WITHOUT_SUSPECTS), "train_size": 0})
    wrong = is_wrong(rows, judged.train.index)
    dropped = ~np.isin(judged.train.index, left.train.index)
    counts = {
        "rows": len(wrong),
        "wrong": wrong.sum(),
        "dropped": dropped.sum(),
        "wrong_dropped": (wrong & dropped).sum(),
    }
    return {name: int(count) for name, count in counts.items()}


def measure(chosen: argparse.Namespace, table: Table, seed: int, kept: pathlib.Path, runs: pathlib.Path) -> None:
    """All rows of a seed."""
    found, weights = kept / f"found_{seed}", kept / f"weights_{seed}"
    words = ",".join([chosen.rows, str(chosen.labels), str(found), str(weights)])
    config = load_config_file(f"{FOLDER / 'autodo_cifar10n.py'}:{words}")
    config.data.update(name="npz", path=str(chosen.images), seed=seed)
    rows = {option: value for option, value in config.data.items() if option != "name"}

    def before(row: str) -> None:
        if row in LISTED and not found.exists():
            table.found.setdefault("lists", {})[str(seed)] = listed(seed, found, rows)

    def after(row: str, folder: pathlib.Path) -> dict[str, float]:
        if row == "WGHT":
            weights.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / FILE, weights / FILE)
        return of_weights(rows, folder)

    table.measure(seed, expand(config), runs, before, after)


def main() -> None:
    """Measure what is not there yet, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=pathlib.Path)
    parser.add_argument("labels", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", default="all", help="of the config, joined by +")
    parser.add_argument("--kept", type=pathlib.Path, help="a folder (default: kept no longer than this)")
    chosen = parser.parse_args()
    enable_compilation_cache()
    table = Table(chosen.output)
    with tempfile.TemporaryDirectory() as temporary:
        runs = pathlib.Path(temporary)
        for seed in range(chosen.seeds):
            measure(chosen, table, seed, chosen.kept or runs, runs)
    table.show()


if __name__ == "__main__":
    main()

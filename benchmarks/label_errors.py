"""Label errors that people made: jaxaug's judges and cleanlab's pipeline, side by side on the same rows and network.

    python benchmarks/label_errors.py --path=cifar10n.npz --output=benchmarks/results/label_errors_cpu.json

The .npz holds train_image, train_label as people gave them, and train_clean_label; each draw judges so many rows.
Cleanlab's pipeline: the probabilities of four folds of the same network, ranked by self-confidence, which `find` gives
to the last digit (tests/unit/label_errors/test_confident.py). Every method is told by the share of wrong rows among the
first 500 and among as many as are wrong, by its AUC and by the CPU seconds of all it needs.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from jaxaug import label_errors
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.label_errors.confident import balanced
from jaxaug.label_errors.patches import patch_probabilities
from jaxaug.label_errors.reading import Rows
from jaxaug.runs import environment
from jaxaug.train.label_errors import EPOCHS, agreed, judge, judging_config

FOLDS, FOLD_EPOCHS = 4, 15


def draw_of(path: str, rows: int, draw: int) -> Rows:
    """So many rows of the set, drawn with the number of the draw."""
    with np.load(path) as arrays:
        image, label, clean = (arrays[f"train_{name}"] for name in ("image", "label", "clean_label"))
    chosen = np.sort(np.random.default_rng(draw).permutation(len(label))[:rows])
    names = tuple(map(str, range(int(label.max()) + 1)))
    return Rows(image[chosen], label[chosen].astype(np.int32), names, clean=clean[chosen].astype(np.int32))


def folds(rows: Rows, seed: int) -> np.ndarray:
    """[N K] probabilities of networks that have not met the row, after their last epoch."""
    said = np.zeros((len(rows.label), len(rows.class_names)))
    for trained_on, held in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(rows.label, rows.label):
        config = judging_config(FOLD_EPOCHS, seed)
        said[held] = judge(rows, config, last=0, trained_on=trained_on).probabilities[held]
    return said


def told(rows: Rows, said: np.ndarray, score: str, seconds: float) -> dict[str, float]:
    """The figures of one method."""
    issues, wrong = label_errors.find(rows.label, said, score=score), rows.clean != rows.label
    found = label_errors.precision(issues.ranking, wrong, 500)
    auc = float(roc_auc_score(wrong, issues.score))
    return {
        "first_500": found["precision"],
        "first_n": found["recall"],
        "auc": auc,
        "estimated": issues.errors,
        "wrong": int(wrong.sum()),
        "suggested_is_right": float(np.mean(issues.suggested[wrong] == rows.clean[wrong])),
        "cpu_seconds": round(seconds, 1),
    }


def timed(function: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """(what the function returns, CPU seconds)."""
    began = time.process_time()
    return function(), time.process_time() - began


def compared(rows: Rows, draw: int, epochs: int, cleanlab: bool) -> dict[str, dict[str, float]]:
    """method -> its figures on one draw."""
    given = rows.label
    patches, first = timed(lambda: patch_probabilities(rows.image, rows.label, len(rows.class_names), draw))
    found = {"patches (--epochs=0)": told(rows, balanced(given, patches), "margin", first)}
    if epochs:
        network, second = timed(lambda: judge(rows, judging_config(epochs, draw)).probabilities)
        found["network, self-confidence"] = told(rows, network, "self_confidence", second)
        found["network"] = told(rows, balanced(given, network), "margin", second)
        both = balanced(given, agreed(network, patches))
        found["both (jaxaug label-errors)"] = told(rows, both, "margin", first + second)
    if cleanlab:
        said, seconds = timed(lambda: folds(rows, draw))
        found["cleanlab's pipeline, 4 folds"] = told(rows, said, "self_confidence", seconds)
    return found


def main() -> None:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", required=True)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of the network; 0: the patches alone")
    parser.add_argument("--nofolds", dest="folds", action="store_false", help="leave cleanlab's pipeline out")
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    enable_compilation_cache()
    results: dict[str, Any] = {"environment": environment(), "rows": arguments.rows, "draws": []}
    for draw in range(arguments.draws):
        rows = draw_of(arguments.path, arguments.rows, draw)
        results["draws"].append(compared(rows, draw, arguments.epochs, arguments.folds))
        for name, figures in results["draws"][-1].items():
            print(f"{draw} {name:32}" + "  ".join(f"{key} {value:.4g}" for key, value in figures.items()), flush=True)
        if arguments.output:  # after every draw, so that what was measured stays
            pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Label errors: jaxaug's judges and cleanlab's pipeline, side by side on the same rows and network.

    python benchmarks/label_errors.py --path=cifar10n.npz --output=benchmarks/results/label_errors_cpu.json
    python benchmarks/label_errors.py --path=cifar10n.npz --trusted=500 --nofolds
    python benchmarks/label_errors.py --path=fashion_mnist --rows=60000 --draws=1 --nofolds

The .npz holds train_image, train_label as people gave them, and train_clean_label; a data set of jaxaug by its name has
a tenth of its labels drawn anew. Each draw judges so many rows; trusted ones are others, with their true labels.
Cleanlab's pipeline: the probabilities of four folds of the same network, ranked by self-confidence, which `find` gives
to the last digit (tests/unit/label_errors/test_confident.py). Every method is told by the share of wrong rows among the
first 500, the first 1,000 and as many as are wrong, by its AUC and by the CPU seconds of all it needs.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from jaxaug import data, label_errors
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.label_errors.confident import balanced
from jaxaug.label_errors.patches import judge_by_patches
from jaxaug.label_errors.reading import Rows, rows_of
from jaxaug.runs import environment
from jaxaug.train.label_errors import agreed, epochs_of, judge, judging_config

FOLDS, FOLD_EPOCHS = 4, 15
NOISE = 0.1  # of data sets whose labels are right


def draw_of(path: str, rows: int, draw: int, trusted: int = 0) -> tuple[Rows, Rows | None]:
    """(so many rows of the set, drawn with the number of the draw; some others with their true labels)."""
    if path.endswith(".npz"):
        with np.load(path) as arrays:
            image, label, clean = (arrays[f"train_{name}"] for name in ("image", "label", "clean_label"))
        label, clean = label.astype(np.int32), clean.astype(np.int32)
        whole = Rows(image, label, tuple(map(str, range(int(label.max()) + 1))), clean=clean)
    else:
        whole = rows_of(data.load(path, noise=NOISE, seed=draw))
    order = np.random.default_rng(draw).permutation(len(whole.label))
    judged, others = whole.at(np.sort(order[:rows])), whole.at(order[rows : rows + trusted])
    return judged, dataclasses.replace(others, label=others.clean) if trusted else None


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
    more = label_errors.precision(issues.ranking, wrong, 1000)
    auc = float(roc_auc_score(wrong, issues.score))
    return {
        "first_500": found["precision"],
        "first_1000": more["precision"],
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


def compared(
    rows: Rows, trusted: Rows | None, draw: int, epochs: int | None, cleanlab: bool
) -> dict[str, dict[str, float]]:
    """method -> its figures on one draw."""
    count, whole = len(rows.label), rows if trusted is None else rows.beside(trusted)
    patches, first = timed(
        lambda: judge_by_patches(whole.image, whole.label, len(rows.class_names), draw).probabilities[:count]
    )
    found = {"patches (--epochs=0)": told(rows, balanced(rows.label, patches), "margin", first)}
    epochs = epochs_of(len(whole.label)) if epochs is None else epochs
    if epochs:
        network, second = timed(lambda: judge(whole, judging_config(epochs, draw)).probabilities[:count])
        found["network, self-confidence"] = told(rows, network, "self_confidence", second)
        found["network"] = told(rows, balanced(rows.label, network), "margin", second)
        both = balanced(rows.label, agreed(network, patches))
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
    parser.add_argument("--trusted", type=int, default=0, help="rows beside them whose labels are right")
    parser.add_argument("--epochs", type=int, help="of the network (default: as the command); 0: the patches alone")
    parser.add_argument("--nofolds", dest="folds", action="store_false", help="leave cleanlab's pipeline out")
    parser.add_argument("--output", default="")
    arguments = parser.parse_args()
    enable_compilation_cache()
    results: dict[str, Any] = {"environment": environment(), "rows": arguments.rows, "trusted": arguments.trusted}
    results["draws"] = []
    for draw in range(arguments.draws):
        drawn = draw_of(arguments.path, arguments.rows, draw, arguments.trusted)
        results["draws"].append(compared(*drawn, draw, arguments.epochs, arguments.folds))
        for name, figures in results["draws"][-1].items():
            print(f"{draw} {name:32}" + "  ".join(f"{key} {value:.4g}" for key, value in figures.items()), flush=True)
        if arguments.output:  # after every draw, so that what was measured stays
            pathlib.Path(arguments.output).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Which score finds wrong labels best: Fashion-MNIST with 10 % of the labels drawn anew, 500 trusted rows.

    python benchmarks/find_label_errors.py --output benchmarks/results/find_label_errors_cpu.json    # 30 minutes

Trains configs/find_label_errors.py and its variants (with a random crop; plain training on the same rows; plain
training on the trusted rows alone), then ranks all training rows by several kinds of distrust. A score is told by the
share of wrong rows among the first 1,000 and among the first n, n being the number of wrong rows, and by its AUC.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile

import numpy as np
from configured import config_of
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from jaxaug.analysis.run_figures import RunFigures, predictions
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.data.dataset import Split
from jaxaug.label_errors.scores import suggested_labels
from jaxaug.runs.workdir import environment
from jaxaug.train import sweep
from jaxaug.train.experiment import load_dataset

PLAIN = {"loss": {"chain": ()}, "search": {"name": ""}, "suspects": 0}
STILL = {"augment": {"train": ()}}
CROP = {"augment": {"train": ("parts.pad_and_crop",), "pad_and_crop": {"padding": 2, "fill": "edge"}}}
ALONE = {"data": {"rows": "validation"}, "epochs": 200, "batch_size": 100, "eval_every": 50}
VARIANTS = {
    "learned": STILL,
    "learned, crop": CROP,
    "plain": {**PLAIN, **STILL},
    "plain, crop": {**PLAIN, **CROP},
    "trusted rows alone, crop": {**PLAIN, **CROP, **ALONE},
}


def disagreement(run: RunFigures, split: Split) -> np.ndarray:
    """[N] minus the log of the probability that the run's model gives the label of each row of the split."""
    features, head = predictions(run.job, run.state, split)[1], run.state.params["head"]
    logits = np.asarray(features, np.float64) @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    return logsumexp(logits, axis=1) - logits[np.arange(len(logits)), split.label]


def figures(doubt: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """How well the rows that are in doubt are the wrong ones, [N] each."""
    ranked = wrong[np.argsort(-doubt, kind="stable")]
    first, as_many = ranked[:1000].mean(), ranked[: wrong.sum()].mean()
    return {"first_1000": float(first), "first_n": float(as_many), "auc": float(roc_auc_score(wrong, doubt))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="")
    parser.add_argument("--workdir", default="", help="where the runs are kept, to go on with them")
    arguments = parser.parse_args()
    enable_compilation_cache()
    config = config_of("find_label_errors")
    config.eval_every = config.save_every = config.epochs
    config.variants = VARIANTS
    workdir = pathlib.Path(arguments.workdir or tempfile.mkdtemp())
    results = sweep.run(config, workdir)
    runs = {name: RunFigures(workdir / name / "seed_0") for name in VARIANTS}
    found, data = runs["learned"].found, load_dataset(config)
    wrong = found["given"] != found["clean"]
    scores = {f"model: {name}": figures(disagreement(run, data.train), wrong) for name, run in runs.items()}
    scores["learned weight"] = figures(-found["weight"], wrong)
    scores["share of the given label in the learned soft label"] = figures(-found["soft_given"], wrong)
    seen = {"rows": len(wrong), "wrong": int(wrong.sum()), "suggested_is_right": _right(found, wrong)}
    for name, row in scores.items():
        print(f"{name:55} " + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    if arguments.output:
        accuracy = {name: run["test_top1"] for name, (run,) in results.items()}
        seconds = {name: run["seconds"] for name, (run,) in results.items()}
        told = {"environment": environment(), **seen, "scores": scores, "test_top1": accuracy, "seconds": seconds}
        pathlib.Path(arguments.output).write_text(json.dumps(told, indent=1) + "\n")


def _right(found: dict[str, np.ndarray], wrong: np.ndarray) -> float:
    """The share of the wrong rows for which the table suggests the true label."""
    return float(np.mean(suggested_labels(found)[wrong] == found["clean"][wrong]))


if __name__ == "__main__":
    main()

"""Which score finds wrong labels best: Fashion-MNIST with 10 % of the labels drawn anew, 500 trusted rows.

    python benchmarks/find_label_errors.py --output benchmarks/results/find_label_errors_cpu.json    # 30 minutes

Trains configs/find_label_errors.py and its variants (with a random crop; plain training on the same rows; plain
training on the trusted rows alone), then ranks all training rows by several scores. A score is told by the
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

import jaxaug as ja
from jaxaug.analysis import RunFigures
from jaxaug.analysis.run_figures import predictions
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.data import Split
from jaxaug.runs import environment
from jaxaug.train.experiment import load_dataset

PLAIN = {"loss": (), "search": {"name": "none"}, "label_issues": 0}
STILL = {"augment": {"train": ()}}
CROP = {"augment": {"train": ({"name": "pad_and_crop", "padding": 2, "fill": "edge"},)}}
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
    features, head = predictions(run.experiment, run.state, split)[1], run.state.params["head"]
    logits = np.asarray(features, np.float64) @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    return logsumexp(logits, axis=1) - logits[np.arange(len(logits)), split.label]


def figures(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """How well the rows of the highest scores are the wrong ones, [N] each."""
    ranked = wrong[np.argsort(-score, kind="stable")]
    first, as_many = ranked[:1000].mean(), ranked[: wrong.sum()].mean()
    return {"first_1000": float(first), "first_n": float(as_many), "auc": float(roc_auc_score(wrong, score))}


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
    results = ja.train.run(config, workdir)
    runs = {name: RunFigures(workdir / name / "seed_0") for name in VARIANTS}
    found, data = runs["learned"].found, load_dataset(config)
    wrong = found["given"] != found["clean"]
    scores = {f"model: {name}": figures(disagreement(run, data.train), wrong) for name, run in runs.items()}
    scores["learned weight"] = figures(-found["weight"], wrong)
    scores["share of the given label in the learned soft label"] = figures(-found["soft_given"], wrong)
    # The share of the wrong rows for which the table suggests the true label.
    suggested_is_right = float(np.mean(found["says"][wrong] == found["clean"][wrong]))
    seen = {"rows": len(wrong), "wrong": int(wrong.sum()), "suggested_is_right": suggested_is_right}
    for name, row in scores.items():
        print(f"{name:55} " + "  ".join(f"{key} {value:.3f}" for key, value in row.items()))
    if arguments.output:
        accuracy = {name: run["test_top1"] for name, (run,) in results.items()}
        seconds = {name: run["seconds"] for name, (run,) in results.items()}
        told = {"environment": environment(), **seen, "scores": scores, "test_top1": accuracy, "seconds": seconds}
        pathlib.Path(arguments.output).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()

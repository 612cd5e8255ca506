"""What trusted rows say of wrong labels through the classifier, and through its scale alone: AutoDO's first derivative.

    python benchmarks/autodo_signal.py RUN cifar10.npz random1.npy OUTPUT

RUN is the folder of a run of configs/autodo_cifar10n.py:plain. In float64, at its end: the derivative of the trusted
rows' loss by the weight of every training row is <g_i, (F + damping)^-1 g>, with g_i and g the gradients of the row's
and of the trusted rows' cross-entropy in the parameters and F the Fisher matrix of all training rows. Told is how well
it parts the rows that people labelled wrongly from the others (AUC), for trusted batches of several sizes; beside it
what the network finds improbable itself, -log p(given).
"""

from __future__ import annotations

import argparse
import json
import pathlib

import numpy as np
from autodo_cifar10n import is_wrong
from sklearn.metrics import roc_auc_score

from jaxaug import data, inference
from jaxaug.runs import environment

DAMPINGS, TRUSTED = (1.0, 0.1, 0.01, 0.001, 0.0001), (50, 100, 250, 500)


def with_bias(features: np.ndarray) -> np.ndarray:
    return np.c_[np.asarray(features, np.float64), np.ones(len(features))]


def slope(probabilities: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Of cross-entropy by the logits [N K]."""
    return np.asarray(probabilities, np.float64) - np.eye(probabilities.shape[1])[label]


def fisher(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """[D K, D K] of a linear classifier of x [N D] that says p [N K]."""
    classes, found = p.shape[1], np.zeros((x.shape[1] * p.shape[1],) * 2)
    for k in range(classes):
        for other in range(classes):
            weight = p[:, k] * (float(k == other) - p[:, other])
            found[k::classes, other::classes] = (x * weight[:, None]).T @ x / len(x)
    return found


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "images", "labels", "output"):
        parser.add_argument(name, type=pathlib.Path)
    chosen = parser.parse_args()
    run = inference.load(chosen.run)
    options = run.config.data.to_dict()
    given = data.load(**options | {"path": str(chosen.images), "labels": str(chosen.labels)})
    wrong = is_wrong({"path": chosen.images, "labels": chosen.labels}, given.train.index)
    rows, trusted = (run.predict(split.image, batch_size=500) for split in (given.train, given.validation))
    x, x_trusted = with_bias(rows.features), with_bias(trusted.features)
    p = np.asarray(rows.probabilities, np.float64)
    by_row, by_trusted = slope(p, given.train.label), slope(trusted.probabilities, given.validation.label)
    curvature, shuffled = fisher(x, p), np.random.default_rng(0).permutation(len(x_trusted))
    table = {"-log p(given)": roc_auc_score(wrong, -np.log(p[np.arange(len(p)), given.train.label]))}
    # One number needs no curvature: its sign alone matters.
    pulled = np.sign((by_trusted * np.asarray(trusted.logits, np.float64)).mean(0).sum())
    table["scale"] = roc_auc_score(wrong, -pulled * (by_row * np.asarray(rows.logits, np.float64)).sum(1))
    for count in TRUSTED:
        few = shuffled[:count]
        gradient = (x_trusted[few].T @ by_trusted[few] / count).ravel()
        for damping in DAMPINGS:
            v = np.linalg.solve(curvature + damping * np.eye(len(curvature)), gradient).reshape(x.shape[1], -1)
            table[f"parameters, {count} trusted rows, damping {damping:g}"] = roc_auc_score(
                wrong, -(x @ v * by_row).sum(1)
            )
    table = {name: round(float(value), 4) for name, value in table.items()}
    chosen.output.write_text(json.dumps({"environment": environment(), "auc": table}, indent=1) + "\n")
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()

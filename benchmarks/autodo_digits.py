"""AutoDO on digits, 8 seeds at once: what learned weights, soft labels and augmentation bring over plain training.

    python benchmarks/autodo_digits.py             # linear classifier and small convnet; 25 minutes on two CPU cores
    python benchmarks/autodo_digits.py --quick     # the linear classifier alone: 4 minutes

The set is configs/autodo_digits.py's: imbalance 10, 30 % of random labels, 300 trusted rows; each seed has its own cut
and corruption, the same for all methods. Accuracy is that of the final epoch.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time

import numpy as np
from configured import config_of
from seeds_at_once import run
from sklearn.metrics import roc_auc_score

from jaxaug.runs import environment
from jaxaug.train import autodo_methods
from jaxaug.train.config import expand

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
LINEAR = {"name": "linear"}
TRIPLED, CLEAN = {"search": {"optim": {"learning_rate": 0.15}}}, {"data": {"imbalance": 1.0, "noise": 0.0}}
# name -> (method, changes)
WITH_LINEAR = {
    "plain": ("plain", {}),
    "WGHT": ("NONE_WGHT", {}),
    "BOTH": ("NONE_BOTH", {}),
    "compat WGHT": ("compat_NONE_WGHT", {}),
    "compat BOTH": ("compat_NONE_BOTH", {}),
    "BOTH, rate x 3": ("NONE_BOTH", TRIPLED),
    "compat BOTH, rate x 3": ("compat_NONE_BOTH", TRIPLED),
    "train and validation": ("train_and_validation", {}),
    "validation only": ("validation_only", {}),
    "uncorrupted: plain": ("plain", CLEAN),
    "uncorrupted: BOTH": ("NONE_BOTH", CLEAN),
}
WITH_CONVNET = {
    "plain": ("plain", {}),
    "BOTH": ("NONE_BOTH", {}),
    "SEP": ("SEP", {}),
    "SEP_BOTH": ("SEP_BOTH", {}),
    "compat SEP_BOTH": ("compat_SEP_BOTH", {}),
    "train and validation": ("train_and_validation", {}),
    "validation only": ("validation_only", {}),
}


def measure(method, changes, model, epochs, seeds):
    """{accuracy, auc of the weights ...}: one number per seed of each."""
    config = config_of("autodo_digits")
    everything = autodo_methods.variants(method if method not in ("plain", *autodo_methods.CONTROLS) else "NONE")
    config.variants = {"one": everything[method]}
    config = expand(config)["one"]
    config.update(changes)
    config.model, config.epochs = model, epochs
    began = time.perf_counter()
    done = run(config, seeds)
    found = {"accuracy": done.accuracy[-1].tolist(), "best_on_test": done.accuracy.max(axis=0).tolist()}
    found["seconds"] = round(time.perf_counter() - began, 1)
    if "weight" in done.state.meta.per_example and done.experiments[0].data.clean_label is not None:
        right = [one.data.clean_label == one.data.train.label for one in done.experiments]
        found["weight_auc"] = [
            float(roc_auc_score(*pair)) for pair in zip(right, done.per_example("weight"), strict=True)
        ]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="the linear classifier alone")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=0, help="of every training, instead of its own")
    parser.add_argument("--out", default=str(RESULTS / "autodo_digits_cpu.json"))
    chosen = parser.parse_args()
    table = {"environment": environment(), "seeds": chosen.seeds, "results": {}}
    cases = [("linear", name, case, LINEAR, 100) for name, case in WITH_LINEAR.items()]
    if not chosen.quick:
        convnet = config_of("autodo_digits").model.to_dict()
        cases += [("convnet", name, case, convnet, 60) for name, case in WITH_CONVNET.items()]
    for model, name, (method, changes), kind, epochs in cases:
        found = measure(method, changes, kind, chosen.epochs or epochs, chosen.seeds)
        accuracy = 100 * np.asarray(found["accuracy"])
        auc = f", AUC {np.mean(found['weight_auc']):.3f}" if found.get("weight_auc") else ""
        print(f"{model:8} {name:24} {accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f}{auc}  {found['seconds']} s")
        table["results"].setdefault(model, {})[name] = found
        pathlib.Path(chosen.out).write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()

"""Ten labels a class on digits: Mean Teacher and FixMatch against the labelled rows alone, seed by seed.

    nice -n 10 python benchmarks/few_labels_digits.py      # 15 whole runs, about 10 minutes on two CPU cores

Runs of configs/few_labels_digits.py; the seed draws the labels, the same for all three. Accuracy is that of the end.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile

import numpy as np
from configured import config_of

from jaxaug.runs import environment
from jaxaug.train import train_and_evaluate
from jaxaug.train.config import expand
from jaxaug.train.experiment import with_seed

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", default=str(RESULTS / "few_labels_digits_cpu.json"))
    chosen = parser.parse_args()
    table = {"environment": environment(), "seeds": 0, "results": {}}
    # All variants of a seed before the next one, so that what is written down is always a fair comparison.
    for seed in range(chosen.seeds):
        for name, config in expand(config_of("few_labels_digits")).items():
            with tempfile.TemporaryDirectory() as folder:
                found = train_and_evaluate(with_seed(config, seed), folder, f"{name}, seed {seed}")
            of = table["results"].setdefault(name, {"accuracy": [], "seconds": []})
            of["accuracy"].append(found["test_top1"])
            of["seconds"].append(round(found["seconds"], 1))
        table["seeds"] = seed + 1
        pathlib.Path(chosen.out).write_text(json.dumps(table, indent=1) + "\n")
    for name, of in table["results"].items():
        accuracy = 100 * np.asarray(of["accuracy"])
        print(f"{name:14} {accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f}")


if __name__ == "__main__":
    main()

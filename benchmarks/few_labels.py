"""Ten labels a class: Mean Teacher and FixMatch, each plain and with ISDA, against the labelled rows alone, by seed.

    nice -n 10 python benchmarks/few_labels.py digits           # about 10 minutes on two CPU cores without ISDA
    nice -n 10 python benchmarks/few_labels.py fashion_mnist    # an hour and a half of one

Runs of configs/few_labels.py; the seed draws the labels, the same for all. Accuracy is that of the end. What the output
has already is not run again.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile

import numpy as np
from configured import FOLDER

from jaxaug.runs import environment
from jaxaug.train import load_config_file, train_and_evaluate
from jaxaug.train.config import expand
from jaxaug.train.experiment import with_seed

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("digits", "fashion_mnist"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--variants", default="", help="with commas; all unless some are named")
    parser.add_argument("--output", type=pathlib.Path, help="benchmarks/results/few_labels_<data>_cpu.json")
    chosen = parser.parse_args()
    output = chosen.output or RESULTS / f"few_labels_{chosen.data}_cpu.json"
    table = json.loads(output.read_text()) if output.exists() else {"environment": environment(), "results": {}}
    variants = expand(load_config_file(f"{FOLDER / 'few_labels.py'}:{chosen.data}"))
    # All variants of a seed before the next one, so that what is written down is always a fair comparison.
    for seed in range(chosen.seeds):
        for name in chosen.variants.split(",") if chosen.variants else variants:
            of = table["results"].setdefault(name, {"accuracy": [], "seconds": []})
            if len(of["accuracy"]) > seed:
                continue
            with tempfile.TemporaryDirectory() as folder:
                found = train_and_evaluate(with_seed(variants[name], seed), folder, f"{name}, seed {seed}")
            of["accuracy"].append(found["test_top1"])
            of["seconds"].append(round(found["seconds"], 1))
            output.write_text(json.dumps(table, indent=1) + "\n")
    for name, of in table["results"].items():
        accuracy = 100 * np.asarray(of["accuracy"])
        print(f"{name:18} {accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f}, {len(accuracy)} seeds")


if __name__ == "__main__":
    main()

"""The variants of a config, all of one seed before the next, kept in a table that grows: for comparisons of many hours.

    python benchmarks/seed_by_seed.py configs/few_labels.py:fashion_mnist \\
        benchmarks/results/few_labels_fashion_mnist_cpu.json --seeds=5 --variants=fixmatch,supervised

What the table has already is not run again, so that a comparison goes on another day or on another machine; whenever it
is cut off, what is written down is fair. Settings as for `jaxaug train`: --config.<path>=<value>. With --workdir a run
that was cut off goes on from its checkpoint. Several processes may fill one table, each with --variants of its own.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from jaxaug.cli.train import read_config
from jaxaug.core.atomic_io import write_text
from jaxaug.core.sharding import enable_compilation_cache
from jaxaug.runs import environment
from jaxaug.train import train_and_evaluate
from jaxaug.train.config import expand
from jaxaug.train.experiment import with_seed

METRICS = ("test_top1", "test_nll", "test_ece", "chosen_top1", "seconds")


class Table:
    """A JSON file {"environment": ..., "results": {variant: {seed: {metric: number}}}} that grows.

    Args:
      path: of the file, which may be there.
      metrics: what is kept of each run's result, where it has it.
    """

    def __init__(self, path: pathlib.Path, metrics: Collection[str] = METRICS):
        self.path, self._metrics = path, metrics
        self.found: dict[str, Any] = {}
        self._read()
        self.found.setdefault("environment", environment())
        self.results: dict[str, dict[str, dict[str, float]]] = self.found.setdefault("results", {})

    def measure(
        self,
        seed: int,
        variants: dict[str, ConfigDict],
        workdir: pathlib.Path,
        before: Callable[[str], None] = lambda name: None,
        after: Callable[[str, pathlib.Path], dict[str, float]] = lambda name, folder: {},
    ) -> None:
        """Run those variants of a seed that are not there yet, and write each down.

        Args:
          seed: of the runs.
          variants: name -> config.
          workdir: a folder for the runs.
          before: is called with the name of each that is run.
          after: is called with its name and folder then; what else is to be kept of it.
        """
        for name, config in variants.items():
            self._read()
            if str(seed) in self.results.get(name, {}):
                continue
            before(name)
            folder = workdir / name / f"seed_{seed}"
            result = train_and_evaluate(with_seed(config, seed), folder, f"{name}, seed {seed}")
            kept = {metric: result[metric] for metric in self._metrics if metric in result} | after(name, folder)
            self._read()
            rounded = {metric: round(value, 5) for metric, value in kept.items()}
            self.results.setdefault(name, {})[str(seed)] = rounded
            write_text(self.path, json.dumps(self.found, indent=1) + "\n")

    def _read(self) -> None:
        """Take up what is written down, by another process too."""
        if self.path.exists():
            _take_up(self.found, json.loads(self.path.read_text()))

    def show(self) -> None:
        """Print means and standard deviations."""
        for name, of in self.results.items():
            told = [f"{name:24} {len(of)} seeds"]
            for metric in self._metrics:
                values = np.array([one[metric] for one in of.values() if metric in one])
                spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
                told += [f"{metric} {values.mean():.4f}{spread}"] if len(values) else []
            print("  ".join(told))


def _take_up(found: dict[str, Any], written: dict[str, Any]) -> None:
    for name, value in written.items():
        if isinstance(value, dict):
            _take_up(found.setdefault(name, {}), value)
        else:
            found[name] = value


def main() -> None:
    """Measure what is not there yet, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="FILE[:WORD]", help="with get_config(), see configs/")
    parser.add_argument("output", type=pathlib.Path, help="the table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", default="", help="with commas; all unless some are named")
    parser.add_argument("--metrics", default=",".join(METRICS), help="of the results (default: %(default)s)")
    parser.add_argument(
        "--workdir", type=pathlib.Path, help="a folder for the runs (default: kept no longer than this)"
    )
    chosen, others = parser.parse_known_args()
    enable_compilation_cache()
    variants = expand(read_config(chosen.config, others))
    if chosen.variants:
        variants = {name: variants[name] for name in chosen.variants.split(",")}
    table = Table(chosen.output, chosen.metrics.split(","))
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(chosen.seeds):
            table.measure(seed, variants, chosen.workdir or pathlib.Path(temporary))
    table.show()


if __name__ == "__main__":
    main()

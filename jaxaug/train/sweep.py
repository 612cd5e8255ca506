"""Several runs side by side: every variant of a config with every seed, one table, one figure."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from jaxaug.core.atomic_io import write_text
from jaxaug.core.registry import instantiate
from jaxaug.core.sharding import any_process, is_main_process
from jaxaug.data.dataset import Dataset
from jaxaug.runs.history import read_history
from jaxaug.runs.provenance import environment
from jaxaug.runs.workdir import METRICS, RESULT
from jaxaug.train.config import complete, expand
from jaxaug.train.experiment import Experiment, build_experiment, load_dataset, with_seed
from jaxaug.train.figures import save_evaluation_figures
from jaxaug.train.hooks.console import print_to_terminal, variants_table
from jaxaug.train.trainer import train_and_evaluate
from jaxaug.viz.training_curves import training_curves


def run(
    config: ConfigDict, workdir: str | pathlib.Path, *, on_change: str = "refuse"
) -> dict[str, list[dict[str, Any]]]:
    """Run the config, show its table and leave `table.json` and the figures in `workdir`; name -> results by seed.

    Runs lie in `<variant>/seed_<n>` below `workdir` and are resumed or skipped if they were begun before.

    Args:
      config: with `seeds`, how many, from `seed` on, and `variants`, name -> changes; {} for the config alone.
      workdir: the folder.
      on_change: of each run, as `train_and_evaluate` has it.
    """
    path = pathlib.Path(workdir).resolve()
    configs = {name: complete(variant) for name, variant in expand(config).items()}
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in configs}
    histories: dict[str, list] = {name: [] for name in configs}
    workshop = _Workshop()
    # A mistake in the last variant must not show after hours of the first.
    for name, variant in configs.items() if len(configs) > 1 else ():
        if not any_process(is_main_process() and (_folder(path, name, config.seed) / RESULT).exists()):
            workshop.prepare(with_seed(variant, config.seed))
    # Seed by seed rather than variant by variant: whatever slows the machine for a while falls on all alike.
    for number in range(config.seeds):
        for name, variant in configs.items():
            one = with_seed(variant, config.seed + number)
            folder = _folder(path, name, one.seed)
            title = f"{name}, seed {one.seed}"
            found = train_and_evaluate(one, folder, title, on_change=on_change, build=workshop.build)
            results[name].append(found)
            histories[name].append(_history(folder))
    if is_main_process():
        task = instantiate("task", next(iter(configs.values())).task.to_dict())
        print_to_terminal(variants_table(f"{config.data.name}, {config.model.name}", results, task.shown_metrics))
        write_text(path / "table.json", json.dumps({"environment": environment(), "results": results}, indent=1))
        training_curves(histories, task.metric).savefig(path / "curves.png", dpi=120)
        save_evaluation_figures(path, results)
        print(f"curves: {path / 'curves.png'}\neverything else: {path}")
    return results


class _Workshop:
    """Builds the experiments of a sweep; data that are the same for runs one after the other are read once."""

    def __init__(self) -> None:
        self._ready: dict[str, Experiment] = {}
        self._data: tuple[str, Dataset] | None = None
        self._reads = 0

    def prepare(self, config: ConfigDict) -> None:
        """Build an experiment beforehand, and keep it unless another data set would have to be kept with it."""
        experiment = self.build(config)
        if self._reads == 1:
            self._ready[config.to_json()] = experiment

    def build(self, config: ConfigDict) -> Experiment:
        """The experiment of a config with every option."""
        ready = self._ready.pop(config.to_json(), None)
        return build_experiment(config, self._load) if ready is None else ready

    def _load(self, config: ConfigDict) -> Dataset:
        asked = f"{config.data.to_json()} {config.seed if config.data.seed < 0 else ''}"
        if self._data is None or self._data[0] != asked:
            self._data = None  # before the next one comes into memory
            self._data, self._reads = (asked, load_dataset(config)), self._reads + 1
        return self._data[1]


def _folder(path: pathlib.Path, name: str, seed: int) -> pathlib.Path:
    return path / name / f"seed_{seed}"


def _history(folder: pathlib.Path) -> list[dict[str, float]]:
    file = folder / METRICS
    return read_history(file) if is_main_process() and file.exists() else []

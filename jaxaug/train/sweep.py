"""Several runs side by side: every variant of a config with every seed, one table, one figure."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from jaxaug.core.atomic_io import write_text
from jaxaug.core.registry import instantiate
from jaxaug.core.sharding import is_main_process
from jaxaug.runs.workdir import Workdir, environment
from jaxaug.tasks.base import Task
from jaxaug.train.config import complete, expand
from jaxaug.train.experiment import build_experiment, with_seed
from jaxaug.train.figures import save_evaluation_figures
from jaxaug.train.hooks.console import print_to_terminal, variants_table
from jaxaug.train.trainer import train_and_evaluate
from jaxaug.viz.training_curves import training_curves


def run(config: ConfigDict, workdir: str | pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """Run the config, show its table and leave `table.json` and the figures in `workdir`; name -> results by seed.

    Runs lie in `<variant>/seed_<n>` below `workdir` and are resumed or skipped if they were begun before.

    Args:
      config: with `seeds`, how many, from `seed` on, and `variants`, name -> changes; {} for the config alone.
      workdir: the folder.
    """
    path = pathlib.Path(workdir).resolve()
    configs = expand(config)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in configs}
    histories: dict[str, list] = {name: [] for name in configs}
    # A mistake in the last variant must not show after hours of the first.
    tasks: list[Task] = [build_experiment(variant).task for variant in configs.values()] if len(configs) > 1 else []
    # Seed by seed rather than variant by variant: whatever slows the machine for a while falls on all alike.
    for number in range(config.seeds):
        for name, variant in configs.items():
            one = with_seed(variant, config.seed + number)
            folder = path / name / f"seed_{one.seed}"
            results[name].append(train_and_evaluate(one, folder, f"{name}, seed {one.seed}"))
            histories[name].append(Workdir(folder, complete(one).to_dict()).history())
    if is_main_process():
        task = tasks[0] if tasks else instantiate("task", config.task.to_dict())
        print_to_terminal(variants_table(f"{config.data.name}, {config.model.name}", results, task.figures))
        write_text(path / "table.json", json.dumps({"environment": environment(), "results": results}, indent=1))
        training_curves(histories, task.metric).savefig(path / "curves.png", dpi=120)
        save_evaluation_figures(path, results)
        print(f"curves: {path / 'curves.png'}\neverything else: {path}")
    return results

"""Several runs side by side: every variant of a config with every seed, one table, one figure."""

from __future__ import annotations

import copy
import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from jaxaug.core.atomic_io import write_text
from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import is_main_process
from jaxaug.runs.workdir import Workdir, environment
from jaxaug.train import trainer
from jaxaug.train.experiment import build_experiment
from jaxaug.train.hooks.console import print_to_terminal, variants_table
from jaxaug.viz.evaluation import save_figures
from jaxaug.viz.training_curves import training_curves


def run(config: ConfigDict, workdir: str | pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """Run the config, show its table and leave `table.json` and the figures in `workdir`; name -> results by seed.

    config.seeds: how many seeds, from config.seed on. config.variants: name -> changes; {} for the config alone. Runs
    lie in `<variant>/seed_<n>` below `workdir` and are resumed or skipped if they were begun before.
    """
    path = pathlib.Path(workdir).resolve()
    configs = expand(config)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in configs}
    histories: dict[str, list] = {name: [] for name in configs}
    if len(configs) > 1:
        # A mistake in the last variant must not show after hours of the first.
        for variant in configs.values():
            build_experiment(variant)
    # Seed by seed rather than variant by variant: whatever slows the machine for a while falls on all alike.
    for number in range(config.seeds):
        for name, variant in configs.items():
            one = copy.deepcopy(variant)
            one.seed = config.seed + number
            folder = path / name / f"seed_{one.seed}"
            results[name].append(trainer.train_and_evaluate(one, folder, f"{name}, seed {one.seed}"))
            histories[name].append(Workdir(folder, one).history())
    if is_main_process():
        print_to_terminal(variants_table(f"{config.data.name}, {config.model.name}", results))
        write_text(path / "table.json", json.dumps({"environment": environment(), "results": results}, indent=1))
        training_curves(path / "curves.png", histories)
        save_figures(path, results)
        print(f"curves: {path / 'curves.png'}\neverything else: {path}")
    return results


def expand(config: ConfigDict) -> dict[str, ConfigDict]:
    """name -> the config of a variant, without `variants` and `seeds` of its own."""
    if config.seeds < 1:
        raise UsageError(f"config.seeds must be at least 1, got {config.seeds}")
    found = {}
    for name, changes in (config.variants.to_dict() or {config.model.name: {}}).items():
        one = copy.deepcopy(config)
        one.variants, one.seeds = ConfigDict(), 1
        try:
            one.update(changes)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"config.variants.{name} does not fit the config: {error}") from None
        found[name] = one
    return found

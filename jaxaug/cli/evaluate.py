"""Evaluate a finished or interrupted run without training: `jaxaug evaluate RUN --split=validation`.

Any data set, with its options: --data.name=npz --data.path=other.npz. Any robustness protocol, with its options:
--robustness=occlusion,translation --robustness.occlusion.fill=black. The result is kept beside the run, in
evaluations/<name>.json, and shown by `jaxaug results`.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxaug.cli.arguments import add_output_arguments, print_json, settings_of, speaking
from jaxaug.core.errors import UsageError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

HELP = "evaluate a run on any split, data set or robustness protocol"
FIELDS = ("data", "robustness", "eval_batch_size", "place")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Beside these, settings of what is evaluated: --data.<option>=<value>, --robustness=<name>,<name>."""
    parser.add_argument("folder", metavar="RUN", help="the folder of a run, or one with a single run below it")
    parser.add_argument("--split", default="test", help="test (the default), validation or train")
    parser.add_argument("--checkpoint", default="last", help="last (the default), best on validation, or averaged")
    parser.add_argument("--name", default="", help="of the evaluation (default: one that tells what it is of)")
    add_output_arguments(parser, "the metrics")


def run(chosen: argparse.Namespace, others: Sequence[str]) -> None:
    """Evaluate, show the metrics, keep them."""
    from absl import logging

    from jaxaug.core.sharding import enable_compilation_cache
    from jaxaug.inference.evaluation import evaluate_run
    from jaxaug.inference.trained_run import load

    logging.set_verbosity(logging.ERROR)
    enable_compilation_cache()
    with speaking(chosen) as stdout:
        trained = load(chosen.folder, chosen.checkpoint)
        config = _changed(trained.config, others)
        found = evaluate_run(trained, chosen.split, config, chosen.name)
        own = chosen.split == "test" and not any(one.startswith("--data") for one in others)
        # A run without test rows has been evaluated on those of validation, which are its test rows here.
        told = ", the validation rows: there is no test set" * (own and _reported_on(trained.folder) == "validation")
        print(f"{trained.folder}: {found['name']}{told}, {found['rows']} rows, checkpoint of step {found['step']}")
        for shown in trained.task.shown_metrics:
            if shown.metric in found:
                print(f"  {shown.title}: {shown.scale * found[shown.metric]:.{shown.digits}f}")
        for name, value in found.items():
            if name.endswith("_error"):
                print(f"  {name.replace('_', ' ')} %: {100 * value:.2f}")
        if chosen.json:
            print_json({"run": str(trained.folder), **found}, stdout)


def _reported_on(folder: pathlib.Path) -> str:
    """The split that the run's result is of; "test" where it has none yet."""
    from jaxaug.runs.workdir import RESULT

    file = folder / RESULT
    return json.loads(file.read_text()).get("reported_on", "test") if file.exists() else "test"


def _changed(config: ConfigDict, others: Sequence[str]) -> ConfigDict:
    """The run's config with the settings; robustness protocols are those asked for here alone."""
    from jaxaug.train.config import apply_override

    config = config.copy_and_resolve_references()
    config.robustness = ()
    for path, value in settings_of(others, "--"):
        if path.split(".")[0] not in FIELDS:
            raise UsageError(f"unknown argument --{path}: settings of an evaluation begin with --{', --'.join(FIELDS)}")
        if path in ("data", "data.name"):  # another set, which has other options
            with config.unlocked(), config.ignore_type():
                config.data = {"name": value, "directory": config.data.directory}
        else:
            apply_override(config, path, value)
    return config

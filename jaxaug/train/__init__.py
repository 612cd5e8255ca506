"""A run from a config: `run(config, workdir)`, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxaug.core.lazy import lazy_names

if TYPE_CHECKING:
    from jaxaug.train.config import apply_override, complete, default_config
    from jaxaug.train.config_files import load_config_file
    from jaxaug.train.experiment import Experiment, build_experiment
    from jaxaug.train.finished_run import load_config, load_state
    from jaxaug.train.initial_weights import load_weights
    from jaxaug.train.sweep import run
    from jaxaug.train.trainer import train_and_evaluate

# Lazily, so that what reads the results of runs need not wait for JAX.
_LAZY = {
    "Experiment": "experiment",
    "apply_override": "config",
    "build_experiment": "experiment",
    "complete": "config",
    "default_config": "config",
    "load_config": "finished_run",
    "load_config_file": "config_files",
    "load_state": "finished_run",
    "load_weights": "initial_weights",
    "run": "sweep",
    "train_and_evaluate": "trainer",
}
__all__ = [
    "Experiment",
    "apply_override",
    "build_experiment",
    "complete",
    "default_config",
    "load_config",
    "load_config_file",
    "load_state",
    "load_weights",
    "run",
    "train_and_evaluate",
]

__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__

"""The methods of ISDA's table with few labels as variants of a config, each plain and with ISDA."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from jaxaug.train.config import default_config

# method: its options; the others are the papers', which are the defaults
METHODS: dict[str, dict[str, float]] = {
    "mean_teacher": {"weight": 100.0, "ramp_up": 5.0, "decay": 0.999},
    "pi_model": {"weight": 100.0, "ramp_up": 80.0},
    "temporal_ensembling": {"weight": 30.0, "ramp_up": 80.0},
    "vat": {"epsilon": 8.0, "entropy": 1.0},
    "fixmatch": {"threshold": 0.95},
    "flexmatch": {"threshold": 0.95},
}
ALL = "all"
# rows without a label in a step, beside 64 with one: 3 to 1, and 7 to 1 in FixMatch's and FlexMatch's papers
UNLABELLED = {"fixmatch": 448, "flexmatch": 448}
STRONG = (
    {"name": "policy", "preset": "randaugment", "num_layers": 2, "magnitude": 10},
    {"name": "cutout", "length": 16},
)
ISDA = ({"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "epoch"},)


def few_labels_config(word: str, labels_per_class: int) -> ConfigDict:
    """A config without its data and augmentation: 180 epochs of the unlabelled rows, WRN-28-2.

    Args:
      word: a method, or "all".
      labels_per_class: how many labels of each class are kept, by the run's seed.

    Raises:
      ValueError: an unknown method.
    """
    if word not in (*METHODS, ALL):
        raise ValueError(f"unknown method {word!r}: one of {', '.join([*METHODS, ALL])}")
    config = default_config()
    config.seeds, config.epochs, config.batch_size, config.eval_batch_size = 5, 180, 64, 1000
    config.data = {"name": "cifar10", "labels_per_class": labels_per_class, "seed": -1}
    config.model = {"name": "wide_resnet", "depth": 28, "widen_factor": 2, "dropout_rate": 0.0, "dtype": "float32"}
    config.task = {"name": "mean_teacher", "unlabelled_batch_size": 192}
    config.optim.learning_rate, config.optim.weight_decay = 0.03, 5e-4
    config.variants = _variants(word)
    return config


def _variants(word: str) -> dict[str, Any]:
    """The labelled rows alone, then each method, plain and with ISDA."""
    found: dict[str, Any] = {
        "supervised": {"task": {"name": "mean_teacher", "weight": 0.0, "supervised_over": "labelled"}}
    }
    for name in METHODS if word == ALL else [word]:
        task = {"name": name, "unlabelled_batch_size": UNLABELLED.get(name, 192), **METHODS[name]}
        strong = STRONG if name in UNLABELLED else ()
        for loss in ((), ISDA):
            found[name + "_isda" * bool(loss)] = {"task": task, "augment": {"strong": strong}, "loss": loss}
    return found

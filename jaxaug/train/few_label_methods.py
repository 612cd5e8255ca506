"""The methods of ISDA's table with few labels as variants of a config, each plain and with ISDA."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from jaxaug.train.config import default_config

# method: its options; the others are the papers', which are the defaults. Weights of OF_LABELLED are of the share of
# labelled rows.
METHODS: dict[str, dict[str, float]] = {
    "mean_teacher": {"weight": 100.0, "ramp_up": 5.0, "decay": 0.999},
    "pi_model": {"weight": 100.0, "ramp_up": 80.0},
    "temporal_ensembling": {"weight": 30.0, "ramp_up": 80.0},
    "vat": {"epsilon": 8.0, "entropy": 1.0},
    "fixmatch": {"threshold": 0.95},
    "flexmatch": {"threshold": 0.95},
}
OF_LABELLED = ("pi_model", "temporal_ensembling")
ALL = "all"
EPOCHS, LABELLED = 180, 64
# rows without a label in a step, beside 64 with one: 3 to 1, and 7 to 1 in FixMatch's and FlexMatch's papers
UNLABELLED = {"fixmatch": 448, "flexmatch": 448}
USUALLY_UNLABELLED, HARDLY_ANY = 192, 8
STRONG = (
    {"name": "policy", "preset": "randaugment", "num_layers": 2, "magnitude": 10},
    {"name": "cutout", "length": 16},
)
OF_ISDA = {"isda_weight": 1.0, "isda_strength": 0.5}  # the weight is ours
ISDA = ({"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "epoch"},)


def few_labels_config(
    word: str, name: str, labels_per_class: int, *, classes: int = 10, rows: int = 50_000, **options: dict[str, float]
) -> ConfigDict:
    """A config without its augmentation: 180 epochs of the unlabelled rows, WRN-28-2.

    Args:
      word: a method, or "all".
      name: of the data set.
      labels_per_class: how many labels of each class are kept, by the run's seed.
      classes: of the data set.
      rows: its training rows, with those that lose their label.
      **options: of methods, in the place of the usual ones.

    Raises:
      ValueError: an unknown method.
    """
    if word not in (*METHODS, ALL):
        raise ValueError(f"unknown method {word!r}: one of {', '.join([*METHODS, ALL])}")
    config = default_config()
    config.seeds, config.epochs, config.batch_size, config.eval_batch_size = 5, EPOCHS, LABELLED, 1000
    config.data = {"name": name, "labels_per_class": labels_per_class, "seed": -1}
    config.model = {"name": "wide_resnet", "depth": 28, "widen_factor": 2, "dropout_rate": 0.0, "dtype": "float32"}
    config.task = {"name": "mean_teacher", "unlabelled_batch_size": USUALLY_UNLABELLED}
    config.optim.learning_rate, config.optim.weight_decay = 0.03, 5e-4
    config.variants = _variants(word, labels_per_class * classes, rows, options)
    return config


def _variants(word: str, labelled: int, rows: int, options: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The labelled rows alone, then each method, plain and with ISDA."""
    batch = UNLABELLED.get(word, USUALLY_UNLABELLED)
    found: dict[str, Any] = {"supervised": _supervised(EPOCHS * ((rows - labelled) // batch), labelled)}
    for name in METHODS if word == ALL else [word]:
        chosen = METHODS[name] | options.get(name, {})
        if name in OF_LABELLED:
            chosen = chosen | {"weight": round(chosen["weight"] * labelled / rows, 4)}
        task = {"name": name, "unlabelled_batch_size": UNLABELLED.get(name, USUALLY_UNLABELLED), **chosen}
        strong = STRONG if name in UNLABELLED else ()
        with_isda = task if name in UNLABELLED else {**task, **OF_ISDA}
        found[name] = {"task": task, "augment": {"strong": strong}}
        found[f"{name}_isda"] = {"task": with_isda, "augment": {"strong": strong}, "loss": ISDA}
    return found


def _supervised(steps: int, labelled: int) -> dict[str, Any]:
    """As many steps as the method's, whose batches have hardly any other rows, and whose average is evaluated too."""
    task = {"name": "mean_teacher", "weight": 0.0, "supervised_over": "labelled", "epoch_of": "labelled"}
    epochs = max(round(steps / max(labelled // LABELLED, 1)), 1)
    return {
        "task": {**task, "unlabelled_batch_size": HARDLY_ANY},
        "epochs": epochs,
        "eval_every": max(epochs // EPOCHS, 1),
    }

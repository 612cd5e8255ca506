"""Ten labels a class on scikit-learn's digits: plain training against what learns from the other images too.

    python main.py --config=configs/few_labels_digits.py

Paper: none (no method has results on digits). Ours: see docs/results.md (FixMatch gains 2 points). Cost: 10 minutes on
two CPU cores.
"""

from jaxaug.train.config import default_config

COMMON = {"supervised_over": "labelled", "unlabelled_batch_size": 96, "decay": 0.99}
SUPERVISED = {**COMMON, "name": "mean_teacher", "weight": 0.0, "unlabelled_batch_size": 2, "epoch_of": "labelled"}
STRONG = ({"name": "policy", "preset": "randaugment", "num_layers": 2, "magnitude": 10},)


def get_config():
    config = default_config()
    config.seeds = 5
    config.epochs = 40
    config.batch_size = 32
    config.eval_every = config.save_every = 40
    config.data = {"name": "digits", "labels_per_class": 10, "seed": -1}  # the seed of the run chooses the labels
    config.augment.train = ({"name": "pad_and_crop", "padding": 1, "fill": "zero"},)
    config.model = {"name": "convnet", "widths": (32, 64, 128), "dropout_rate": 0.0}
    config.task = {"name": "mean_teacher", "unlabelled_batch_size": 96}
    config.variants = {
        # As many steps on the labelled rows, whose average of weights is evaluated too; nothing else weighs.
        "supervised": {"epochs": 160, "eval_every": 160, "save_every": 160, "task": SUPERVISED},
        "mean_teacher": {"task": {"name": "mean_teacher", "weight": 10.0, "ramp_up": 10.0, **COMMON}},
        "fixmatch": {
            "task": {"name": "fixmatch", "unlabelled_batch_size": 96, "decay": 0.99},
            "augment": {"strong": STRONG},
        },
    }
    return config

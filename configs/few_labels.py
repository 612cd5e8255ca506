"""Few labels, small enough for two CPU cores: plain training against what learns from the other images too.

    python main.py --config=configs/few_labels.py                  # scikit-learn's digits, 10 labels a class
    python main.py --config=configs/few_labels.py:fashion_mnist    # 10, too
    python main.py --config=configs/few_labels.py:cifar10          # 100, the fewest of ISDA's paper
    ... --config.data.name=npz --config.data.path=cifar10.npz      # a copy of one's own, or folder

Paper: none with networks of this size; ISDA's are in configs/isda_semi_cifar.py. Ours: see docs/results.md. Cost: 10
minutes on two CPU cores for the three variants without ISDA on digits, 5 seeds; an hour and a half of one core for all
six on Fashion-MNIST, 5 seeds; two hours for all six on CIFAR-10, 3 seeds.
"""

from jaxaug.train.config import default_config

# set: (labels a class, epochs, epochs of as many steps on the labelled rows alone, padding of crops, mirrored too)
SETS = {
    "digits": (10, 40, 160, 1, ()),
    "fashion_mnist": (10, 2, 400, 2, ("flip",)),
    "cifar10": (100, 4, 61, 4, ("flip",)),
}
COMMON = {"supervised_over": "labelled", "unlabelled_batch_size": 96, "decay": 0.99}
SUPERVISED = {**COMMON, "name": "mean_teacher", "weight": 0.0, "unlabelled_batch_size": 2, "epoch_of": "labelled"}
STRONG = ({"name": "policy", "preset": "randaugment", "num_layers": 2, "magnitude": 10},)
ISDA = ({"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "step"},)
MODEL = {"name": "convnet", "widths": (32, 64, 128)}
# max pooling takes less time than strides on a CPU
SMALLER = {"name": "convnet", "widths": (24, 48, 96), "downsampling": "max_pool"}


def get_config(name="digits"):
    if name not in SETS:
        raise ValueError(f"unknown data set {name!r}: one of {', '.join(SETS)}")
    labels, epochs, alone, padding, mirrored = SETS[name]
    config = default_config()
    config.seeds = 3 if name == "cifar10" else 5
    config.epochs = config.eval_every = config.save_every = epochs
    config.batch_size, config.eval_batch_size = 32, 1000
    config.data = {"name": name, "labels_per_class": labels, "seed": -1}  # the seed of the run chooses the labels
    config.augment.train = ({"name": "pad_and_crop", "padding": padding, "fill": "zero"}, *mirrored)
    config.model = MODEL if name == "digits" else SMALLER
    config.task = {"name": "mean_teacher", "unlabelled_batch_size": 96}
    methods = {
        # As many steps on the labelled rows, whose average of weights is evaluated too; nothing else weighs.
        "supervised": {"epochs": alone, "eval_every": alone, "save_every": alone, "task": SUPERVISED},
        "mean_teacher": {"task": {"name": "mean_teacher", "weight": 10.0, "ramp_up": epochs / 4, **COMMON}},
        "fixmatch": {
            "task": {"name": "fixmatch", "unlabelled_batch_size": 96, "decay": 0.99},
            "augment": {"strong": STRONG},
        },
    }
    with_isda = {f"{method}_isda": {**changes, "loss": ISDA} for method, changes in methods.items()}
    config.variants = {**methods, **with_isda}
    return config

"""The four systems side by side and together on CIFAR-10, with a network and a schedule that a CPU can train.

    python main.py --config=configs/four_methods_cifar.py:search      # leaves policy.json: the searched policy
    python main.py --config=configs/four_methods_cifar.py:all,policy.json
    python main.py --config=configs/four_methods_cifar.py:cross_entropy+isda      # some of the rows
    ... --config.data.name=npz --config.data.path=cifar10.npz         # a copy of one's own, or folder

49,000 images are trained on, 1,000 are AutoDO's trusted ones, and choose nothing else. All rows take as many steps;
the standard crop and mirroring are everywhere, but where the soft crop takes the former's place, and under DeepAA's
policies, which have their own. Together: a published DeepAA policy, then the soft crop, whose hidden pixels soften the
targets, ISDA, and an affine augmentation learned by AutoDO for all rows. Reported with ECE and the errors under
occlusion.

Paper: none (networks of this size). Ours: docs/results.md; plain 85.6 %. The policy that was searched for it is
benchmarks/results/four_methods_policy.json. Cost: 9,180 steps, 20 to 26 minutes a run on one CPU core; the search 11.
"""

from jaxaug.train.config import default_config

EPOCHS = 12
CROP = {"name": "pad_and_crop", "padding": 2, "fill": "edge"}
ISDA = {"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "step"}
SOFT_CROP = {"name": "soft_crop", "sigma": 0.15, "relative": True, "fill": "constant", "closing": 0.05}
PUBLISHED = {"name": "policy", "preset": "deepaa_cifar_1"}
LEARNED = {"name": "affine", "learned": "shared"}
AUTODO = {"name": "autodo", "start": 1, "every": 4, "batch_size": 64, "validation_batch_size": 64}


def variants(file):
    """name -> changes of the config; `file`: of the searched policy."""
    return {
        "cross_entropy": {},
        "isda": {"loss": (ISDA,)},
        "soft_augmentation": {
            "augment": {"train": ("flip",), "after": (SOFT_CROP,)},
            "loss": ("soft_targets", "kl_divergence"),
        },
        "randaugment": {
            "augment": {"train": ("flip", CROP, {"name": "policy", "preset": "randaugment", "num_layers": 2})}
        },
        "deepaa_published": {"augment": {"train": (PUBLISHED,)}},
        "deepaa_searched": {"augment": {"train": ({"name": "policy", "file": file},)}},
        "autodo": {"augment": {"train": ("flip", CROP, LEARNED)}, "search": AUTODO},
        "all_together": {
            "augment": {"train": (PUBLISHED, LEARNED), "after": (SOFT_CROP,)},
            "loss": ("soft_targets", "kl_divergence", ISDA),
            "search": AUTODO,
        },
    }


def get_config(words="all"):
    rows, _, file = words.partition(",")
    config = default_config()
    config.batch_size, config.eval_batch_size = 64, 1000
    config.data.update(name="cifar10", validation_size=1000)
    if rows == "search":
        return _search(config)
    everything = variants(file or "policy.json")
    names = tuple(everything) if rows == "all" else rows.split("+")
    for name in names:
        if name not in everything:
            raise ValueError(f"unknown row {name!r}: search, all, or of {', '.join(everything)}, several joined by +")
    config.seeds, config.epochs = 3, EPOCHS
    config.eval_every, config.save_every = EPOCHS, 1
    config.augment.train = ("flip", CROP)
    config.model = {"name": "convnet", "widths": (32, 64, 192, 512), "downsampling": "max_pool", "dropout_rate": 0.0}
    schedule = {"name": "cosine", "warmup": 0.2 * EPOCHS}
    config.optim = {"name": "sgd", "learning_rate": 0.1, "nesterov": True, "weight_decay": 5e-4, "schedule": schedule}
    config.robustness = ("occlusion",)
    config.variants = {name: everything[name] for name in names}
    return config


def _search(config):
    """A smaller network is trained on 5,000 images; the search takes its own from the others."""
    config.epochs = config.eval_every = config.save_every = 20
    config.data.validation_size = 5_000
    config.augment.train = ("flip", CROP)
    config.model = {"name": "convnet", "widths": (16, 32, 64), "downsampling": "max_pool", "dropout_rate": 0.0}
    config.optim.update(learning_rate=0.05, weight_decay=5e-4)
    config.search = {"name": "deepaa", "pool": 40_000, "num_layers": 3, "updates": 256}
    config.search.update(images=4, copies=2, factor=1, chunk=2, learning_rate=0.1)
    return config

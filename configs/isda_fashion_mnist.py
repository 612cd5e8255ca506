"""Plain cross-entropy against ISDA on Fashion-MNIST: 60,000 real images of 28 x 28.

    python main.py --config=configs/isda_fashion_mnist.py

Paper: none (ISDA has no results on Fashion-MNIST). Ours: see README.md. Cost: 2 variants x 3 seeds. The convnet is what
two CPU cores can train; on a GPU use, for example,
    --config.model.name=wide_resnet --config.model.kw='{"depth":16,"widen_factor":8}'
"""

from jaxaug import defaults


def get_config():
    config = defaults.config()
    config.seeds = 3
    config.epochs = 15
    config.batch_size = 128
    config.eval_batch_size = 1000
    config.save_every = 1
    config.data.name = "fashion_mnist"
    config.augment = {
        "train": ("parts.pad_and_crop", "parts.flip"),
        "pad_and_crop": {"padding": 2, "fill": "zero"},
        "flip": {"probability": 0.5},
    }
    config.model = {"name": "convnet", "kw": {"widths": (32, 64, 128), "dropout_rate": 0.0}}
    config.loss = {
        "chain": ("isda.isda",),
        "isda": {"strength": 0.5, "covariance": "full", "schedule": "epoch"},
    }
    config.optim.weight_decay = 5e-4
    config.variants = {"cross_entropy": {"loss": {"chain": ()}}, "isda": {}}
    return config

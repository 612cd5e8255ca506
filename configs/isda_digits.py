"""Plain cross-entropy against ISDA on scikit-learn's 1,797 real digits (the demo).

    python main.py --config=configs/isda_digits.py

Paper: none (ISDA has no results on digits). Ours: see README.md. Cost: about 3 minutes on two CPU cores.
"""

from jaxaug.train.config import default_config


def get_config():
    config = default_config()
    config.seeds = 5
    config.epochs = 30
    config.batch_size = 64
    config.save_every = 30
    config.data.name = "digits"
    config.augment.train = ({"name": "pad_and_crop", "padding": 1, "fill": "zero"},)
    config.model = {"name": "convnet", "widths": (32, 64, 128), "dropout_rate": 0.0}
    config.loss = ({"name": "isda", "strength": 0.5, "covariance": "full", "schedule": "epoch"},)
    config.variants = {"cross_entropy": {"loss": ()}, "isda": {}}
    return config

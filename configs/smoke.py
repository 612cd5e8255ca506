"""The smallest run that goes through everything: two epochs on digits, for trying an installation.

    python main.py --config=configs/smoke.py

Cost: about 15 seconds on two CPU cores, most of it compilation; too short to learn much (test accuracy 30 to 40 %).
"""

from jaxaug.train.config import default_config


def get_config():
    config = default_config()
    config.epochs = 2
    config.save_every = 1
    config.data.name = "digits"
    config.data.validation_size = 100
    config.augment.train = ({"name": "pad_and_crop", "padding": 1, "fill": "zero"},)
    config.model = {"name": "convnet", "widths": (16, 32)}
    isda = {"name": "isda", "strength": 0.5, "covariance": "diagonal", "schedule": "step"}
    config.loss = ("label_smoothing", isda)
    return config

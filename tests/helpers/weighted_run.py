"""A finished run of seconds that has learned something of each row: weights and soft labels of 96 noisy digits."""


def train_weights(folder):
    """(config, result) of the run in a folder: two epochs, beside which AutoDO takes steps in the second."""
    from jaxaug.train import trainer
    from jaxaug.train.config import default_config

    config = default_config()
    config.update({"epochs": 2, "batch_size": 32, "save_every": 1, "eval_batch_size": 128})
    config.data = {"name": "digits", "validation_size": 32, "train_size": 96, "noise": 0.5}
    config.model = {"name": "linear"}
    config.loss = ("learned_targets", "learned_weights")
    config.search = {"name": "autodo", "start": 1, "batch_size": 32, "validation_batch_size": 32, "solver": "identity"}
    return config, trainer.train_and_evaluate(config, folder)

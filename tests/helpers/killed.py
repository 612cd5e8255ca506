"""Small configs for runs that are killed: `--config=tests/helpers/killed.py:autodo`."""

import sys

sys.path.insert(0, "tests")  # for the command, which is started in the root of the project

from helpers.settings import module_of, tiny_config


def get_config(word):
    """A training with a search beside it, or one with a search after it."""
    if word == "autodo":
        config = tiny_config(epochs=12)
        config.model, config.augment.train, config.loss = {"name": "linear"}, (), ("learned_targets", "learned_weights")
        config.data.update(validation_size=130, noise=0.2)
        config.search = {"name": "autodo", "start": 1, "every": 5, "batch_size": 128, "validation_batch_size": 64}
        return config
    config = module_of("deepaa_search_digits").get_config()
    config.update({"epochs": 1, "log_every": 1})
    config.model, config.augment.train = {"name": "linear"}, ()
    config.search.update(ops=("Rotate", "Invert", "TranslateX"), num_layers=2, updates=8, images=4, refine=1)
    return config

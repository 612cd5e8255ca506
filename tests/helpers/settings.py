"""Folders, float64 on demand, and the config of a run that trains in a second."""

import contextlib
import pathlib

import jax

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"


@contextlib.contextmanager
def double_precision():
    """Run a block with float64 enabled."""
    jax.config.update("jax_enable_x64", True)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)


def tiny_config(**changes):
    """ISDA on real digits with a network that trains in a second: 21 steps an epoch."""
    from jaxaug.train.config import default_config

    config = default_config()
    config.update({"epochs": 1, "save_every": 1, "log_every": 3, "eval_batch_size": 128})
    config.augment.train = ("parts.pad_and_crop",)
    config.augment.pad_and_crop.update(padding=1, fill="zero")
    config.model = {"name": "convnet", "kw": {"widths": (8, 16), "dropout_rate": 0.1}}
    config.loss.chain = ("isda.isda",)
    config.loss.isda.update(strength=0.5, covariance="full", schedule="step")
    config.update(changes)
    return config

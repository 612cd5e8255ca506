"""Every mistake that a config or a user's arrays can hold: one clear message, before anything is compiled."""

import numpy as np
import pytest
from helpers.settings import tiny_config

from jaxaug.core.errors import UsageError
from jaxaug.train import sweep, trainer
from jaxaug.train.experiment import build_experiment


def change(path, value):
    def apply(config):
        config.unlock()
        *parents, last = path.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value

    return apply


def policy_of(preset):
    return {"train": ("policy.policy",), "after": (), "size": 0, "views": 1, "policy": {"preset": preset}}


MISTAKES = {
    "unknown data set": (change("data.name", "digit"), "did you mean 'digits'"),
    "unknown model": (change("model.name", "convnets"), "did you mean 'convnet'"),
    "unknown model option": (change("model.kw.depths", 3), "unknown option of model 'convnet' 'depths'"),
    "unknown loss": (change("loss.chain", ("isda.isd",)), "did you mean 'isda.isda'"),
    "a module for a function": (change("loss.chain", ("isda",)), "did you mean 'isda.isda'"),
    "a helper for a data set": (change("data.name", "cut"), "'cut' is not a module with load"),
    "a helper for a model": (change("model.name", "layers"), "'layers' is not a module with a class Model"),
    "a package that breaks": (change("loss.chain", ("broken_package.loss",)), "cannot be imported.*nowhere_at_all"),
    "negative seed": (change("seed", -1), "seed must be at least 0"),
    "warm-up too long": (change("optim.schedule.warmup", 1.0), "warmup is 1.0 epochs"),
    "unknown part": (change("augment.train", ("parts.crop",)), "unknown augment name 'parts.crop'"),
    "mixing before softening": (change("augment.after", ("mixing.mixup", "soft_crop.soft_crop")), "come before those"),
    "unknown policy": (change("augment", policy_of("deepaa_cifar")), "did you mean 'deepaa_cifar_2'"),
    "unknown protocol": (change("robustness", ("occlusions",)), "did you mean 'occlusion'"),
    "too few rows": (change("data.train_size", 5000), "train_size=5000 must be in 0..1347"),
    "unknown optimizer": (change("optim.name", "adam"), "did you mean 'adamw'"),
    "batch and devices": (change("batch_size", 63), "cannot be divided among 2 devices: use 62 or 64"),
    "batch too large": (change("batch_size", 2000), "1347 training rows"),
    "no training rows": (change("data.validation_size", 1347), "validation_size"),
    "no epochs": (change("epochs", 0), "epochs must be at least 1"),
    "no file": (lambda config: config.data.update(name="npz", path="nowhere.npz"), "nowhere.npz"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    """One clear message from `prepare`, which compiles nothing."""
    mistake, message = MISTAKES[name]
    config = tiny_config()
    mistake(config)
    with pytest.raises(UsageError, match=message):
        build_experiment(config)


def arrays(**changes):
    rng = np.random.default_rng(0)
    return {
        "train_image": rng.integers(0, 256, (20, 6, 6, 1)).astype(np.uint8),
        "train_label": rng.integers(0, 3, 20),
        "test_image": rng.integers(0, 256, (8, 6, 6, 1)).astype(np.uint8),
        "test_label": rng.integers(0, 3, 8),
        **changes,
    }


BAD_ARRAYS = {
    "label out of range": ({"test_label": np.array([0, 1, 2, 7, 0, 0, 0, 0])}, r"label 7"),
    "image shape": ({"test_image": np.zeros((8, 5, 6, 1), np.uint8)}, r"5, 6, 1"),
    "no training rows": (
        {"train_image": np.zeros((0, 6, 6, 1), np.uint8), "train_label": np.zeros(0, int)},
        "training",
    ),
    "no test rows": ({"test_image": np.zeros((0, 6, 6, 1), np.uint8), "test_label": np.zeros(0, int)}, "no test rows"),
    "NaN": ({"train_image": np.full((20, 6, 6, 1), np.nan, np.float32)}, "row 0"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays(name, tmp_path):
    changes, message = BAD_ARRAYS[name]
    np.savez(tmp_path / "set.npz", **arrays(**changes))
    config = tiny_config(batch_size=4)
    config.data.update({"name": "npz", "path": str(tmp_path / "set.npz"), "num_classes": 3})
    with pytest.raises(UsageError, match=message):
        build_experiment(config)


def test_variant_that_does_not_fit(tmp_path):
    config = tiny_config()
    config.variants.unlock()
    config.variants = {"plain": {"los": {"chain": ()}}}
    config.lock()
    with pytest.raises(UsageError, match=r"config\.variants\.plain does not fit"):
        sweep.run(config, tmp_path)


def test_a_mended_config_may_use_the_same_workdir(tmp_path):
    """A mistake leaves nothing behind that a corrected command would stumble over."""
    config = tiny_config()
    config.loss.chain = ("isda.isd",)
    with pytest.raises(UsageError, match="did you mean"):
        trainer.train_and_evaluate(config, tmp_path)
    config.loss.chain = ("isda.isda",)
    trainer.train_and_evaluate(config, tmp_path)


def test_a_mistake_in_the_last_variant_shows_first(tmp_path, monkeypatch):
    config = tiny_config()
    config.variants.unlock()
    config.variants = {"good": {}, "worse": {"loss": {"chain": ("isda.isd",)}}}
    monkeypatch.setattr(trainer, "run", None)
    with pytest.raises(UsageError, match="did you mean"):
        sweep.run(config, tmp_path)


def test_images_too_small_for_the_model(tmp_path):
    """The model says so when its shapes are computed, which compiles nothing."""
    small = {name: x[:, :2, :2] if "image" in name else x for name, x in arrays().items()}
    np.savez(tmp_path / "set.npz", **small)
    config = tiny_config(batch_size=4)
    config.data.update({"name": "npz", "path": str(tmp_path / "set.npz")})
    change("model", {"name": "densenet", "kw": {"depth": 10}})(config)
    with pytest.raises(UsageError, match="densenet"):
        build_experiment(config)

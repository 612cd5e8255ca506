"""Every mistake that a config or a user's arrays can hold: one clear message, before anything is compiled."""

import numpy as np
import pytest
from helpers.settings import tiny_config

from jaxaug.core.errors import UsageError
from jaxaug.train import sweep, trainer
from jaxaug.train.experiment import build_experiment


def change(path, value):
    def apply(config):
        *parents, last = path.split(".")
        node = config
        for parent in parents:
            node = node[parent]
        node[last] = value

    return apply


LEARNED = {"name": "policy", "preset": "affine", "exact": False, "learned": "shared"}
MISTAKES = {
    "unknown field": (change("epohcs", 3), r"unknown field config\.epohcs: did you mean 'epochs'"),
    "unknown field of augment": (
        change("augment.sise", 3),
        r"unknown field config\.augment\.sise: did you mean 'size'",
    ),
    "unknown data set": (change("data.name", "digit"), r"config\.data: unknown data 'digit': did you mean 'digits'"),
    "unknown data option": (
        change("data.validation", 10),
        r"config\.data: unknown option 'validation' of data 'digits': did you mean 'validation_size'",
    ),
    "unknown model": (change("model.name", "convnets"), r"config\.model: .*did you mean 'convnet'"),
    "unknown model option": (
        change("model.depths", 3),
        r"config\.model: unknown option 'depths' of model 'convnet'",
    ),
    "unknown loss": (change("loss", ("isd",)), r"config\.loss: unknown loss 'isd': did you mean 'isda'"),
    "unknown loss option": (
        change("loss", ({"name": "isda", "strenght": 1.0},)),
        r"config\.loss: unknown option 'strenght' of loss 'isda': did you mean 'strength'",
    ),
    "no slot": (change("loss", (3,)), r"config\.loss: a component is a name or \{'name': .*got 3"),
    "a module for a function": (
        change("loss", ("jaxaug.losses",)),
        r"config\.loss: 'jaxaug\.losses' is not a function that returns a LossTransform",
    ),
    "a helper for a loss": (
        change("loss", ("jaxaug.losses.create",)),
        r"config\.loss: loss 'jaxaug\.losses\.create' needs a value for 'slots'",
    ),
    "a helper for a data set": (change("data.name", "splits"), r"config\.data: unknown data 'splits': valid names are"),
    "a module for a data set": (
        change("data.name", "jaxaug.data.splits"),
        r"config\.data: 'jaxaug\.data\.splits' is not a function that returns a Dataset",
    ),
    "a helper for a model": (change("model.name", "layers"), r"config\.model: unknown model 'layers': valid names are"),
    "a module for a model": (
        change("model", {"name": "jaxaug.models.layers"}),
        r"config\.model: 'jaxaug\.models\.layers' is not a Linen or NNX module",
    ),
    "a package that breaks": (
        change("loss", ("helpers.broken_package.loss",)),
        r"config\.loss: .*cannot be imported.*nowhere_at_all",
    ),
    "a package that is not there": (
        change("loss", ("my_losses.margin",)),
        r"config\.loss: unknown loss 'my_losses\.margin': there is no module 'my_losses'; it must lie beside",
    ),
    "unknown task": (
        change("task.name", "clasification"),
        r"config\.task: unknown task 'clasification': did you mean 'classification'",
    ),
    "seed of more than 32 bits": (
        change("seed", 2**63),
        r"config\.seed must be below 2\*\*32, got 9223372036854775808",
    ),
    "negative seed": (change("seed", -1), r"config\.seed must be at least 0"),
    "warm-up too long": (change("optim.schedule.warmup", 1.0), r"config\.optim: .*warmup of 1\.0 epochs"),
    "unknown schedule": (
        change("optim.schedule.name", "cosin"),
        r"config\.optim\.schedule: unknown schedule 'cosin': did you mean 'cosine'",
    ),
    "unknown transform": (change("augment.train", ("crop",)), r"config\.augment\.train: unknown augment 'crop'"),
    "mixing before softening": (
        change("augment.after", ("mixup", "soft_crop")),
        r"config\.augment: .*come before those",
    ),
    "gray levels after normalization": (
        change("augment.after", ("policy",)),
        r"config\.augment: policy: works on the 0\.\.255 scale",
    ),
    "two learned policies": (change("augment.train", (LEARNED, LEARNED)), r"config\.augment: there are 2 learned"),
    "unknown policy": (
        change("augment.train", ({"name": "policy", "preset": "deepaa_cifar"},)),
        r"config\.augment\.train: .*did you mean 'deepaa_cifar_2'",
    ),
    "unknown protocol": (change("robustness", ("occlusions",)), r"config\.robustness: .*did you mean 'occlusion'"),
    "too few rows": (
        change("data.train_size", 5000),
        r"config\.data: digits: train_size=5000 must be a whole number in 0",
    ),
    "unknown optimizer": (change("optim.name", "adam"), r"config\.optim: .*did you mean 'adamw'"),
    "unknown place": (change("place", "devise"), r"config\.place: .*'device', 'host'\), got 'devise'"),
    "batch and devices": (change("batch_size", 63), "cannot be divided among 2 devices: use 62 or 64"),
    "batch too large": (change("batch_size", 2000), r"config\.batch_size is 2000, but digits has 1347 training rows"),
    "no training rows": (change("data.validation_size", 1347), r"config\.data: .*validation_size"),
    "no epochs": (change("epochs", 0), r"config\.epochs must be at least 1"),
    "no file": (lambda config: config.data.update(name="npz", path="nowhere.npz"), r"config\.data: .*nowhere\.npz"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    """One clear message from `build_experiment`, which compiles nothing."""
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"los": ()}, r"unknown field config\.variants\.plain\.los: did you mean 'loss'"),
        ({"epochs": "many"}, r"config\.variants\.plain\.epochs must be a whole number"),
        ({"augment": {"trian": ()}}, r"unknown field config\.augment\.trian: did you mean 'train'"),
        ({"model": {"name": "linear", "widths": (4,)}}, r"config\.model: unknown option .* of model 'linear'"),
    ],
)
def test_variant_that_does_not_fit(tmp_path, changes, message):
    config = tiny_config()
    config.variants = {"plain": changes}
    with pytest.raises(UsageError, match=message):
        sweep.run(config, tmp_path)


def test_a_mended_config_may_use_the_same_workdir(tmp_path):
    """A mistake leaves nothing behind that a corrected command would stumble over."""
    config = tiny_config(loss=("isd",))
    with pytest.raises(UsageError, match="did you mean"):
        trainer.train_and_evaluate(config, tmp_path)
    config.loss = ("isda",)
    trainer.train_and_evaluate(config, tmp_path)


def test_a_mistake_in_the_last_variant_shows_first(tmp_path, monkeypatch):
    config = tiny_config()
    config.variants = {"good": {}, "worse": {"loss": ("isd",)}}
    monkeypatch.setattr(sweep, "train_and_evaluate", None)
    with pytest.raises(UsageError, match="did you mean"):
        sweep.run(config, tmp_path)


def test_augmentation_may_close_in_a_number_of_epochs():
    """What is traced before the training knows how many epochs there are."""
    config = tiny_config(epochs=3)
    config.augment.after = ({"name": "soft_crop", "closing": 2},)
    assert build_experiment(config).total_steps == 3 * 21


def test_images_too_small_for_the_model(tmp_path):
    """The model says so when its shapes are computed, which compiles nothing."""
    small = {name: x[:, :2, :2] if "image" in name else x for name, x in arrays().items()}
    np.savez(tmp_path / "set.npz", **small)
    config = tiny_config(batch_size=4)
    config.data.update({"name": "npz", "path": str(tmp_path / "set.npz")})
    change("model", {"name": "densenet", "depth": 10})(config)
    with pytest.raises(UsageError, match="densenet"):
        build_experiment(config)

"""Every file of configs/: its docstring, that its parts exist, and one step of each on tiny stand-ins of its data."""

import importlib.util
import json

import jax
import numpy as np
import pytest
from helpers.published_data import register, write_archives
from helpers.settings import ROOT
from ml_collections import ConfigDict
from PIL import Image

from jaxaug import losses
from jaxaug.augment import compose
from jaxaug.models.api import create, init_model
from jaxaug.optim import optimizers
from jaxaug.train import trainer
from jaxaug.train.config import default_config

SHAPES = {
    **{"digits": (8, 8, 1), "mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1)},
    **dict.fromkeys(("cifar10", "cifar100", "svhn"), (32, 32, 3)),
    "folder": (256, 256, 3),
}
FILES = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


def module_of(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "configs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(name):
    """The words after the colon that a config accepts; None for the config without one."""
    module = module_of(name)
    return [None, *getattr(module, "ROWS", getattr(module, "MODELS", {}))]


@pytest.mark.parametrize("name", FILES)
def test_docstring_and_lock(name):
    module = module_of(name)
    assert f"python main.py --config=configs/{name}.py" in module.__doc__
    assert "Cost:" in module.__doc__
    config = module.get_config()
    known = default_config().to_dict()
    assert config.to_dict().keys() == known.keys()
    assert config.optim.keys() == default_config().optim.keys()


def test_every_field_can_be_set_from_the_command_line():
    """A field called as a method of ConfigDict, such as "items", cannot."""

    def names(config):
        for name, value in config.to_dict().items():
            yield name
            if isinstance(value, dict):
                yield from names(ConfigDict(value))

    found = set(names(default_config()))
    assert {"epochs", "strength", "copies"} <= found
    assert not [name for name in found if hasattr(ConfigDict, name)]


@pytest.mark.parametrize(("name", "row"), [(name, row) for name in FILES for row in rows_of(name)])
def test_every_part_exists(name, row):
    """Model, losses, augmentation, optimiser and schedule are built; the model's shapes are computed."""
    get_config = module_of(name).get_config
    config = get_config() if row is None else get_config(row)
    shape = SHAPES[config.data.name]
    model = create(config.model, 10)
    params, _ = jax.eval_shape(lambda: init_model(model, jax.random.key(0), shape))
    assert params["head"]["kernel"].shape[1] == 10
    losses.build_chain(config.loss)
    compose.build_pipeline(config.augment, (0.5,) * shape[2], (0.5,) * shape[2])
    _, schedule = optimizers.create(config.optim, steps_per_epoch=10, epochs=config.epochs)
    assert 0 <= schedule(jax.numpy.asarray(10 * config.epochs - 1)) < config.optim.learning_rate


def test_unknown_row():
    with pytest.raises(ValueError, match="unknown row 'resnet-33'"):
        module_of("isda_cifar").get_config("resnet-33")


def test_cifar_recipe():
    """WRN-28-10 as published: rates, dropout, lambda, batch, decay."""
    config = module_of("isda_cifar").get_config()
    _, schedule = optimizers.create(config.optim, steps_per_epoch=390, epochs=config.epochs)
    epochs = [58, 59, 118, 119, 158, 159, 198, 199, 239]
    rates = [float(schedule(jax.numpy.asarray(390 * e))) for e in epochs]
    np.testing.assert_allclose(
        rates, 0.1 * 0.2 ** np.array([0, 1, 1, 2, 2, 3, 3, 4, 4]), rtol=1e-5, err_msg="epochs counted from 0"
    )
    assert (config.batch_size, config.epochs) == (128, 240)
    assert config.model.kw.dropout_rate == 0.3
    found = config.loss.isda.to_dict()
    assert found == {
        "strength": 0.5,
        "covariance": "full",
        "schedule": "epoch",
        "order": "update_then_use",
        "keep": 1.0,
        "labels": "dominant",
        "learned": False,
    }
    assert (config.optim.weight_decay, config.optim.decay, config.optim.nesterov) == (5e-4, "all", True)


@pytest.mark.parametrize("row", ["baseline", "ra", "sa", "ra_sa"])
def test_soft_augmentation_recipe(row):
    """The released code's 501 epochs: rates, decay, crop, weight, and 21 epochs without the crop."""
    config = module_of("softaug_cifar").get_config(row)
    _, schedule = optimizers.create(config.optim, steps_per_epoch=391, epochs=config.epochs)
    steps = np.array([1, 2, 1000, 97_946, 195_890, 195_891])  # counted from 1, as there
    rates = [float(schedule(jax.numpy.asarray(i - 1))) for i in steps]
    np.testing.assert_allclose(rates, 0.05 * (1 + np.cos(np.pi * steps / 195_892)), atol=1e-8)
    assert (config.optim.weight_decay, config.optim.decay, config.optim.nesterov) == (5e-4, "all", True)
    assert ("policy.policy" in config.augment.train) == ("ra" in row)
    soft = "sa" in row
    assert (config.augment.after, config.loss.chain) == (
        (("soft_crop.soft_crop",), ("targets.soften", "targets.divergence")) if soft else ((), ())
    )
    assert ("parts.pad_and_crop" in config.augment.train) != soft
    assert config.augment.soft_crop.closing == 21 / 501
    assert (config.augment.soft_crop.sigma, config.loss.soften.weight) == (12.0, "batch")


def test_imagenet_config_trains_on_a_folder(tmp_path):
    """From photographs of several sizes to a test accuracy; a small network and small images, two steps."""
    random = np.random.default_rng(0)
    for name, count in (("train", 8), ("val", 4)):
        for i in range(2 * count):
            path = tmp_path / "imagenet" / name / f"n{i % 2:02}" / f"{i}.JPEG"
            path.parent.mkdir(parents=True, exist_ok=True)
            smooth = random.integers(0, 256, (3, 4, 3)).astype(np.uint8)
            Image.fromarray(smooth).resize((90 + i, 70), Image.Resampling.BICUBIC).save(path)
    config = module_of("deepaa_eval_imagenet").get_config("imagenet_2")
    config.update({"batch_size": 8, "epochs": 1, "eval_batch_size": 4})
    config.model = {"name": "convnet", "kw": {"widths": (8, 16)}}
    config.data.update(path=str(tmp_path / "imagenet"), dir=str(tmp_path), size=64)
    config.augment.size, config.optim.schedule.warmup = 48, 0.0
    result = trainer.train_and_evaluate(config, tmp_path / "run")
    assert 0 <= result["test_top1"] <= 1
    assert list((tmp_path / "folder").glob("decoded-*/train_image.npy"))
    # The rows of val are those that are reported on, so that no epoch is chosen by them.
    assert "chosen_top1" not in result


def test_cifar_config_trains_on_the_official_archive(tmp_path, monkeypatch):
    """From CIFAR's own tarball (a small copy) to a test accuracy; only the network and the counts are small."""
    folder = tmp_path / "cifar10"
    write_archives("cifar10", folder)
    register(monkeypatch, "cifar10", folder)
    config = module_of("isda_cifar").get_config("resnet-32")
    config.update({"batch_size": 50, "epochs": 1, "eval_batch_size": 100, "data": {"dir": str(tmp_path)}})
    config.model.kw.depth = 8
    result = trainer.train_and_evaluate(config, tmp_path / "run")
    assert 0 <= result["test_top1"] <= 1
    record = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert record["step"] == 4

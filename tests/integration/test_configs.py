"""Every file of configs/: its docstring, its parts, its recipe; some are trained on tiny stand-ins of their data."""

import functools
import json

import jax
import numpy as np
import pytest
from helpers.photographs import write_photographs
from helpers.published_data import register, write_archives
from helpers.road_scenes import write_cityscapes
from helpers.settings import ROOT, SHAPES, module_of
from ml_collections import ConfigDict

from jaxaug import losses, models, optim
from jaxaug.augment.compose import build_pipeline
from jaxaug.core.registry import FAMILIES, defaults_of, instantiate, list_names, resolve
from jaxaug.core.types import Batch
from jaxaug.models import weights
from jaxaug.train import trainer
from jaxaug.train.config import complete, default_config, expand
from jaxaug.train.experiment import build_experiment
from jaxaug.train.initial_weights import load_weights

FILES = sorted(path.stem for path in (ROOT / "configs").glob("*.py"))


# Words after the comma.
WORDS = {
    "isda_cifar": [f"wide_resnet-16-8,{word}" for word in ("cutout", "randaugment", "autoaugment")],
    "deepaa_eval_cifar": [f"cifar_1,{word}" for word in ("batch8", "batch8_100", "wrn_40_2", "shake_shake", "svhn")],
    "autodo_cifar": ["SEP_BOTH,cifar100", "RAND,grid"],
    "autodo_svhn": ["RAND,grid"],
    "autodo_imagenet": ["all,grid"],
    "isda_cityscapes": ["pspnet,multi_scale", "deeplab_v3,torchvision"],
    "finetune_folder": ["resnet50,frozen"],
    "few_labels": ["fashion_mnist", "cifar10"],
    "four_methods_cifar": ["search", "isda+deepaa_searched,policy.json"],
}


def rows_of(name):
    """The words after the colon that a config accepts; None for the config without one."""
    module = module_of(name)
    return [None, *getattr(module, "ROWS", getattr(module, "MODELS", {})), *WORDS.get(name, [])]


def schedule_of(config, steps_per_epoch):
    return optim.create(**config.optim.to_dict(), steps_per_epoch=steps_per_epoch, epochs=config.epochs)[1]


def names_of(slots):
    return tuple(slot if isinstance(slot, str) else slot["name"] for slot in slots)


def slot_of(slots, name):
    """The slot of a component, of a config that is complete."""
    (found,) = [slot for slot in slots if slot["name"] == name]
    return found


@pytest.mark.parametrize("name", FILES)
def test_docstring_and_fields(name):
    module = module_of(name)
    assert f"python main.py --config=configs/{name}.py" in module.__doc__
    assert "Cost:" in module.__doc__
    config = module.get_config()
    assert config.to_dict().keys() == default_config().to_dict().keys()
    for one in expand(config).values():
        plain = default_config()
        plain.optim = {"name": one.optim.name}
        assert complete(one).optim.keys() == complete(plain).optim.keys()


def test_every_field_can_be_set_from_the_command_line():
    """A field called as a method of ConfigDict, such as "items", cannot, nor one with a dot."""

    def names(config):
        for name, value in config.to_dict().items():
            yield name
            if isinstance(value, dict):
                yield from names(ConfigDict(value))

    found = set(names(complete(default_config())))
    assert {"epochs", "learning_rate", "warmup"} <= found
    for family in FAMILIES:
        found |= {option for name in list_names(family) for option in defaults_of(resolve(family, name))}
    assert {"strength", "copies", "damping"} <= found
    assert not [name for name in found if hasattr(ConfigDict, name) or "." in name]


# Networks so deep that their shapes alone take seconds.
DEEP = ("shake_pyramidnet-272", "densenet265", "densenet201", "densenet169", "deeplab_v3", "deeplab_v3,torchvision")


def marked(name, row):
    return pytest.param(name, row, marks=[pytest.mark.slow] if row in DEEP else [])


@functools.lru_cache
def head_of(model, shape):
    """Of the shapes of a network's parameters; many rows have one network."""
    network = models.create(**json.loads(model), num_classes=10)
    params, _ = jax.eval_shape(lambda: models.init_model(network, jax.random.key(0), shape))
    return params["head"]


@pytest.mark.parametrize(("name", "row"), [marked(name, row) for name in FILES for row in rows_of(name)])
def test_every_part_exists(name, row):
    """Model, losses, augmentation, optimiser and schedule are built; the model's shapes are computed."""
    get_config = module_of(name).get_config
    config = complete(get_config() if row is None else get_config(row))
    shape = SHAPES[config.data.name]
    assert head_of(config.model.to_json(sort_keys=True), shape)["kernel"].shape[1] == 10
    losses.create(config.loss)
    transforms = {stage: [instantiate("augment", one) for one in config.augment[stage]] for stage in ("train", "after")}
    half = (0.5,) * shape[2]
    build_pipeline(**transforms, mean=half, std=half, size=config.augment.size, views=config.augment.views)
    schedule = schedule_of(config, 10)
    assert 0 <= schedule(jax.numpy.asarray(10 * config.epochs - 1)) < config.optim.learning_rate


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("isda_cifar", "resnet-33", "unknown row 'resnet-33'"),
        ("isda_cifar", "resnet-32,cutmix", "unknown augmentation 'cutmix'"),
        ("autodo_cifar", "SEP,cifar", "unknown word 'cifar'"),
        ("autodo_cifar10n", "plain+soft", "unknown row 'soft'"),
        ("autodo_svhn", "SEP,cifar100", "unknown word 'cifar100'"),
        ("deepaa_eval_cifar", "cifar_1,batch", "unknown training 'batch'"),
        ("isda_imagenet", "resnet-50", "unknown row 'resnet-50'"),
        ("softaug_imagenet", "soft", "unknown row 'soft'"),
        ("autodo_imagenet", "SEP,cifar", "unknown word 'cifar'"),
        ("isda_cityscapes", "deeplab", "unknown row 'deeplab'"),
        ("isda_cityscapes", "pspnet,flip", "unknown word 'flip'"),
        ("finetune_folder", "resnet50,slow", "unknown word 'slow'"),
        ("softaug_simsiam", "easy", "unknown row 'easy'"),
        ("few_labels", "cifar100", "unknown data set 'cifar100'"),
        ("four_methods_cifar", "isda+dada", "unknown row 'dada'"),
    ],
)
def test_unknown_words(name, words, message):
    with pytest.raises(ValueError, match=message):
        module_of(name).get_config(words)


def test_autodo_recipe():
    """CIFAR-100's own statistics and policy; the papers' four settings; erasing behind the normalisation."""
    module = module_of("autodo_cifar")
    configs = expand(module.get_config("SEP_BOTH+DADA,cifar100,grid"))
    assert {"plain_1_noise_0", "SEP_BOTH_10_noise_10", "DADA_1_noise_10", "validation_only_10_noise_0"} <= set(configs)
    found = complete(configs["SEP_BOTH_10_noise_0"])
    assert (found.data.imbalance, found.data.noise, found.data.statistics) == (10, 0, "autodo")
    assert names_of(found.augment.train) == ("policy", "pad_and_crop", "flip")
    assert names_of(found.augment.after) == ("random_erasing", "affine")
    assert (found.search.start, found.model.activation, found.model.initialiser) == (51, "celu", "pytorch")
    policy = slot_of(complete(configs["DADA_10_noise_0"]).augment.train, "policy")
    assert policy["preset"] == "dada_cifar100"
    compat = expand(module.get_config("compat_SEP_BOTH,grid"))
    symmetric = [complete(compat[f"compat_SEP_BOTH_{at}"]).loss[2]["symmetric"] for at in ("1_noise_0", "10_noise_10")]
    assert symmetric == [False, True]


def test_labels_of_people():
    """Trusted rows are the same in all rows of the table; alone they meet as many images; what a list left is taken."""
    configs = {
        row: complete(one)
        for row, one in expand(module_of("autodo_cifar10n").get_config("all,people.csv,lists/a")).items()
    }
    assert {(one.data.validation_size, one.data.seed) for one in configs.values()} == {(500, 0)}
    assert configs["trusted"].epochs * 500 == configs["plain"].epochs * configs["plain"].data.train_size
    assert (configs["dropped"].data.labels, configs["dropped"].data.train_size) == ("lists/a/without_suspects.csv", 0)
    assert {one.data.labels for row, one in configs.items() if row != "dropped"} == {"people.csv"}
    assert configs["weighted"].search.to_dict() == {"name": "learned", "run": "lists/a"}
    assert names_of(configs["BOTH"].loss) == ("learned_targets", "learned_weights")


def test_deepaa_recipe():
    config = complete(module_of("deepaa_eval_cifar").get_config("cifar_2,batch8"))
    assert (config.augment.views, config.augment.views_apart) == (8, True)
    assert (config.data.statistics, config.model.stride_on, config.model.raw_shortcut) == ("deepaa", 2, True)
    search = complete(module_of("deepaa_search_cifar").get_config())
    assert (search.optim.clip, search.optim.clip_decayed, search.model.initialiser) == (0.0, 5.0, "he_fan_in")


def test_cifar_recipe():
    """WRN-28-10 as published: rates, dropout, lambda, batch, decay."""
    config = complete(module_of("isda_cifar").get_config())
    schedule = schedule_of(config, 390)
    epochs = [58, 59, 118, 119, 158, 159, 198, 199, 239]
    rates = [float(schedule(jax.numpy.asarray(390 * e))) for e in epochs]
    np.testing.assert_allclose(
        rates, 0.1 * 0.2 ** np.array([0, 1, 1, 2, 2, 3, 3, 4, 4]), rtol=1e-5, err_msg="epochs counted from 0"
    )
    assert (config.batch_size, config.epochs) == (128, 240)
    assert config.model.dropout_rate == 0.3
    (found,) = config.loss
    assert found == {
        "name": "isda",
        "strength": 0.5,
        "covariance": "full",
        "schedule": "epoch",
        "order": "update_then_use",
        "keep": 1.0,
        "labels": "dominant",
        "learned": False,
        "axis_name": "",
    }
    assert (config.optim.weight_decay, config.optim.decay, config.optim.nesterov) == (5e-4, "all", True)


@pytest.mark.parametrize("row", ["baseline", "ra", "sa", "ra_sa"])
def test_soft_augmentation_recipe(row):
    """The released code's 501 epochs: rates, decay, crop, weight, and 21 epochs without the crop."""
    config = complete(module_of("softaug_cifar").get_config(row))
    schedule = schedule_of(config, 391)
    steps = np.array([1, 2, 1000, 97_946, 195_890, 195_891])  # counted from 1, as there
    rates = [float(schedule(jax.numpy.asarray(i - 1))) for i in steps]
    np.testing.assert_allclose(rates, 0.05 * (1 + np.cos(np.pi * steps / 195_892)), atol=1e-8)
    assert (config.optim.weight_decay, config.optim.decay, config.optim.nesterov) == (5e-4, "all", True)
    train, after, chain = map(names_of, (config.augment.train, config.augment.after, config.loss))
    assert ("policy" in train) == ("ra" in row)
    soft = "sa" in row
    assert (after, chain) == ((("soft_crop",), ("soft_targets", "kl_divergence")) if soft else ((), ()))
    assert ("pad_and_crop" in train) != soft
    if soft:
        soft_crop = slot_of(config.augment.after, "soft_crop")
        assert (soft_crop["closing"], soft_crop["sigma"]) == (21, 12.0)
        assert slot_of(config.loss, "soft_targets")["weight"] == "batch"


def test_imagenet_config_trains_on_a_folder(tmp_path):
    """From photographs of several sizes, one of them broken, to a test accuracy; a small network, two epochs."""
    write_photographs(tmp_path / "imagenet" / "train", ["n0", "n1"], 9)
    write_photographs(tmp_path / "imagenet" / "val", ["n0", "n1"], 3, first=30)
    (tmp_path / "imagenet" / "train" / "n1" / "8.JPEG").write_text("broken")
    config = module_of("deepaa_eval_imagenet").get_config("imagenet_2")
    config.update({"batch_size": 8, "epochs": 2, "eval_every": 1, "eval_batch_size": 4})
    config.model = {"name": "convnet", "widths": (8, 16)}
    config.data.update(path=str(tmp_path / "imagenet"), size=32, resize=32, crop="random_resized")
    config.augment.size, config.optim.schedule.warmup = 24, 0.0
    config.augment.train = ("flip",)
    result = trainer.train_and_evaluate(config, tmp_path / "run")
    assert 0 <= result["test_top1"] <= 1
    # The rows of val are those that are reported on, so that no epoch is chosen by them.
    assert "chosen_top1" not in result
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["unreadable_images"] for record in records] == [1, 1]


def test_finetune_config_trains_on_a_folder(tmp_path):
    """From a file of weights for other classes to a test accuracy; the head alone learns."""
    write_photographs(tmp_path / "photos" / "train", ["cat", "dog"], 8)
    write_photographs(tmp_path / "photos" / "val", ["cat", "dog"], 4, first=30)
    options = {"name": "convnet", "widths": (8, 16)}
    params, model_state = models.init_model(models.create(**options, num_classes=5), jax.random.key(1), (24, 24, 3))
    weights.save(tmp_path / "convnet.npz", params, model_state)
    config = module_of("finetune_folder").get_config("convnet,frozen")
    assert config.init_from.path == "convnet.npz"
    config.update({"batch_size": 8, "epochs": 2, "eval_batch_size": 8, "model": options})
    config.data.update(path=str(tmp_path / "photos"), size=24)
    config.init_from.path = str(tmp_path / "convnet.npz")
    result = trainer.train_and_evaluate(config, tmp_path / "run")
    assert 0 <= result["test_top1"] <= 1
    after = load_weights(tmp_path / "run")
    assert after[0]["head"]["kernel"].shape == (16, 2)
    kept = [{**tree, "head": 0} for tree in (params, model_state)]
    jax.tree.map(np.testing.assert_array_equal, [{**tree, "head": 0} for tree in after], kept)


def test_isda_imagenet_recipe():
    """Lambda of each network, cosine by epochs from 0, decay of everything, no Nesterov momentum."""
    module = module_of("isda_imagenet")
    found = {row: complete(module.get_config(row)) for row in module.ROWS}
    strengths = {row: slot_of(config.loss, "isda")["strength"] for row, config in found.items()}
    assert (strengths["resnet101"], strengths["densenet265"], strengths["resnext101_32x8d"]) == (5.0, 1.0, 7.5)
    config = found["resnet50"]
    rates = [float(schedule_of(config, 10)(jax.numpy.asarray(10 * epoch))) for epoch in (0, 1, 150, 299)]
    np.testing.assert_allclose(rates, 0.1 * (1 + np.cos(np.pi * np.array([0, 1, 150, 299]) / 300)), atol=1e-8)
    assert (config.batch_size, config.epochs, config.optim.nesterov, config.optim.decay) == (512, 300, False, "all")
    assert (config.data.size, config.data.crop, config.data.interpolation) == (224, "random_resized", "bilinear")


def test_isda_cityscapes_recipe():
    """The released code's 40,000 steps, but for 68 more: rate, crop, scales, both heads' ISDA, the networks."""
    module = module_of("isda_cityscapes")
    config = module.get_config("deeplab_v3")
    runs = {name: complete(one) for name, one in expand(config).items()}
    found, steps_per_epoch = runs["isda"], 2975 // 8
    assert steps_per_epoch * found.epochs == 40_068
    rates = [float(schedule_of(found, steps_per_epoch)(jax.numpy.asarray(step))) for step in (0, 20_034, 40_067)]
    np.testing.assert_allclose(rates, 0.01 * np.array([1, 0.5, 1 / 40_068]) ** 0.9, rtol=1e-3)
    assert (found.batch_size, found.optim.weight_decay, found.optim.decay, found.optim.nesterov) == (8, 5e-4, "all", 0)
    crop = slot_of(found.augment.train, "random_scale_and_crop")
    assert (crop["size"], crop["scale"], crop["step"]) == ((769, 769), (0.7, 2.1), 0.1)
    isda, second = slot_of(found.loss, "pixel_isda"), slot_of(found.loss, "auxiliary")
    assert (isda["strength"], isda["resolution"], isda["power"]) == (7.5, "low", 1.0)
    assert (second["weight"], second["loss"]) == (0.4, (isda,))
    assert slot_of(runs["cross_entropy"].loss, "auxiliary")["loss"] == ()
    assert (found.model.refine, found.model.depth, found.task.window) == (False, 101, (769, 769))


@pytest.mark.slow
@pytest.mark.parametrize("row", ["pspnet", "deeplab_v3"])
def test_isda_cityscapes_config_trains_on_scenes(tmp_path, row):
    """From files laid out as Cityscapes to a mIoU of its 19 classes; a small network and window, two epochs."""
    write_cityscapes(tmp_path / "tree", shape=(32, 64), train=8, val=3)
    config = expand(module_of("isda_cityscapes").get_config(row))["isda"]
    config.update({"epochs": 2, "batch_size": 4, "eval_every": 1, "eval_batch_size": 2})
    config.data.update(path=str(tmp_path / "tree"), directory=str(tmp_path))
    config.augment.train[0]["size"] = config.task.window = (33, 33)
    config.model.update(depth=14, width=4, features=8, auxiliary_features=8)
    result = trainer.train_and_evaluate(config, tmp_path / "run")
    assert 0 <= result["test_miou"] <= 1
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [2, 4]


@pytest.mark.slow
@pytest.mark.parametrize("row", ["pspnet", "deeplab_v3"])
def test_isda_cityscapes_config_fits_its_images(tmp_path, row):
    """At full size, shapes alone: 8 images of 2,048 x 1,024, the networks of 101 layers, one step and an evaluation."""
    write_cityscapes(tmp_path / "tree", shape=(1024, 2048), train=8, val=1)
    config = expand(module_of("isda_cityscapes").get_config(row))["isda"]
    config.data.update(path=str(tmp_path / "tree"), directory=str(tmp_path))
    found = build_experiment(config)
    state, shape = found.abstract_state(), (8, 1024, 2048)
    of = [((*shape, 3), "uint8"), (shape, "int32"), (shape[:1], "int32")]
    batch = Batch(*(jax.ShapeDtypeStruct(*one) for one in of))
    after, _ = jax.eval_shape(found.train_step, state, batch)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    statistics = after.loss_state
    assert statistics["pixel_isda"].covariance.shape == statistics["auxiliary"]["pixel_isda"].covariance.shape
    assert statistics["pixel_isda"].covariance.shape == (19, 512)
    assert jax.eval_shape(found.predict, state, batch).logits.shape == (*shape, 19)


def test_cifar_config_trains_on_the_official_archive(tmp_path, monkeypatch):
    """From CIFAR's own tarball (a small copy) to a test accuracy; only the network and the counts are small."""
    folder = tmp_path / "cifar10"
    write_archives("cifar10", folder)
    register(monkeypatch, "cifar10", folder)
    config = module_of("isda_cifar").get_config("resnet-32")
    config.update({"batch_size": 50, "epochs": 1, "eval_batch_size": 100, "data": {"directory": str(tmp_path)}})
    config.model = {"name": "convnet", "widths": (8, 16)}
    result = trainer.train_and_evaluate(config, tmp_path / "run")
    assert 0 <= result["test_top1"] <= 1
    record = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())
    assert record["step"] == 4

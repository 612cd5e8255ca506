"""Parts of a config that make no sense together are told before anything is computed."""

import logging

import pytest
from helpers.road_scenes import write_cityscapes
from helpers.settings import module_of, tiny_config

from jaxaug import augment, losses, policies
from jaxaug.core.errors import UsageError
from jaxaug.core.types import LossTransform
from jaxaug.tasks.classification import Classification
from jaxaug.tasks.self_supervised.simsiam import SimSiam
from jaxaug.train.config import default_config, expand
from jaxaug.train.contradictions import check_parts
from jaxaug.train.experiment import build_experiment

UNKNOWN = losses.stateless(lambda inputs: inputs)


class OwnTask:
    """A task that does not say what it reads."""


class Mixing(OwnTask):
    reads = frozenset({"mix_ratio"})


@pytest.mark.fault("images mixed by {name}, labels not", "refused when the experiment is built, naming what is missing")
@pytest.mark.parametrize("name", ["mixup", "cutmix"])
@pytest.mark.parametrize("stage", ["train", "after"])
@pytest.mark.parametrize("loss", [(), ("label_smoothing", "isda")])
def test_mixing_without_its_loss(name, stage, loss):
    config = tiny_config()
    config.augment[stage] = (*config.augment[stage], name)
    config.loss = loss
    with pytest.raises(
        UsageError, match=rf"config\.augment: '{name}' mixes images, .*\"mixed_targets\" to config\.loss"
    ):
        build_experiment(config)


@pytest.mark.parametrize(
    ("loss", "task"),
    [
        (losses.chain(losses.mixed_targets(), losses.isda()), Classification()),
        (losses.chain(losses.isda(), UNKNOWN), Classification()),
        (losses.chain(), OwnTask()),
        (losses.chain(), Mixing()),
    ],
)
def test_mixing_that_is_known_of(loss: LossTransform, task):
    check_parts([augment.flip(), augment.mixup()], loss, task)


def test_other_parts():
    """Functions and policies say nothing of mixing."""
    check_parts(
        [lambda key, batch, shared, progress: batch, policies.trivialaugment()], losses.chain(), Classification()
    )


@pytest.mark.parametrize(
    ("loss", "transform", "told"),
    [
        (losses.chain(), augment.soft_crop(), True),
        (losses.chain(), augment.policy(softens=("all",)), True),
        (losses.chain(), augment.soft_crop(soften=False), False),
        (losses.chain(losses.soft_targets()), augment.soft_crop(), False),
        (losses.chain(UNKNOWN), augment.soft_crop(), False),
    ],
)
def test_a_visibility_that_nothing_reads(loss, transform, told, caplog):
    """A warning: it is the hard crop that soft crops are compared to."""
    with caplog.at_level(logging.WARNING):
        check_parts([transform], loss, Classification())
    assert told == ("add 'soft_targets' to config.loss" in caplog.text)


@pytest.mark.parametrize(
    ("softening", "soften", "told"), [("none", False, False), ("weight", True, False), ("target", False, True)]
)
def test_a_softening_by_what_nothing_hides(softening, soften, told, caplog):
    with caplog.at_level(logging.WARNING):
        check_parts([augment.soft_crop(soften=soften)], losses.chain(), SimSiam(softening=softening))
    assert told == ("set softening='none'" in caplog.text)


def test_contradictions_inside_of_a_chain():
    config = tiny_config()
    config.augment.train = ("mixup",)
    config.loss = ("mixed_targets", "learned_targets")
    with pytest.raises(UsageError, match=r"config\.loss: chain: 'learned_targets' makes the targets anew"):
        build_experiment(config)


@pytest.fixture
def scenes(tmp_path):
    """A config of small label maps."""
    write_cityscapes(tmp_path / "tree", shape=(8, 16), train=4, val=1)
    config = default_config()
    config.update({"epochs": 1, "batch_size": 2, "eval_batch_size": 1})
    config.task, config.model = {"name": "segmentation"}, {"name": "fcn", "widths": (2, 2, 2)}
    config.data = {"name": "cityscapes", "path": str(tmp_path / "tree"), "directory": str(tmp_path)}
    return config


def test_what_is_learned_of_rows_with_label_maps(scenes):
    scenes.loss = ("learned_weights",)
    scenes.data.validation_size = 2
    scenes.search = {"name": "autodo", "batch_size": 2, "validation_batch_size": 2, "start": 0}
    with pytest.raises(UsageError, match="weight would be learned for each row, cityscapes has label maps"):
        build_experiment(scenes)


def test_a_search_beside_an_objective_of_another_kind():
    """Its hypergradients would be those of the classification loss, whatever the network is trained by."""
    config = expand(module_of("softaug_simsiam").get_config("small"))["soft"]
    config.data = {"name": "digits", "validation_size": 100}
    config.search = {"name": "autodo", "start": 0}
    config.augment.train = ({"name": "affine", "learned": "shared"},)
    with pytest.raises(UsageError, match=r"config\.search: the task trains by an objective of its own"):
        build_experiment(config)

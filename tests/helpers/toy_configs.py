"""Configs at toy size: the data's kind, the network's family and the recipe stay, and each is as small as it can be.

The rule, whatever the config:

- data: a small copy in the files that the set is published in, of its image shape; photographs of every size are cut to
  32 x 32, label maps are 24 x 48; digits are the built-in ones. Cuts and counts of rows shrink with them, and
  an imbalance of 100 to 1 is one of 10 to 1.
- network: of the same family, with the least depth and width that it allows (`NETWORKS`).
- training: two epochs of batches of 8, both evaluated; a warm-up takes one epoch at most. ISDA's strength, which grows
  by epochs, is then not 0 in the second, and crops that close do so in the second alone.
- search: from the first step on; where it has updates, one of each of two layers, of operations at two levels.
- all else, losses, policies, rates and schedules, is the config's own.
"""

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from helpers import published_data
from helpers.photographs import write_photographs
from helpers.road_scenes import IDS, scene, write_cityscapes
from jaxaug import models
from jaxaug.models import weights
from jaxaug.models.published import PUBLISHED
from jaxaug.train.config import complete, expand

EPOCHS, ROWS, SIDE, CLASSES = 2, 8, 32, ("ant", "bee", "cat")
SCENES = (24, 48)
# Family -> its options at toy size; of ResNet's with ImageNet's stem 18 is the least depth.
NETWORKS = {
    "convnet": {"widths": (4, 8)},
    "resnet": {"depth": 8},
    "wide_resnet": {"depth": 10, "widen_factor": 1},
    "resnext": {"depth": 11, "cardinality": 2, "base_width": 4},
    "densenet": {"depth": 10, "growth_rate": 4},
    "shake_shake": {"depth": 8, "width": 4},
    "shake_resnext": {"depth": 11, "cardinality": 2, "base_width": 4},
    "pyramidnet": {"depth": 11, "alpha": 12},
    "vit": {"depth": 1, "width": 16, "num_heads": 2},
    "convnext": {"blocks": (1, 1, 1, 1), "widths": (4, 8, 8, 8)},
    "fcn": {"widths": (4, 8, 8)},
    "pspnet": {"depth": 14, "width": 4, "features": 8, "auxiliary_features": 8},
    "deeplab_v3": {"depth": 14, "width": 4, "features": 8, "auxiliary_features": 8},
}
LARGE_STEM = {"resnet": {"depth": 18}}
TASKS = {"unlabelled_batch_size": ROWS, "projector": (8, 8), "predictor": 4, "neighbours": 5, "window": (16, 24)}
SEARCHES = {
    "start": 0,
    "batch_size": ROWS,
    "validation_batch_size": ROWS,
    "pool": 24,
    "num_layers": 2,
    "updates": 1,
    "images": 2,
    "validation": 2,
    "copies": 1,
    "factor": 1,
    "chunk": 1,
    "levels": 2,
}
MOST_IMBALANCE = 10.0
# Options of data that count rows.
COUNTS = {"train_size": 100, "validation_size": 32, "labels_per_class": 2}


def toy_config(config, variant, folder, monkeypatch):
    """A variant of a config with every option, at toy size, its data and weights written into `folder`."""
    found = complete(expand(config)[variant])
    found.update({"epochs": EPOCHS, "eval_every": 1, "save_every": EPOCHS, "log_every": 1})
    found.update({"batch_size": ROWS, "eval_batch_size": 64})
    found.model = toy_network(found.model.to_dict())
    for slot, sizes in ((found.data, COUNTS), (found.task, TASKS), (found.search, SEARCHES)):
        slot.update({name: size for name, size in sizes.items() if slot.get(name)})
    found.data.imbalance = min(found.data.imbalance, MOST_IMBALANCE)
    if "start" in found.search:
        found.search.start = 0
    for schedule in (found.optim.schedule, found.search.get("optim", {}).get("schedule", {})):
        if schedule.get("warmup"):
            schedule.warmup = min(schedule.warmup, 1.0)
    for stage in ("train", "after"):
        found.augment[stage] = tuple(_toy_transform(slot) for slot in found.augment[stage])
    with found.unlocked(), found.ignore_type():
        _toy_data(found, folder, monkeypatch)
        if found.init_from.path:
            found.init_from.path = str(_write_weights(found, folder / "begun.npz"))
    return found


def toy_network(slot):
    """The slot of a network of the same family, with the least depth and width."""
    name, options = slot["name"], {key: value for key, value in slot.items() if key != "name"}
    if name in PUBLISHED:
        family, chosen = PUBLISHED[name]
        name, options = family.__name__.lower(), {**chosen, **options}
    large = LARGE_STEM.get(name, {}) if options.get("stem") == "imagenet" else {}
    return ConfigDict({"name": name, **options, **NETWORKS[name], **large})


def _toy_transform(slot):
    if slot["name"] == "random_scale_and_crop":
        return {**slot, "size": (16, 32)}
    return {**slot, "closing": min(slot["closing"], 1)} if "closing" in slot else slot


def _toy_data(config, folder, monkeypatch):
    """Write the data set and say where it is."""
    data = config.data
    data.directory = str(folder)
    if data.name in published_data.STOCK:
        (_, label), _ = published_data.write_archives(data.name, folder / data.name)
        published_data.register(monkeypatch, data.name, folder / data.name)
        if data.get("labels"):
            data.labels = str(folder / "labels.npy")
            np.save(data.labels, np.where(np.arange(len(label)) % 3, label, 0))
    elif data.name == "digits":
        data.train_size = 200
    else:
        data.path = str(folder / "data")
        WRITERS[data.name](config, folder / "data")


def _write_photographs(config, path):
    write_photographs(path / "train", CLASSES, 24)
    write_photographs(path / "val", CLASSES, 4, first=100)
    config.data.size = SIDE + 4 if config.augment.size else SIDE
    config.augment.size = min(config.augment.size, SIDE)
    if config.data.get("resize"):
        config.data.resize = config.data.size


def _write_arrays(config, path):
    (train, label), (test, test_label) = published_data.rows_of("mnist")
    config.data.path = f"{path}.npz"
    np.savez(config.data.path, train_image=train, train_label=label, test_image=test, test_label=test_label)
    config.data.validation_size = COUNTS["validation_size"]


def _write_label_maps(config, path):
    """Scenes with their classes numbered from 0, and the config's number for void pixels."""
    numbers = np.zeros(256, np.uint8)
    for number, id in enumerate(IDS.values()):
        numbers[id] = number if id else config.data.void[0]
    for split, count in (("train", 16), ("val", 3), ("test", 3)):
        for row in range(count):
            image, label = scene(100 * len(split) + row, SCENES)
            for kind, array in (("images", image), ("labels", numbers[label])):
                (path / kind / split).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(path / kind / split / f"{row}.png")
    config.data.size = SCENES


def _write_cityscapes(config, path):
    write_cityscapes(path, SCENES, train=16, val=3)


WRITERS = {
    "imagenet": _write_photographs,
    "folder": _write_photographs,
    "npz": _write_arrays,
    "label_maps": _write_label_maps,
    "cityscapes": _write_cityscapes,
}


def _write_weights(config, path):
    """Of the config's network, trained for other classes."""
    import jax

    shape = (SIDE, SIDE, 3)
    model = models.create(**config.model.to_dict(), num_classes=5)
    weights.save(path, *models.init_model(model, jax.random.key(1), shape))
    return path

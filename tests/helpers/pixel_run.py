"""A finished run of a second with label maps: patches of three colors, which a network of one layer tells apart."""

import flax.linen as nn
import numpy as np

from jaxaug.core.registry import register

SHAPE = (12, 16)
NAMES = ("0", "1", "2")  # as an .npz has them


@register("model", "helpers.pixel_run.pixels")
class Pixels(nn.Module):
    """Features at half the size, and a head for each of them."""

    num_classes: int

    @nn.compact
    def __call__(self, image, train):
        features = nn.relu(nn.Conv(6, (2, 2), strides=2)(image))
        return features, nn.Dense(self.num_classes, name="head")(features)


def patches(rows, seed, shape=SHAPE):
    """(images uint8 [N H W 3], label maps int32 [N H W]): patches of four pixels, reddish, greenish or bluish; the
    first row of pixels has no class."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (rows, *(-(-side // 4) for side in shape)))
    label = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, : shape[0], : shape[1]].astype(np.int32)
    image = rng.integers(0, 60, (*label.shape, 3)).astype(np.uint8)
    image[np.arange(3) == label[..., None]] += 160
    label[:, 0] = -1
    return image, label


def train_pixels(folder, **changes):
    """Train it on 48 images; the run is in folder / "run". Returns that folder."""
    from jaxaug.train import train_and_evaluate
    from jaxaug.train.config import default_config

    arrays = {}
    for seed, (split, rows) in enumerate({"train": 48, "test": 8}.items()):
        arrays[f"{split}_image"], arrays[f"{split}_label"] = patches(rows, seed)
    np.savez(folder / "patches.npz", **arrays)
    config = default_config()
    config.update({"epochs": 8, "save_every": 8, "eval_every": 8, "batch_size": 8, "eval_batch_size": 8})
    config.task, config.model = {"name": "segmentation"}, {"name": "helpers.pixel_run.pixels"}
    config.data = {"name": "npz", "path": str(folder / "patches.npz"), "num_classes": 3}
    config.optim.learning_rate = 0.3
    config.update(changes)
    train_and_evaluate(config, folder / "run")
    return folder / "run"

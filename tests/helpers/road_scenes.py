"""Small folders laid out as Cityscapes is: scenes of a sky, a road and a box or two, which a network can learn."""

import sys

sys.path.insert(0, "tests")  # for the command, which is started in the root of the project

import flax.linen as nn
import numpy as np
from PIL import Image

IDS = {"sky": 23, "road": 7, "car": 26, "person": 24, "void": 0}
COLORS = {
    "sky": (90, 140, 220),
    "road": (90, 90, 90),
    "car": (200, 40, 40),
    "person": (220, 190, 60),
    "void": (0, 0, 0),
}


def scene(seed, shape=(24, 48)):
    """(image uint8 [H W 3], label ids uint8 [H W])."""
    random = np.random.default_rng(seed)
    height, width = shape
    parts = [("sky", 0, random.integers(height // 4, height // 2), 0, width), ("void", height - 2, height, 0, width)]
    for name in ("car", "person"):
        top, left = random.integers(height // 4, height // 2), random.integers(0, width // 2)
        parts.append((name, top, top + height // 3, left, left + width // 5))
    label, image = np.full(shape, IDS["road"], np.uint8), np.full((*shape, 3), COLORS["road"], np.uint8)
    for name, top, bottom, left, right in parts:
        label[top:bottom, left:right], image[top:bottom, left:right] = IDS[name], COLORS[name]
    noise = random.integers(-10, 11, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), label


def write_cityscapes(root, shape=(24, 48), ending="_gtFine_labelIds", **rows):
    """Write so many scenes of each split in two cities; returns the label maps' paths by split."""
    written = {}
    for split, count in rows.items():
        written[split] = []
        for row in range(count):
            city = ("aachen", "bonn")[row % 2]
            image, label = scene(1000 * len(split) + row, shape)
            image_folder, label_folder = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
            for folder in (image_folder, label_folder):
                folder.mkdir(parents=True, exist_ok=True)
            stem = f"{city}_{row:06d}_000019"
            Image.fromarray(image).save(image_folder / f"{stem}_leftImg8bit.png")
            written[split].append(label_folder / f"{stem}{ending}.png")
            Image.fromarray(label).save(written[split][-1])
    return written


class TwoHeads(nn.Module):
    """Two strided convolutions, each with a head: a network that compiles in seconds."""

    num_classes: int

    @nn.compact
    def __call__(self, image, train):
        def strided(maps):
            maps = nn.Conv(6, (3, 3), strides=2, use_bias=False)(maps)
            return nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(maps))

        middle = strided(image)
        features = strided(middle)
        found = features, nn.Dense(self.num_classes, name="head")(features)
        second = middle, nn.Dense(self.num_classes, name="auxiliary_head")(middle)
        return (*found, second) if train or self.is_initializing() else found


def get_config(root):
    """A training of seconds on scenes below a folder: ISDA on both heads, files decoded as it goes.

    Also for the command: `--config=tests/helpers/road_scenes.py:ROOT`.
    """
    from jaxaug.train.config import default_config

    config = default_config()
    config.update(
        {"epochs": 4, "batch_size": 4, "eval_batch_size": 2, "eval_every": 2, "save_every": 1, "log_every": 1}
    )
    config.task, config.model = {"name": "segmentation"}, {"name": "helpers.road_scenes.TwoHeads"}
    config.data = {"name": "cityscapes", "path": f"{root}/tree", "directory": str(root)}
    crop = {"name": "random_scale_and_crop", "size": (24, 32), "scale": (0.7, 1.5), "step": 0.1}
    config.augment.train = (crop, "flip")
    isda = {"name": "pixel_isda", "strength": 1.0}
    config.loss = (isda, {"name": "auxiliary", "loss": (isda,)})
    config.optim.learning_rate = 0.05
    return config

"""timm's RandAugment(2, 9) on PIL images: its 15 operations, nearest neighbour, every drawn operation applied."""

import random

import numpy as np

PACKAGES = ("timm", "pillow")


def make(size):
    from PIL import Image
    from timm.data.auto_augment import rand_augment_transform

    augment = rand_augment_transform("rand-m9-n2-inc1-p1.0", {"interpolation": Image.Resampling.NEAREST})

    def call(images, seed):
        random.seed(seed)
        np.random.seed(seed)
        return np.stack([np.asarray(augment(Image.fromarray(image))) for image in images])

    return call

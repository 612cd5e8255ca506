"""albumentations, which has no RandAugment: OneOf the 14 operations, twice, image by image."""

import os

import numpy as np

from augmentation import operations

PACKAGES = ("albumentations", "opencv-python-headless")


def make(size):
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    magnitude = operations.magnitudes(size)
    slope, pixels, angle = np.degrees(np.arctan(magnitude["shear_x"])), magnitude["translate_x"], magnitude["rotate"]
    factors = (1 - magnitude["color"], 1 + magnitude["color"])
    still = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1), "hue": (0, 0), "p": 1}
    enhancers = [albumentations.ColorJitter(**{**still, k: factors}) for k in ("brightness", "saturation", "contrast")]

    def warp(**options):
        return albumentations.Affine(interpolation=0, p=1, **options)

    def one_of():
        return albumentations.OneOf(
            [
                albumentations.NoOp(p=1),
                warp(shear={"x": (-slope, slope), "y": (0, 0)}),
                warp(shear={"x": (0, 0), "y": (-slope, slope)}),
                warp(translate_px={"x": (-int(pixels), int(pixels)), "y": (0, 0)}),
                warp(translate_px={"x": (0, 0), "y": (-int(pixels), int(pixels))}),
                albumentations.Rotate((-angle, angle), interpolation=0, p=1),
                *enhancers,
                albumentations.Sharpen(alpha=(0.1, 0.3), p=1),
                albumentations.Posterize(operations.POSTERIZE_BITS, p=1),
                albumentations.Solarize((magnitude["solarize"] / 255,) * 2, p=1),
                albumentations.AutoContrast(p=1),
                albumentations.Equalize(p=1),
            ],
            p=1,
        )

    augment = albumentations.Compose([one_of() for _ in range(operations.LAYERS)])

    def call(images, seed):
        augment.set_random_seed(seed)
        return np.stack([augment(image=image)["image"] for image in images])

    return call

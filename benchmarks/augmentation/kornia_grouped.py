"""kornia's functions, each called once a layer for the images that drew it: its best path to operations per image.

The grouping is written here; kornia has none. The five warps are one group, because their function is one.
"""

import numpy as np

from augmentation import operations

PACKAGES = ("kornia", "torch")
WARPS = operations.NAMES[1:6]


def table(size):
    """By name: operation(images, factors = 1 + signed magnitude) -> images, all float32 [B 3 H W] on 0..1."""
    from kornia import enhance

    threshold = operations.magnitudes(size)["solarize"] / 255
    return {
        "brightness": enhance.adjust_brightness_accumulative,
        "color": enhance.adjust_saturation_with_gray_subtraction,
        "contrast": enhance.adjust_contrast_with_mean_subtraction,
        "sharpness": enhance.sharpness,
        "posterize": lambda images, _: enhance.posterize(images, operations.POSTERIZE_BITS),
        "solarize": lambda images, _: enhance.solarize(images, threshold),
        "auto_contrast": lambda images, _: enhance.normalize_min_max(images),
        "equalize": lambda images, _: enhance.equalize(images),
    }


def matrices(size, chosen, signs):
    """[B 2 3] forward matrices of the warps that `chosen` names."""
    magnitude = operations.magnitudes(size)
    amount = np.array([magnitude[name] for name in operations.NAMES])[chosen] * signs
    shear_x, shear_y, move_x, move_y, angle = (amount * (chosen == operations.NAMES.index(name)) for name in WARPS)
    cosine, sine, middle = np.cos(np.radians(angle)), np.sin(np.radians(angle)), (size - 1) / 2
    first = [cosine, sine - shear_x, middle * (1 - cosine - sine) - move_x]
    second = [-sine - shear_y, cosine, middle * (1 - cosine + sine) - move_y]
    return np.stack([np.stack(first, -1), np.stack(second, -1)], 1).astype(np.float32)


def make(size, threads):
    import torch
    from kornia.geometry.transform import warp_affine

    torch.set_num_threads(threads)
    functions = table(size)
    magnitude = operations.magnitudes(size)

    def layer(batch, chosen, signs):
        out = batch.clone()
        rows = np.flatnonzero(np.isin(chosen, [operations.NAMES.index(name) for name in WARPS]))
        if len(rows):
            moves = torch.from_numpy(matrices(size, chosen[rows], signs[rows]))
            out[rows] = warp_affine(batch[rows], moves, (size, size), mode="nearest")
        for name, function in functions.items():
            rows = np.flatnonzero(chosen == operations.NAMES.index(name))
            if len(rows):
                factors = torch.from_numpy((1 + magnitude[name] * signs[rows]).astype(np.float32))
                out[rows] = function(batch[rows], factors)
        return out

    @torch.inference_mode()
    def call(images, seed):
        chosen, signs = operations.draw(seed, len(images))
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
        for i in range(operations.LAYERS):
            batch = layer(batch, chosen[:, i], signs[:, i])
        return np.ascontiguousarray((batch.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())

    return call

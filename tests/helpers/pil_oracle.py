"""Every operation as PIL itself does it, one image at a time: what the exact numbers must equal."""

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

COVER = (125, 123, 114)


def affine(*matrix):
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix)


def scaled(image, x, y):
    """Enlarged about the centre."""
    return affine(1 / x, 0, image.width / 2 * (1 - 1 / x), 0, 1 / y, image.height / 2 * (1 - 1 / y))(image)


def cover_of(image):
    """The cover as a color of that mode; RGBA has none, and shows nothing instead."""
    if image.mode == "RGBA":
        return (0, 0, 0, 0)
    return COVER if image.mode == "RGB" else Image.new("RGB", (1, 1), COVER).convert("L").getpixel((0, 0))


def rectangle(image, box):
    image = image.copy()
    ImageDraw.Draw(image).rectangle(box, cover_of(image))
    return image


def cutout(image, value, random):
    """Fast AutoAugment: the corner is cut off at the image's edge, the far side counts from it."""
    if value <= 0:
        return image
    left, top = (int(max(0, u * side - value / 2)) for u, side in zip(random, image.size, strict=False))
    return rectangle(image, (left, top, min(image.width, left + value), min(image.height, top + value)))


def around(image, value, x, y):
    """DeepAA: both sides count from the centre."""
    if value <= 0:
        return image
    box = (
        max(0, x - value / 2),
        max(0, y - value / 2),
        min(image.width, x + value / 2),
        min(image.height, y + value / 2),
    )
    return rectangle(image, tuple(int(edge) for edge in box))


def padded_crop(image, padding, random):
    top, left = (int(u * (2 * padding + 1)) for u in random[:2])
    wide = ImageOps.expand(image, int(padding), cover_of(image))
    return wide.crop((left, top, left + image.width, top + image.height))


OPS = {
    "Identity": lambda image, v, r: image,
    "ShearX": lambda image, v, r: affine(1, v, 0, 0, 1, 0)(image),
    "ShearY": lambda image, v, r: affine(1, 0, 0, v, 1, 0)(image),
    "TranslateX": lambda image, v, r: affine(1, 0, v * image.width, 0, 1, 0)(image),
    "TranslateY": lambda image, v, r: affine(1, 0, 0, 0, 1, v * image.height)(image),
    "TranslateXAbs": lambda image, v, r: affine(1, 0, v, 0, 1, 0)(image),
    "TranslateYAbs": lambda image, v, r: affine(1, 0, 0, 0, 1, v)(image),
    "ShiftX": lambda image, v, r: affine(1, 0, -int(v * image.width), 0, 1, 0)(image),
    "ShiftY": lambda image, v, r: affine(1, 0, 0, 0, 1, -int(v * image.height))(image),
    "Rotate": lambda image, v, r: image.rotate(v),
    "ScaleX": lambda image, v, r: scaled(image, v, 1.0),
    "ScaleY": lambda image, v, r: scaled(image, 1.0, v),
    "Flip": lambda image, v, r: ImageOps.mirror(image),
    "FlipVertical": lambda image, v, r: ImageOps.flip(image),
    "RandFlip": lambda image, v, r: ImageOps.mirror(image) if r[0] > 0.5 else image,
    "RandCrop": padded_crop,
    "AutoContrast": lambda image, v, r: ImageOps.autocontrast(image),
    "Invert": lambda image, v, r: ImageOps.invert(image),
    "Equalize": lambda image, v, r: ImageOps.equalize(image),
    "Solarize": lambda image, v, r: ImageOps.solarize(image, v),
    "Posterize": lambda image, v, r: ImageOps.posterize(image, int(v)),
    "Contrast": lambda image, v, r: ImageEnhance.Contrast(image).enhance(v),
    "Color": lambda image, v, r: ImageEnhance.Color(image).enhance(v),
    "Brightness": lambda image, v, r: ImageEnhance.Brightness(image).enhance(v),
    "Sharpness": lambda image, v, r: ImageEnhance.Sharpness(image).enhance(v),
    "Cutout": lambda image, v, r: cutout(image, v * image.width, r),
    "CutoutAbs": cutout,
    "RandCutout": lambda image, v, r: around(image, v, r[0] * image.width, r[1] * image.height),
    "RandCutout60": lambda image, v, r: around(image, v, r[0] * image.width, r[1] * image.height),
}


def apply(name, image, value, random=(0.5, 0.5)):
    """The op on a uint8 array [H W C], C 1, 3 or 4."""
    image = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    result = np.asarray(OPS[name](image, float(value), [float(u) for u in random]))
    return result[..., None] if result.ndim == 2 else result

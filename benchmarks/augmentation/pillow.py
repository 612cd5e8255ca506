"""PIL, image by image, nearest neighbour: what a data loader's worker does."""

import concurrent.futures
import itertools

import numpy as np

from augmentation import operations

PACKAGES = ("pillow",)


def table(size):
    """By index into operations.NAMES: operation(image, sign) -> image."""
    from PIL import Image, ImageEnhance, ImageOps

    magnitude = operations.magnitudes(size)

    def warp(name, coefficients):
        def operation(image, sign):
            matrix = coefficients(sign * magnitude[name])
            return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)

        return operation

    def enhance(name, enhancer):
        return lambda image, sign: enhancer(image).enhance(1 + sign * magnitude[name])

    functions = {
        "identity": lambda image, sign: image,
        "shear_x": warp("shear_x", lambda m: (1, m, 0, 0, 1, 0)),
        "shear_y": warp("shear_y", lambda m: (1, 0, 0, m, 1, 0)),
        "translate_x": warp("translate_x", lambda m: (1, 0, m, 0, 1, 0)),
        "translate_y": warp("translate_y", lambda m: (1, 0, 0, 0, 1, m)),
        "rotate": lambda image, sign: image.rotate(sign * magnitude["rotate"], Image.Resampling.NEAREST),
        "brightness": enhance("brightness", ImageEnhance.Brightness),
        "color": enhance("color", ImageEnhance.Color),
        "contrast": enhance("contrast", ImageEnhance.Contrast),
        "sharpness": enhance("sharpness", ImageEnhance.Sharpness),
        "posterize": lambda image, sign: ImageOps.posterize(image, magnitude["posterize"]),
        "solarize": lambda image, sign: ImageOps.solarize(image, magnitude["solarize"]),
        "auto_contrast": lambda image, sign: ImageOps.autocontrast(image),
        "equalize": lambda image, sign: ImageOps.equalize(image),
    }
    return [functions[name] for name in operations.NAMES]


def make(size, threads=1):
    """Threads share the batch in equal parts; PIL lets go of the interpreter's lock inside its loops."""
    from PIL import Image

    functions = table(size)
    pool = concurrent.futures.ThreadPoolExecutor(threads)

    def part(images, chosen, signs, out):
        for row in range(len(images)):
            image = Image.fromarray(images[row])
            for index, sign in zip(chosen[row], signs[row], strict=True):
                image = functions[index](image, sign)
            out[row] = image

    def call(images, seed):
        chosen, signs = operations.draw(seed, len(images))
        chosen, signs, out = chosen.tolist(), signs.tolist(), np.empty_like(images)
        if threads == 1:
            part(images, chosen, signs, out)
            return out
        edges = [len(images) * i // threads for i in range(threads + 1)]
        slices = [slice(*edge) for edge in itertools.pairwise(edges)]
        list(pool.map(lambda s: part(images[s], chosen[s], signs[s], out[s]), slices))
        return out

    return call

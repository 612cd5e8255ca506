"""dm-pix, which has single operations only: lax.map over the images with a lax.switch over its ten."""

import numpy as np

from augmentation import operations

PACKAGES = ("dm-pix", "jax")
NAMES = (*operations.NAMES[:9], "solarize")


def table(size):
    """By index into NAMES: operation(image, sign) -> image, float32 [H W 3] on 0..1."""
    import dm_pix
    import jax.numpy as jnp

    magnitude = operations.magnitudes(size)

    def warp(name, row, column):
        def operation(image, sign):
            matrix = jnp.eye(4).at[row, column].set(sign * magnitude[name])
            return dm_pix.affine_transform(image, matrix, order=0, mode="constant")

        return operation

    def enhance(name, function):
        return lambda image, sign: function(image, 1 + sign * magnitude[name])

    def rotate(image, sign):
        return dm_pix.rotate(image, jnp.radians(sign * magnitude["rotate"]), order=0, mode="constant")

    functions = {
        "identity": lambda image, sign: image,
        "shear_x": warp("shear_x", 1, 0),
        "shear_y": warp("shear_y", 0, 1),
        "translate_x": warp("translate_x", 1, 3),
        "translate_y": warp("translate_y", 0, 3),
        "rotate": rotate,
        "brightness": lambda image, sign: dm_pix.adjust_brightness(image, sign * magnitude["brightness"]),
        "color": enhance("color", dm_pix.adjust_saturation),
        "contrast": enhance("contrast", dm_pix.adjust_contrast),
        "solarize": lambda image, sign: dm_pix.solarize(image, magnitude["solarize"] / 255),
    }
    return [functions[name] for name in NAMES]


def make(size):
    import jax
    import jax.numpy as jnp

    functions = table(size)

    def one(row):
        image, chosen, signs = row
        image = image.astype(jnp.float32) / 255
        for i in range(operations.LAYERS):
            image = jax.lax.switch(chosen[i], functions, image, signs[i])
        return jnp.round(jnp.clip(image, 0, 1) * 255).astype(jnp.uint8)

    augment = jax.jit(lambda rows: jax.lax.map(one, rows))

    def call(images, seed):
        chosen, signs = operations.draw(seed, len(images), NAMES)
        return np.asarray(augment((images, chosen.astype(np.int32), signs.astype(np.float32))))

    return call

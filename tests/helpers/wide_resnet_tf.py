"""The WRN-10-1 of DeepAA's search with the parameters of the golden file: a function of a flat dict of arrays."""

import jax
import jax.numpy as jnp

EPSILON = 1e-3  # of BatchNorm
# convolutions of each block: (first, second with the stride, shortcut or None), its stride
BLOCKS = ((1, 2, None, 1), (3, 4, 5, 2), (6, 7, 8, 2))


def params_of(golden):
    """{"conv2d_1/kernel": ..., "sync_batch_normalization/gamma": ...} of the golden file."""
    return {key[len("model/") : -2]: golden[key] for key in golden.files if key.startswith("model/")}


def trainable(params):
    return {key: x for key, x in params.items() if "normalization" not in key}


def logits(params, image):
    """[B 32 32 3], normalised -> [B 10]; BatchNorm by its running statistics."""

    def conv(number, x, stride=1):
        name = f"conv2d_{number}" if number else "conv2d"
        window = (stride, stride)
        x = jax.lax.conv_general_dilated(
            x, params[f"{name}/kernel"], window, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return x + params[f"{name}/bias"]

    def norm(number, x):
        name = f"sync_batch_normalization_{number}" if number else "sync_batch_normalization"
        scale = params[f"{name}/gamma"] / jnp.sqrt(params[f"{name}/moving_variance"] + EPSILON)
        return jax.nn.relu((x - params[f"{name}/moving_mean"]) * scale + params[f"{name}/beta"])

    x = conv(0, image)
    for block, (first, second, shortcut, stride) in enumerate(BLOCKS):
        inner = conv(first, norm(2 * block, x))
        inner = conv(second, norm(2 * block + 1, inner), stride)
        x = inner + (x if shortcut is None else conv(shortcut, x, stride))
    return norm(6, x).mean(axis=(1, 2)) @ params["dense/kernel"] + params["dense/bias"]

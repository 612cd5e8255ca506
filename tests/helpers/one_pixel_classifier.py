"""A classifier that looks at one pixel, images that it classifies without an error, and these under a protocol."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug import data
from jaxaug.core.types import ModelOutput

ROWS = 301
PIXEL = (3, 4)


def images_of(rows, shape=(8, 8, 1), seed=0):
    """Images whose pixel PIXEL is the row's own gray level, 128..255, and the label 1 of each."""
    image = np.random.default_rng(seed).integers(1, 255, (rows, *shape)).astype(np.uint8)
    image[:, *PIXEL] = 128 + np.arange(rows)[:, None] % 128
    return image, np.ones(rows, np.int64)


def small(name="small", shape=(8, 8, 1), rows=ROWS):
    one = images_of(rows, shape)
    return data.assemble(name, one, one, num_classes=2, class_names=("dark", "light"))


def one_pixel(state, batch):
    """Class 1 if the pixel is light; its gray level is in the logits."""
    light = (batch.image[:, *PIXEL].mean(axis=-1) - 127) / 128
    logits = jnp.stack([jnp.zeros_like(light), light], axis=1)
    return ModelOutput(logits, logits, jnp.eye(2), jnp.zeros(2))


def classifier(base, eval_batch_size=64, mesh=None, **changes):
    config = base.config.copy_and_resolve_references()
    config.eval_batch_size = eval_batch_size
    return dataclasses.replace(base, config=config, mesh=mesh or base.mesh, predict=one_pixel, **changes)


def perturbed(protocol, image, strength, seed=0):
    """The images [N H W C] under a protocol, row i with the key that its index has in an evaluation."""
    key = jax.random.key(seed, impl="threefry2x32")
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(image)))
    one = jax.vmap(protocol.perturb, (0, 0, None))
    return np.asarray(one(keys, jnp.asarray(image), jnp.asarray(strength)))

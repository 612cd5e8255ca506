"""What a user hands over, checked before anything is compiled: random keys, images, labels, policies."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.policies.policy import Policy

CHANNELS = (1, 3, 4)  # gray, RGB, RGBA: what an axis of channels looks like


def as_key(name: str, key: Any) -> jax.Array:
    """A random key from a key or an int seed.

    Args:
      name: of the function, for messages.
      key: one key of `jax.random.key` or `jax.random.PRNGKey`, or a whole number, also a traced one.

    Raises:
      UsageError: anything else.
    """
    if isinstance(key, numbers.Integral) and not isinstance(key, bool):
        return jax.random.key(int(key))
    if isinstance(key, jax.Array):
        if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
            if key.ndim == 0:
                return key
            raise UsageError(f"{name}: key must be one key, got {key.shape} of them: take one, or use jax.vmap")
        if key.ndim == 1 and key.dtype == jnp.uint32:
            return key
        if key.ndim == 0 and jnp.issubdtype(key.dtype, jnp.integer):
            return jax.random.key(key)
    if isinstance(key, np.ndarray) and key.dtype == np.uint32 and key.ndim == 1:
        return jnp.asarray(key)
    raise UsageError(f"{name}: key must be a key, such as jax.random.key(0), or a whole number, got {_described(key)}")


def check_images(name: str, images: Any, exact: bool = False) -> None:
    """Raises UsageError unless images are [B H W C], uint8 or, if not `exact`, float; with the remedy."""
    refuse_tensors(name, "images", images)
    shape: tuple[int, ...] = tuple(getattr(images, "shape", ()))
    dtype = getattr(images, "dtype", type(images).__name__)
    fits = len(shape) == 4 and (dtype == jnp.uint8 or (not exact and jnp.issubdtype(dtype, jnp.floating)))
    if not fits:
        wanted = "uint8 [B H W C] (or exact=False)" if exact else "uint8 or float32 [B H W C]"
        raise UsageError(f"{name}: images must be {wanted}, got {dtype} of shape {shape}")
    if dtype == jnp.uint8 and shape[3] not in CHANNELS and shape[1] in CHANNELS:
        raise UsageError(
            f"{name}: images must have channels last, [B H W C], got shape {shape}: use images.transpose(0, 2, 3, 1)"
        )


def check_labels(name: str, labels: Any, images: Any) -> None:
    """Raises UsageError unless labels are whole numbers, [B] or a map [B H W]."""
    refuse_tensors(name, "labels", labels)
    shape, dtype = np.shape(labels), getattr(labels, "dtype", np.dtype(type(labels)))
    if shape not in (images.shape[:1], images.shape[:3]) or not jnp.issubdtype(dtype, jnp.integer):
        raise UsageError(
            f"{name}: labels must be whole numbers of shape {images.shape[:1]}, or maps {images.shape[:3]}, got "
            f"{dtype} of shape {shape}; keep soft labels and others beside: rows stay in their order"
        )


def check_policy(name: str, policy: Any) -> None:
    """Raises UsageError unless it is a Policy; with the remedy."""
    if isinstance(policy, str):
        raise UsageError(f"{name}: policy must be a Policy, got a name: use policies.get({policy!r})")
    if not isinstance(policy, Policy):
        raise UsageError(
            f"{name}: policy must be a Policy, as policies.get and Policy.load give it, got {_described(policy)}"
        )


def refuse_tensors(name: str, what: str, array: Any) -> None:
    """Raises UsageError for tensors of torch and TensorFlow, which JAX cannot trace."""
    if type(array).__module__.split(".")[0] in ("torch", "tensorflow"):
        raise UsageError(
            f"{name}: {what} is a {_described(array)}: pass {what}.numpy(), or use augment.Collate, which takes "
            "tensors and gives tensors"
        )


def _described(thing: Any) -> str:
    module = type(thing).__module__.split(".")[0]
    return type(thing).__name__ if module == "builtins" else f"{module}.{type(thing).__name__}"

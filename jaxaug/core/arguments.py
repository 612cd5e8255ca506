"""What a user hands over to functions on plain arrays, checked when it is traced: random keys, progress, tensors."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.types import Progress

END_OF_SEEDS = 2**32  # JAX makes keys of the lower 32 bits, so that a larger seed would be another one's


def as_key(name: str, key: Any) -> jax.Array:
    """A random key from a key or an int seed.

    Args:
      name: of the function, for messages.
      key: one key of `jax.random.key` or `jax.random.PRNGKey`, or a whole number in 0..2**32 - 1, also a traced one.

    Raises:
      UsageError: anything else.
    """
    if isinstance(key, numbers.Integral) and not isinstance(key, bool):
        check_seed(name, int(key))
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
    raise UsageError(f"{name}: key must be a key, such as jax.random.key(0), or a whole number, got {described(key)}")


def check_seed(name: str, seed: int) -> None:
    """Raises UsageError for a seed outside of 0..2**32 - 1, which would share its random numbers with another one."""
    if not 0 <= seed < END_OF_SEEDS:
        raise UsageError(f"{name}: a seed must be at least 0 and below 2**32, got {seed}")


def as_progress(name: str, progress: Any) -> Progress:
    """A `Progress` from one, or from the share of the training that is done, if it is in 0..1 where it is known.

    Raises:
      UsageError: anything but one number, or another one.
    """
    if not isinstance(progress, Progress):
        progress = Progress(step=progress, epoch=progress)
    for value in (progress.step, progress.epoch):
        if jnp.shape(value) != ():
            raise UsageError(f"{name}: progress must be one number, got an array {list(jnp.shape(value))}")
        try:
            valid = 0.0 <= float(value) <= 1.0
        except jax.errors.ConcretizationTypeError:
            valid = True
        except (TypeError, ValueError):
            raise UsageError(f"{name}: progress must be one number, got {described(value)}") from None
        if not valid:
            raise UsageError(f"{name}: progress is the share of the training that is done, in 0..1, got {value}")
    return jax.tree.map(jnp.asarray, progress)


def refuse_tensors(name: str, what: str, array: Any, instead: str = "") -> None:
    """Raises UsageError for tensors of torch and TensorFlow, which JAX cannot trace.

    Args:
      name: of the function.
      what: the argument's name.
      array: what was given.
      instead: what else to do.
    """
    if type(array).__module__.split(".")[0] in ("torch", "tensorflow"):
        raise UsageError(f"{name}: {what} is a {described(array)}: pass {what}.numpy(){instead}")


def described(thing: Any) -> str:
    """The type of a thing, with the package it comes from."""
    module = type(thing).__module__.split(".")[0]
    return type(thing).__name__ if module == "builtins" else f"{module}.{type(thing).__name__}"

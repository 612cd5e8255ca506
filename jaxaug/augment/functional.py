"""Augmentation for a user who has a training loop of his own: arrays in, arrays out."""

from __future__ import annotations

import concurrent.futures
import functools
import os

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.policy_transform import begin_sample, execution_settings
from jaxaug.core.errors import UsageError
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, SampledOps
from jaxaug.ops.registry import OPS, check_op, find_op
from jaxaug.ops.warp import visibility_after
from jaxaug.policies.policy import Array, Policy
from jaxaug.policies.sampling import fixed_point_of, sample, value_table


def apply_policy(key: jax.Array, images: Array, policy: Policy, *, exact: bool = True) -> tuple[jax.Array, jax.Array]:
    """(augmented images [B H W C], visible [B] in 0..1): every image by its own draw of the policy.

    images: uint8 if exact (PIL's results), else uint8 or float32 on the 0..255 scale, which gives float32. Jitted
    inside; on a CPU the batch is split over the cores. Raises UsageError for another shape or dtype.
    """
    _check_images(images, exact)
    if not isinstance(policy, Policy):
        raise UsageError(f"policy must be a Policy, as presets and Policy.load give it, got {type(policy).__name__}")
    if not len(images):
        return jnp.asarray(images), jnp.ones(0)
    for name in policy.names:
        check_op(name, tuple(images.shape[1:]))
    table = value_table(policy, *images.shape[1:3]) if exact else None
    drawn = _draw(key, policy, len(images), table)
    # Arrays that are traced or spread over devices stay what they are.
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((drawn, images)))
    spread = not traced and isinstance(images, jax.Array) and len(images.devices()) > 1
    on_cpu = jax.default_backend() == "cpu" and not spread
    settings = execution_settings(policy, exact, "map" if on_cpu else "fused")
    return _execute(settings, drawn, images) if traced or not on_cpu else _on_every_core(settings, drawn, images)


def apply_op(name: str, images: Array, value: Array, *, exact: bool = True) -> jax.Array:
    """One op on images [B H W C] with physical values [B] (degrees, fractions, factors, bits: `OPS[name].unit`).

    exact: uint8, bit for bit what PIL gives; else float32, differentiable in the images and the values. Ops with chance
    of their own (RandCrop ...) take the middle of it; use a policy to draw. Raises UsageError for an unknown op, shape
    or dtype.
    """
    _check_images(images, exact)
    op = find_op(name)
    check_op(name, tuple(images.shape[1:]))
    if jnp.shape(value) != (len(images),):
        raise UsageError(f"value must have one number per image, shape ({len(images)},), got {jnp.shape(value)}")
    fixed = None
    if exact and op.signed and not isinstance(value, jax.Array):
        fixed = jnp.asarray(fixed_point_of(op, value, *images.shape[1:3]))[:, None]
    value = jnp.asarray(value, jnp.float32)[:, None]
    drawn = SampledOps(jnp.zeros(value.shape, jnp.int32), value, jnp.full((*value.shape, 4), 0.5), fixed)
    scheduler = "map" if jax.default_backend() == "cpu" else "fused"
    return _execute(ExecutionSettings((name,), exact=exact, scheduler=scheduler), drawn, images)[0]


@functools.partial(jax.jit, static_argnums=2)
def _draw(key: jax.Array, policy: Policy, count: int, table) -> SampledOps:
    return sample(key, policy, jnp.arange(count), table)


@functools.partial(jax.jit, static_argnums=0)
def _execute(settings: ExecutionSettings, drawn: SampledOps, images: Array) -> tuple[jax.Array, jax.Array]:
    image = execute(settings, drawn, begin_sample(images, settings)).image.transpose(0, 2, 3, 1)
    height, width, channels = images.shape[1:]
    visibility = visibility_after(settings, drawn, tuple(OPS), (channels, height, width))
    return image, jnp.clip(jnp.mean(visibility, axis=(1, 2)), 0.0, 1.0)


def _on_every_core(settings: ExecutionSettings, drawn: SampledOps, images: Array) -> tuple[jax.Array, jax.Array]:
    """`_execute` on equal parts of the batch, each in a thread of its own: XLA's CPU loops use one core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = len(images)
    size = -(-count // min(cores, count))
    starts = range(0, count, size)
    if len(starts) == 1:
        return _execute(settings, drawn, images)

    drawn, images = jax.tree.map(np.asarray, (drawn, images))
    augmented, visible = np.empty(images.shape, np.uint8 if settings.exact else np.float32), np.empty(count, np.float32)

    def part(start: int) -> None:
        # The last part is filled up with rows from before it, so that all have one shape and one compilation.
        first = min(start, count - size)
        here, own = slice(first, first + size), slice(start, first + size)
        found = _execute(settings, jax.tree.map(lambda x: x[here], drawn), images[here])
        augmented[own], visible[own] = (np.asarray(x)[start - first :] for x in found)

    list(_threads(len(starts)).map(part, starts))
    return jnp.asarray(augmented), jnp.asarray(visible)


@functools.lru_cache(maxsize=1)
def _threads(count: int) -> concurrent.futures.ThreadPoolExecutor:
    # Kept: JAX takes a millisecond to set itself up in a new thread, a batch takes ten.
    return concurrent.futures.ThreadPoolExecutor(count, thread_name_prefix="jaxaug")


def _check_images(images: Array, exact: bool) -> None:
    shape, dtype = getattr(images, "shape", ()), getattr(images, "dtype", type(images).__name__)
    fits = len(shape) == 4 and (dtype == jnp.uint8 or (not exact and jnp.issubdtype(dtype, jnp.floating)))
    if not fits:
        wanted = "uint8 [B H W C] (or exact=False)" if exact else "uint8 or float32 [B H W C]"
        raise UsageError(f"images must be {wanted}, got {dtype} of shape {tuple(shape)}")

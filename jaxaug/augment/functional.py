"""A policy on plain arrays, for whoever has a training loop of their own."""

from __future__ import annotations

import concurrent.futures
import functools
import os

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment.policy_transform import execution_settings
from jaxaug.core.arguments import as_key
from jaxaug.core.target import target
from jaxaug.ops.arguments import check_images, check_scale_of
from jaxaug.ops.batched import channels_last
from jaxaug.ops.execute import execute
from jaxaug.ops.records import ExecutionSettings, SampledOps, begin_sample
from jaxaug.ops.registry import OPS, check_op
from jaxaug.ops.warp import visibility_after
from jaxaug.policies.policy import Array, Policy, check_policy
from jaxaug.policies.sampling import sample, value_table

PART = 4_000_000  # values that are worked on at once: memory of more than 32 MB the C library fetches anew each time


def apply_policy(key: jax.Array, images: Array, policy: Policy, *, exact: bool = True) -> tuple[jax.Array, jax.Array]:
    """Augment every image by its own draw of a policy.

    Jitted inside, and may be called inside of jit, grad, vmap, scan and shard_map; on a CPU, and outside of them, the
    batch is split over the cores. Under shard_map every device needs a key of its own:
    `jax.random.fold_in(key, jax.lax.axis_index(name))`.

    Args:
      key: a random key, or a whole number as its seed.
      images: [B H W C], uint8 if exact, else uint8 or float on the 0..255 scale.
      policy: what may happen to them.
      exact: PIL's results, uint8; else float32, differentiable in the images and in what the policy may learn.

    Returns:
      (images [B H W C], visible [B] float32 in 0..1): the augmented images, and the share of each that is still seen.

    Raises:
      UsageError: another key, shape or dtype, channels first, floats within 0..1, or something else than a policy; with
        what to do.
    """
    key = as_key("apply_policy", key)
    check_images("apply_policy", images, exact=exact)
    check_scale_of("apply_policy", images)
    check_policy("apply_policy", policy)
    if not len(images):
        return jnp.asarray(images, None if exact else jnp.float32), jnp.ones(0)
    for name in policy.names:
        check_op(name, tuple(images.shape[1:]))
    table = value_table(policy, *images.shape[1:3]) if exact else None
    drawn = _draw(key, policy, len(images), table)
    # Arrays that are traced or spread over devices stay what they are.
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((drawn, images)))
    spread = not traced and isinstance(images, jax.Array) and len(images.devices()) > 1
    on_cpu = target().platform == "cpu" and not spread
    settings = execution_settings(policy, exact, "map" if on_cpu else "fused")
    return _execute(settings, drawn, images) if traced or not on_cpu else _on_every_core(settings, drawn, images)


@functools.partial(jax.jit, static_argnums=2)
def _draw(key: jax.Array, policy: Policy, count: int, table) -> SampledOps:
    return sample(key, policy, jnp.arange(count), table)


@functools.partial(jax.jit, static_argnums=0)
def _execute(settings: ExecutionSettings, drawn: SampledOps, images: Array) -> tuple[jax.Array, jax.Array]:
    image = channels_last(execute(settings, drawn, begin_sample(images, settings)).image)
    height, width, channels = images.shape[1:]
    visibility = visibility_after(settings, drawn, tuple(OPS), (channels, height, width))
    return image, jnp.clip(jnp.mean(visibility, axis=(1, 2)), 0.0, 1.0)


def _on_every_core(settings: ExecutionSettings, drawn: SampledOps, images: Array) -> tuple[jax.Array, jax.Array]:
    """`_execute` on equal parts of the batch, as many threads as cores: XLA's CPU loops use one core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = len(images)
    parts = min(max(cores, -(-count * images[0].size // PART)), count)
    size = -(-count // parts)
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

    list(_threads(cores).map(part, starts))
    return jnp.asarray(augmented), jnp.asarray(visible)


@functools.lru_cache(maxsize=1)
def _threads(count: int) -> concurrent.futures.ThreadPoolExecutor:
    # Kept: JAX takes a millisecond to set itself up in a new thread, a batch takes ten.
    return concurrent.futures.ThreadPoolExecutor(count, thread_name_prefix="jaxaug")

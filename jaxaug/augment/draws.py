"""Drawing from a policy: which op, at which value, for each image and layer."""

from __future__ import annotations

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.augment import exact, host
from jaxaug.augment.kinds import Op
from jaxaug.augment.ops import OPS
from jaxaug.augment.policies import Array, Policy
from jaxaug.augment.records import Draw


class Table(flax.struct.PyTreeNode):
    """Every value a policy can draw, computed on the host: values [S L R 2] float32 and the 16.16 numbers of the moves
    [S L R 2 6] int32, plain and mirrored."""

    values: Array
    fixed: Array


@functools.lru_cache(maxsize=64)
def known(policy: Policy, height: int, width: int) -> Table | None:
    """The table of a policy with known levels for images of that size, or None if its values are drawn or learned."""
    if not isinstance(policy.level, np.ndarray) or set(policy.noise) - {"sign"} or policy.mix.ndim != 1:
        return None
    plain = policy.values()
    values, fixed = np.stack([plain, plain], axis=-1), np.zeros((*plain.shape, 2, 6), np.int32)
    for i, name in enumerate(policy.names):
        op, chosen = OPS[name], policy.op == i
        if name in policy.signed:
            values[chosen, 1] = _mirrored(values[chosen, 1], op.neutral)
        if op.signed:
            fixed[chosen] = fixed_of(op, values[chosen], height, width)
    return Table(values.astype(np.float32), fixed)


def fixed_of(op: Op, values: np.ndarray, height: int, width: int) -> np.ndarray:
    """[.. 6] int32: the 16.16 numbers of a signed move at physical values [..], computed in float64 as PIL does."""
    displacement = op.apply(host, np.asarray(values, np.float64), None, height, width)
    return np.stack(np.broadcast_arrays(*exact.fixed(displacement)), axis=-1).astype(np.int32)


def draw(key: jax.Array, policy: Policy, rows: jax.Array, table: Table | None = None) -> Draw:
    """One draw for each of rows [B] int32 (the rows' numbers matter only to a policy per training row).

    table: of `known`, for exact values.
    """
    of_sub, of_branch, of_noise, of_sign, of_random = jax.random.split(key, 5)
    layers, count = policy.op.shape[1], len(rows)
    own = policy.mix.ndim == 2
    mix, logits, level = (x[rows] if own else x[None] for x in (policy.mix, policy.logits, policy.level))
    s = _choose(_uniform(of_sub, (count,)), jax.nn.softmax(jnp.asarray(mix, jnp.float32)))
    row = jnp.arange(count) if own else jnp.zeros(count, jnp.int32)
    logits = jnp.asarray(logits, jnp.float32)
    sub = logits[row, s] if own or policy.op.shape[0] > 1 else logits[0]
    r = _choose(_uniform(of_branch, (count, layers)), jax.nn.softmax(sub))
    branch = (s[:, None], jnp.arange(layers)[None], r)
    op = jnp.asarray(policy.op)[branch]
    mirrored = (_uniform(of_sign, op.shape) < 0.5) & ("sign" in policy.noise)
    random = _uniform(of_random, (count, layers, 4))
    if table is not None:
        at = (*branch, mirrored.astype(jnp.int32))
        return Draw(op, jnp.asarray(table.values)[at], random, jnp.asarray(table.fixed)[at])
    level = jnp.asarray(level, jnp.float32)[(row[:, None], *branch)]
    return Draw(op, _noisy(policy, of_noise, op, level, mirrored), random)


def _noisy(policy: Policy, key: jax.Array, op: jax.Array, level: jax.Array, mirrored: jax.Array) -> jax.Array:
    low, high = (jnp.asarray(side, jnp.float32)[op] for side in zip(*policy.ranges, strict=True))
    neutral = jnp.asarray([OPS[name].neutral or 0.0 for name in policy.names], jnp.float32)[op]
    value = low + level * (high - low)
    of_uniform, of_normal = jax.random.split(key)
    if "uniform" in policy.noise:
        value = low + _uniform(of_uniform, op.shape) * (value - low)
    if "normal" in policy.noise:
        value = neutral + jax.random.normal(of_normal, op.shape, jnp.float32) * (value - neutral)
    turned = mirrored & jnp.asarray([name in policy.signed for name in policy.names])[op]
    return jnp.where(turned, _mirrored(value, neutral), value)


def _uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    # float32 also where the user has switched to float64: half of the engine's arithmetic is made for it.
    return jax.random.uniform(key, shape, jnp.float32)


def _mirrored(value: Any, neutral: Any) -> Any:
    return 2 * neutral - value


def _choose(uniform: jax.Array, probability: jax.Array) -> jax.Array:
    """The branch [..] in which uniform [..] falls: probability [.. R] broadcasts to it from the left."""
    upto = jnp.cumsum(probability, axis=-1)
    return jnp.sum(uniform[..., None] * upto[..., -1:] >= upto, axis=-1)

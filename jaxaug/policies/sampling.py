"""Drawing from a policy: which op, at which value, for each image and layer."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.ops.fixed_point import fixed_point_of
from jaxaug.ops.records import SampledOps
from jaxaug.ops.registry import IDENTITY, OPS
from jaxaug.policies.learnable import is_gated, score_function, straight_through_gate
from jaxaug.policies.policy import Array, Policy


class ValueTable(flax.struct.PyTreeNode):
    """Every value a policy can draw, plain and mirrored, computed on the host.

    Attributes:
      values: [S L R 2] float32, physical.
      fixed: [S L R 2 6] int32, the 16.16 coefficients of the displacements.
    """

    values: Array
    fixed: Array


@functools.lru_cache(maxsize=64)
def value_table(policy: Policy, height: int, width: int) -> ValueTable | None:
    """The table of a policy with known levels for images of that size, or None if its values are drawn or learned."""
    if not isinstance(policy.level, np.ndarray) or set(policy.noise) - {"sign"} or policy.mix.ndim != 1:
        return None
    plain = policy.values()
    values, fixed = np.stack([plain, plain], axis=-1), np.zeros((*plain.shape, 2, 6), np.int32)
    for i, name in enumerate(policy.names):
        op, chosen = OPS[name], policy.op == i
        if name in policy.signed:
            values[chosen, 1] = _mirrored(values[chosen, 1], op.neutral)
        if op.of_value_alone:
            fixed[chosen] = fixed_point_of(op, values[chosen], height, width)
    return ValueTable(values.astype(np.float32), fixed)


class Randomness(NamedTuple):
    """Everything random in a draw.

    Attributes:
      sub: [B] uniform in [0, 1), chooses the sub-policy.
      branch: [B L] uniform in [0, 1), chooses the branch of a layer.
      sign: [B L] uniform in [0, 1), mirrors values.
      random: [B L 4] uniform in [0, 1), for ops with chance of their own.
      uniform: [B L] uniform in [0, 1), where the policy has that noise.
      normal: [B L], likewise.
      logistic: [B L] for gates, that is the difference of two Gumbel numbers.
    """

    sub: jax.Array
    branch: jax.Array
    sign: jax.Array
    random: jax.Array
    uniform: jax.Array | None = None
    normal: jax.Array | None = None
    logistic: jax.Array | None = None


def sample_randomness(key: jax.Array, policy: Policy, count: int, relaxed: bool = False) -> Randomness:
    """The noise of a draw for `count` images."""
    sub_key, branch_key, noise_key, sign_key, random_key = jax.random.split(key, 5)
    uniform_key, normal_key = jax.random.split(noise_key)
    shape = (count, policy.op.shape[1])
    noise = Randomness(
        _uniform(sub_key, (count,)),
        _uniform(branch_key, shape),
        _uniform(sign_key, shape),
        _uniform(random_key, (*shape, 4)),
    )
    if "uniform" in policy.noise:
        noise = noise._replace(uniform=_uniform(uniform_key, shape))
    if "normal" in policy.noise:
        noise = noise._replace(normal=jax.random.normal(normal_key, shape, jnp.float32))
    if relaxed and is_gated(policy):
        noise = noise._replace(logistic=jax.random.logistic(branch_key, shape, jnp.float32))
    return noise


def sample(
    key: jax.Array, policy: Policy, rows: jax.Array, table: ValueTable | None = None, relaxed: bool = False
) -> SampledOps:
    """Draw from a policy, once for each row.

    Args:
      key: a random key.
      policy: what is drawn from.
      rows: [B] int32; their numbers matter only to a policy per training row.
      table: of `value_table`, for exact values.
      relaxed: with derivatives in the policy's logits, for float32; `policy.op` must then be known when compiling. See
        `sample_from`.

    Returns:
      What was drawn, [B L].
    """
    return sample_from(sample_randomness(key, policy, len(rows), relaxed), policy, rows, table, relaxed)


def sample_from(
    noise: Randomness, policy: Policy, rows: jax.Array, table: ValueTable | None = None, relaxed: bool = False
) -> SampledOps:
    """`sample` as a function of its noise.

    relaxed: the ops of a policy of gates (`learnable.is_gated`) are always carried out, with b =
    `learnable.straight_through_gate` times the distance of their values from the neutral one, or times their effect
    (`SampledOps.gate`) if they have no such value. Of other policies the gate is 1, with the derivative of the log of
    the probability of the branch that was drawn, by `learnable.score_function`. Where there are several sub-policies,
    `SampledOps.score` is 0, with the derivative of the log of the share of the one that was drawn.
    """
    layers, count = policy.op.shape[1], len(rows)
    own, gates = policy.mix.ndim == 2, noise.logistic is not None
    mix, logits, level = (x[rows] if own else x[None] for x in (policy.mix, policy.logits, policy.level))
    s = choose_branch(noise.sub, jax.nn.softmax(jnp.asarray(mix, jnp.float32)))
    row = jnp.arange(count) if own else jnp.zeros(count, jnp.int32)
    logits = jnp.asarray(logits, jnp.float32)
    sub = logits[row, s] if own or policy.op.shape[0] > 1 else logits[0]
    probability = jax.nn.softmax(sub)
    r = jnp.zeros((count, layers), jnp.int32) if gates else choose_branch(noise.branch, probability)
    branch = (s[:, None], jnp.arange(layers)[None], r)
    op = jnp.asarray(policy.op)[branch]
    mirrored = (noise.sign < 0.5) & ("sign" in policy.noise)
    if table is not None:
        return _looked_up(table, op, branch, mirrored, noise.random)
    level = jnp.asarray(level, jnp.float32)[(row[:, None], *branch)]
    several = relaxed and policy.op.shape[0] > 1
    of_share = score_function(jax.nn.log_softmax(jnp.asarray(mix, jnp.float32))[row, s]) if several else None
    drawn = SampledOps(op, _noisy(policy, noise, op, level, mirrored), noise.random, score=of_share)
    if noise.logistic is not None:
        return _gated(policy, drawn, straight_through_gate(sub[..., 0] - sub[..., 1], noise.logistic))
    if relaxed and policy.op.shape[2] > 1:
        log_p = jnp.broadcast_to(jax.nn.log_softmax(sub), (count, *sub.shape[1:]))
        score = score_function(jnp.take_along_axis(log_p, r[..., None], -1)[..., 0])
        drawn = drawn.replace(gate=1.0 + score)
    return drawn


def sample_at_branches(
    policy: Policy, branch: jax.Array, random: jax.Array, table: ValueTable | None = None
) -> SampledOps:
    """The draw of given branches of a policy with one sub-policy, without any noise on their levels.

    Args:
      policy: with one sub-policy.
      branch: [B L] int32.
      random: [B L 4] uniform in [0, 1), for ops with chance of their own.
      table: of `value_table`, for exact values.

    Returns:
      [B L].
    """
    taken = (0, jnp.arange(branch.shape[1]), branch)
    op = jnp.asarray(policy.op)[taken]
    if table is not None:
        return _looked_up(table, op, taken, jnp.zeros(op.shape, bool), random)
    low, high = (jnp.asarray(side, jnp.float32)[op] for side in zip(*policy.ranges, strict=True))
    return SampledOps(op, low + jnp.asarray(policy.level, jnp.float32)[taken] * (high - low), random)


def _looked_up(table: ValueTable, op: jax.Array, branch: tuple, mirrored: jax.Array, random: jax.Array) -> SampledOps:
    at = (*branch, mirrored.astype(jnp.int32))
    return SampledOps(op, jnp.asarray(table.values)[at], random, jnp.asarray(table.fixed)[at])


def _gated(policy: Policy, drawn: SampledOps, b: jax.Array) -> SampledOps:
    """The draw with every op taken by the share b [B L]: of its value where that is smooth, else of its effect."""
    ops = [OPS[name] for name in policy.names]
    smooth = [op.gated_by_value for op in ops]
    neutral = jnp.asarray([op.neutral or 0.0 for op in ops], jnp.float32)[drawn.op]
    by_value = jnp.asarray(smooth)[drawn.op]
    value = jnp.where(by_value, neutral + b * (drawn.value - neutral), drawn.value)
    used = {policy.names[i] for i in np.unique(np.asarray(policy.op)[..., 0])} - {IDENTITY}
    if all(ok for ok, name in zip(smooth, policy.names, strict=True) if name in used):
        return drawn.replace(value=value)
    return drawn.replace(value=value, gate=jnp.where(by_value, 1.0, b))


def _noisy(policy: Policy, noise: Randomness, op: jax.Array, level: jax.Array, mirrored: jax.Array) -> jax.Array:
    low, high = (jnp.asarray(side, jnp.float32)[op] for side in zip(*policy.ranges, strict=True))
    neutral = jnp.asarray([OPS[name].neutral or 0.0 for name in policy.names], jnp.float32)[op]
    value = low + level * (high - low)
    if noise.uniform is not None:
        value = low + noise.uniform * (value - low)
    if noise.normal is not None:
        value = neutral + noise.normal * (value - neutral)
    turned = mirrored & jnp.asarray([name in policy.signed for name in policy.names])[op]
    return jnp.where(turned, _mirrored(value, neutral), value)


def _uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    # float32 also where the user has switched to float64: half of the backends' arithmetic is made for it.
    return jax.random.uniform(key, shape, jnp.float32)


def _mirrored(value: Any, neutral: Any) -> Any:
    return 2 * neutral - value


def choose_branch(uniform: jax.Array, probability: jax.Array) -> jax.Array:
    """The branch [..] in which uniform [..] falls: probability [.. R] broadcasts to it from the left."""
    upto = jnp.cumsum(probability, axis=-1)
    return jnp.sum(uniform[..., None] * upto[..., -1:] >= upto, axis=-1)

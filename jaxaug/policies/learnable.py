"""Policies that a search may change: offsets to shares, probabilities and levels, with derivatives in all of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient

from jaxaug.core.errors import UsageError
from jaxaug.ops.registry import IDENTITY
from jaxaug.policies.policy import Array, Policy, check_policy

NAME = "policy"  # in MetaParams
LEAST, MOST = 0.02, 0.98  # where the levels begin at least and at most, so that none begins without a derivative
Offsets = dict[str, jax.Array]


def is_gated(policy: Policy) -> bool:
    """Whether every layer is a gate: one op, done or not (its second branch is Identity). `policy.op` must be known."""
    op = np.asarray(policy.op)
    return op.shape[2] == 2 and bool((op[..., 1] == policy.names.index(IDENTITY)).all())


def straight_through_gate(logit: jax.Array, logistic: jax.Array) -> jax.Array:
    """b in {0, 1}: 1 with the probability sigmoid(logit), with the derivative of a relaxed Bernoulli variable.

    b = [soft > 1/2], db = d soft, soft = sigmoid(logit + logistic) at temperature 1, where logistic is the difference
    of two Gumbel numbers: the straight-through estimator of Jang et al. 2017, section 2.2, for two classes.
    """
    soft = jax.nn.sigmoid(logit + logistic)
    return jnp.where(soft > 0.5, 1.0, 0.0) + (soft - stop_gradient(soft))


def score_function(log_share: jax.Array) -> jax.Array:
    """0, with the derivative of log_share [..], the log of the probability of what was drawn.

    `execute` takes what the whole sub-policy did to an image times 1 + score. The derivative of a loss in the shares is
    then, on average over the draws, sum_s p_s * d log p_s * <slope of the loss, what s did>: the score function
    estimator (Williams 1992) of sum_s p_s * loss_s, in which the loss of the image left alone is the baseline and the
    loss moves along its slope. So it is without bias where the loss is linear in the image, for whatever operations and
    layers; a derivative of p itself instead of log p would be p_s times that, and wrong where shares differ.
    """
    return log_share - stop_gradient(log_share)


def initial_offsets(policy: Policy) -> Offsets:
    """Where a search begins.

    Args:
      policy: what may be learned.

    Returns:
      {"logits", "level"}: zeros [S L R'], with R' = 1 for a policy of gates, else R. With more than one sub-policy also
      "mix": zeros [S].
    """
    check_policy("initial_offsets", policy)
    *shape, branches = policy.op.shape
    count = 1 if is_gated(policy) else branches
    offsets = {name: jnp.zeros((*shape, count), jnp.float32) for name in ("logits", "level")}
    return offsets if shape[0] == 1 else {**offsets, "mix": jnp.zeros(shape[0], jnp.float32)}


def learned_policy(policy: Policy, offsets: Offsets) -> Policy:
    """Add offsets to a policy: `logits` to its logits, `level` to the logits of its levels.

    What has the probability 0 stays impossible; levels begin within 0.02..0.98 and stay within 0..1.

    Args:
      policy: where the search began.
      offsets: "logits" and "level" [*N S L R'], see `initial_offsets`; with several sub-policies also "mix" [*N S],
        which is added to the logs of their shares.

    Returns:
      The policy, its arrays JAX's.

    Raises:
      UsageError: offsets of another policy.
    """
    check_policy("learned_policy", policy)
    wanted, shapes = initial_offsets(policy), {name: jnp.shape(offset) for name, offset in offsets.items()}
    if any(shapes.get(name, ())[-zeros.ndim :] != zeros.shape for name, zeros in wanted.items()):
        raise UsageError(
            f"offsets of a policy with {policy.op.shape[0]} sub-policies, {policy.op.shape[1]} layers and "
            f"{policy.op.shape[2]} branches must be {NAME!r}: arrays that end in the shapes "
            f"{ {name: zeros.shape for name, zeros in wanted.items()} }, got {shapes}: use the checkpoint of the same "
            "policy, and one learned policy in a config"
        )
    rows = jnp.shape(offsets["logits"])[:-3]
    level = np.clip(np.asarray(policy.level, np.float64), LEAST, MOST)

    def moved(start: Array, offset: jax.Array) -> jax.Array:
        full, count = jnp.broadcast_to(jnp.asarray(start, jnp.float32), (*rows, *policy.op.shape)), offset.shape[-1]
        return jnp.concatenate([full[..., :count] + offset, full[..., count:]], axis=-1)

    mix = jnp.broadcast_to(jnp.asarray(policy.mix, jnp.float32), (*rows, policy.op.shape[0]))
    return policy.replace(
        mix=mix + offsets["mix"] if "mix" in wanted else mix,
        logits=moved(policy.logits, offsets["logits"]),
        level=jax.nn.sigmoid(moved(np.log(level / (1.0 - level)), offsets["level"])),
    )

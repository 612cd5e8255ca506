"""Drawing from a policy and carrying it out in NumPy alone, for the worker processes of data loaders."""

from __future__ import annotations

import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.ops.numpy_execute import NumpyOp, apply_numpy
from jaxaug.ops.registry import OPS, check_op
from jaxaug.policies.policy import Policy, check_policy


def sample_numpy(rng: np.random.Generator, policy: Policy, row: int | None = None) -> list[NumpyOp]:
    """Draw from a policy for one image, without a call into JAX.

    Branches, values and noise have the distribution of `sampling.sample`; the random numbers are others.

    Args:
      rng: a NumPy generator.
      policy: what is drawn from. Its arrays must be NumPy's: take `jax.device_get(policy)` of a learned one.
      row: whose policy, where there is one for each training row.

    Returns:
      One op for each layer, in the form that `ops.apply_numpy` takes.

    Raises:
      UsageError: a policy with JAX's arrays; one for each row, and no row.
    """
    check_policy("sample_numpy", policy)
    if not isinstance(rng, np.random.Generator):
        raise UsageError(f"sample_numpy: rng must be a generator, as np.random.default_rng(0) gives it, got {rng!r}")
    arrays = policy.mix, policy.logits, policy.level, policy.op
    if not all(isinstance(array, np.ndarray) for array in arrays):
        raise UsageError("sample_numpy: the policy has arrays of JAX; take jax.device_get(policy)")
    if (policy.mix.ndim == 2) != (row is not None):
        raise UsageError("sample_numpy: a row is needed for a policy per training row, and for no other")
    mix, logits, level = (np.asarray(x if row is None else x[row], np.float64) for x in arrays[:3])
    s = _chosen(rng, mix)
    found = []
    for op, odds, at in zip(np.asarray(policy.op)[s], logits[s], level[s], strict=True):
        r = _chosen(rng, odds)
        found.append(_drawn(rng, policy, int(op[r]), float(at[r])))
    return found


def apply_policy_numpy(
    policy: Policy, rng: np.random.Generator, image: np.ndarray, row: int | None = None
) -> tuple[np.ndarray, float]:
    """Augment one image by a draw of a policy, without a call into JAX: safe in a forked worker process.

    The pixels are those that the exact form under JAX gives for the same draw; see `ops.apply_numpy`, which also takes
    a label map, for what `sample_numpy` gives.

    Args:
      policy: what may happen to the image; its arrays NumPy's.
      rng: a NumPy generator.
      image: [H W C] uint8.
      row: whose policy, where there is one for each training row.

    Returns:
      (image [H W C] uint8, visible): the augmented image, and in 0..1 how much of it is still seen.

    Raises:
      UsageError: another shape or dtype; what `sample_numpy` refuses.
    """
    drawn = sample_numpy(rng, policy, row)
    for name in policy.names if np.ndim(image) == 3 else ():  # not only those that were drawn
        check_op(name, image.shape)
    found = apply_numpy(drawn, image, cover=policy.cover)
    return found.image, float(np.clip(found.visibility.mean(), 0.0, 1.0))


def _drawn(rng: np.random.Generator, policy: Policy, position: int, level: float) -> NumpyOp:
    name, (low, high) = policy.names[position], policy.ranges[position]
    neutral, value = OPS[name].neutral or 0.0, low + level * (high - low)
    if "uniform" in policy.noise:
        value = low + rng.random() * (value - low)
    if "normal" in policy.noise:
        value = neutral + rng.normal() * (value - neutral)
    if "sign" in policy.noise and name in policy.signed and rng.random() < 0.5:
        value = 2 * neutral - value
    return NumpyOp(name, value, tuple(rng.random(4, np.float32)))


def _chosen(rng: np.random.Generator, logits: np.ndarray) -> int:
    """A position with the probability softmax(logits)."""
    upto = np.cumsum(np.exp(logits - logits.max()))
    return int(np.sum(rng.random() * upto[-1] >= upto))

"""ISDA on rows without a label: what is said of a row's features should be said of augmented ones too.

With p = softmax(logits), a constant, and c its largest class, features augmented by noise from N(0, lambda Sigma_c)
have an expected divergence KL(p || p of the augmented ones). As for ISDA's loss, Jensen's inequality bounds it:

    sum_k p_k [ log sum_j exp(z_j - z_k + lambda / 2 (w_j - w_k)^T Sigma_c (w_j - w_k)) + log p_k ]

Wang et al., T-PAMI 2021, minimise such a bound on unlabelled rows, beside the consistency of another method.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaug.losses._feature_statistics import FeatureStatistics


def isda_consistency(
    statistics: FeatureStatistics, logits: jax.Array, kernel: jax.Array, strength: jax.Array | float
) -> jax.Array:
    """The bound for each row -> [B] float32, at least 0 up to rounding; K^2 (B + K) numbers are made.

    Its gradient reaches logits and kernel, but not the statistics, nor the probabilities that are to be kept.

    Args:
      statistics: of K classes and D features, with the full covariance or its diagonal, as `isda` keeps them.
      logits: [B K].
      kernel: [D K] of the classifier.
      strength: [] lambda, 0 or more; at 0 the bound and its gradient are 0.
    """
    logits, kernel = logits.astype(jnp.float32), kernel.astype(jnp.float32)
    covariance = jax.lax.stop_gradient(statistics.covariance).astype(jnp.float32)
    # The differences w_j - w_k stay, and the expanded square is exact in float32.
    weights = kernel - jax.lax.stop_gradient(jnp.mean(kernel, axis=1, keepdims=True))
    by = "dk,cde,ej->ckj" if covariance.ndim == 3 else "dk,cd,dj->ckj"
    product = jnp.einsum(by, weights, covariance, weights, precision="highest")  # [K K K]
    own = jnp.diagonal(product, axis1=1, axis2=2)
    squares = jnp.maximum(own[:, :, None] + own[:, None, :] - 2.0 * product, 0.0)
    said = jax.lax.stop_gradient(jax.nn.log_softmax(logits, axis=-1))
    shift = 0.5 * strength * squares[jnp.argmax(said, axis=-1)]  # [B K K]
    lost = jax.nn.logsumexp(logits[:, None, :] + shift, axis=-1) - logits
    return jnp.sum(jnp.exp(said) * (lost + said), axis=-1)

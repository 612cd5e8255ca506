"""Losses: a chain of transforms on logits, targets and weights, then one cross-entropy."""

from jaxaug.losses._isda import isda
from jaxaug.losses._targets import kl_divergence, label_smoothing, learned_targets, mixed_targets, soft_targets
from jaxaug.losses._weights import focal, learned_weights
from jaxaug.losses.base import (
    chain,
    create,
    cross_entropy,
    cross_entropy_inputs,
    learned_factor,
    learned_or_initial,
    mean_loss,
    per_example_loss,
    stateless,
)

__all__ = [
    "chain",
    "create",
    "cross_entropy",
    "cross_entropy_inputs",
    "focal",
    "isda",
    "kl_divergence",
    "label_smoothing",
    "learned_factor",
    "learned_or_initial",
    "learned_targets",
    "learned_weights",
    "mean_loss",
    "mixed_targets",
    "per_example_loss",
    "soft_targets",
    "stateless",
]

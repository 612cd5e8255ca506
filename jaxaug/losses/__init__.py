"""Losses: a chain of transforms on logits, targets and weights, then one cross-entropy.

    loss = losses.chain(losses.label_smoothing(0.1), losses.isda(strength=0.5, covariance="full"))
    loss_state = loss.init(num_classes=10, num_features=640)
    value, loss_state = losses.apply(
        loss, loss_state, features=f, logits=z, kernel=w, labels=y, progress=step / total
    )

The arrays may be any library's, and the network anyone's.
"""

from jaxaug.core.types import LossInputs, LossTransform, MetaParams, Progress
from jaxaug.losses._arrays import apply, check_labels
from jaxaug.losses._feature_statistics import FeatureStatistics
from jaxaug.losses._isda import isda
from jaxaug.losses._isda_consistency import isda_consistency
from jaxaug.losses._online_smoothing import online_label_smoothing
from jaxaug.losses._segmentation import auxiliary, class_weights, lovasz, ohem, pixel_isda
from jaxaug.losses._targets import (
    confidence,
    kl_divergence,
    label_smoothing,
    learned_targets,
    mixed_targets,
    soft_targets,
)
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
    "FeatureStatistics",
    "LossInputs",
    "LossTransform",
    "MetaParams",
    "Progress",
    "apply",
    "auxiliary",
    "chain",
    "check_labels",
    "class_weights",
    "confidence",
    "create",
    "cross_entropy",
    "cross_entropy_inputs",
    "focal",
    "isda",
    "isda_consistency",
    "kl_divergence",
    "label_smoothing",
    "learned_factor",
    "learned_or_initial",
    "learned_targets",
    "learned_weights",
    "lovasz",
    "mean_loss",
    "mixed_targets",
    "ohem",
    "online_label_smoothing",
    "per_example_loss",
    "pixel_isda",
    "soft_targets",
    "stateless",
]


def __dir__() -> list[str]:
    return __all__

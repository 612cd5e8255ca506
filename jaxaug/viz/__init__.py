"""Arrays in, a matplotlib Figure out; nothing else."""

from jaxaug.viz.embedding import embedding, tsne
from jaxaug.viz.labels import confusion_matrix, soft_label_flips, weight_histogram
from jaxaug.viz.learning_curves import learning_curves
from jaxaug.viz.policy_usage import op_usage, policy_usage

__all__ = [
    "confusion_matrix",
    "embedding",
    "learning_curves",
    "op_usage",
    "policy_usage",
    "soft_label_flips",
    "tsne",
    "weight_histogram",
]

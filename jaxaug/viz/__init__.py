"""Arrays in, a matplotlib Figure out; nothing else, but for `viz.page`, which puts figures into pages of HTML.

Every function returns a Figure that belongs to no window: a notebook shows it, `figure.savefig(path)` writes it.
matplotlib is imported when the first figure is drawn.
"""

# A function may have the name of its module: bound here, it is what the name means from outside.
from jaxaug.viz.directions import class_spectra, picture_strips
from jaxaug.viz.embedding import embedding, tsne
from jaxaug.viz.evaluation import reliability_diagram, robustness_curves
from jaxaug.viz.label_maps import (
    class_iou,
    class_palette,
    color_labels,
    overlay,
    pixel_confusion,
    segmentation_examples,
)
from jaxaug.viz.labels import confusion_matrix, soft_label_flips, weight_histogram
from jaxaug.viz.learning_curves import learning_curves
from jaxaug.viz.policy import plot_batch, plot_policy
from jaxaug.viz.policy_usage import op_usage, policy_usage
from jaxaug.viz.training_curves import training_curves

__all__ = [
    "class_iou",
    "class_palette",
    "class_spectra",
    "color_labels",
    "confusion_matrix",
    "embedding",
    "learning_curves",
    "op_usage",
    "overlay",
    "picture_strips",
    "pixel_confusion",
    "plot_batch",
    "plot_policy",
    "policy_usage",
    "reliability_diagram",
    "robustness_curves",
    "segmentation_examples",
    "soft_label_flips",
    "training_curves",
    "tsne",
    "weight_histogram",
]


def __dir__() -> list[str]:
    return sorted(__all__)

"""One of K classes for each image."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import register
from jaxaug.core.totals import Sums, Totals
from jaxaug.core.types import Batch, LossInputs, ModelOutput, Progress, Tree
from jaxaug.data.dataset import Dataset
from jaxaug.losses.base import at_least_float32, cross_entropy, cross_entropy_inputs, has_class
from jaxaug.tasks.base import ShownMetric

CALIBRATION_BINS = 10
MOST_TOP = 5


@register("task", "classification")
class Classification:
    """Top-1 and top-5 accuracy, negative log-likelihood and the expected calibration error of single-label images."""

    metric = "top1"
    reads = frozenset({"label"})
    shown_metrics: tuple[ShownMetric, ...] = (
        ShownMetric("top1", "top-1 %", 100, 2),
        ShownMetric("top5", "top-5 %", 100, 2),
        ShownMetric("nll", "negative log-likelihood", 1, 4),
        ShownMetric("ece", "ECE %", 100, 2),
    )

    def check(self, data: Dataset) -> None:
        """Raises UsageError for label maps, and for training rows without a label."""
        self.check_shape(data)
        missing = int((data.train.label < 0).sum())
        if missing:
            raise UsageError(
                f"classification: {missing} training rows of {data.name} have no label: leave them out, or choose a "
                'task that learns from them, such as "mean_teacher" or "fixmatch"'
            )

    def check_shape(self, data: Dataset) -> None:
        """Raises UsageError for label maps."""
        if data.train.label.ndim != 1:
            raise UsageError(f"classification: {data.name} has label maps, one label for each image is needed")

    def loss_inputs(self, output: ModelOutput, batch: Batch, meta: Tree, progress: Progress) -> LossInputs:
        """One-hot targets, weight 1."""
        return cross_entropy_inputs(output, batch, meta, progress)

    def train_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """Top-1 of the labels as they were given."""
        known = has_class(batch.label, output.logits.shape[-1])
        right = known & (self.predict(output) == batch.label)
        return {"top1": (jnp.sum(right), jnp.sum(known))}

    def eval_sums(self, output: ModelOutput, batch: Batch) -> Sums:
        """Top-1, top-5, negative log-likelihood and, in 10 equal bins of confidence, what calibration is told by."""
        logits, labels, num_classes = at_least_float32(output.logits), batch.label, output.logits.shape[-1]
        known = has_class(labels, num_classes)
        count = jnp.sum(known)
        best = jax.lax.top_k(logits, min(MOST_TOP, num_classes))[1]
        hit = known[:, None] & (best == labels[:, None])
        nll = cross_entropy(jax.nn.one_hot(labels, num_classes), logits)
        confidence = jnp.max(jax.nn.softmax(logits, axis=-1), axis=-1)
        edges = jnp.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
        bins = jnp.searchsorted(edges, confidence, side="left")

        def binned(values: jax.Array) -> jax.Array:
            return jax.ops.segment_sum(jnp.where(known, values, 0.0), bins, CALIBRATION_BINS)

        return {
            "top1": (jnp.sum(hit[:, 0]), count),
            "top5": (jnp.sum(hit), count),
            "nll": (jnp.sum(nll), count),
            "calibration": (
                jnp.stack([binned(hit[:, 0] - confidence), binned(hit[:, 0])]),
                binned(jnp.ones_like(confidence)),
            ),
        }

    def summarize(self, totals: Totals) -> dict[str, float]:
        """The means, and `ece`, the expected calibration error (Guo et al. 2017).

        ece = sum over 10 equal bins (a, b] of confidence of |accuracy - confidence| x the bin's share.
        """
        found = totals.means()
        if "calibration" in totals.sums:
            total, count = jax.device_get(totals.sums["calibration"])
            found["ece"] = float(np.abs(total[0]).sum() / max(count.sum(), 1))
        return found

    def diagrams(self, totals: Totals) -> dict[str, Any]:
        """{"reliability": ...}, what a reliability diagram draws, for each bin (b/10, (b+1)/10] of confidence.

        accuracy and (mean) confidence of the bin's rows, 0 in an empty bin; share of all rows that the bin holds. Then
        ece = sum(share * |accuracy - confidence|).
        """
        sums, count = jax.tree.map(lambda x: np.asarray(x, np.float64), totals.sums["calibration"])
        (gap, hits), rows = sums, np.maximum(count, 1)
        found = {"accuracy": hits / rows, "confidence": (hits - gap) / rows, "share": count / max(count.sum(), 1)}
        return {"reliability": {name: values.tolist() for name, values in found.items()}}

    def predict(self, output: ModelOutput) -> jax.Array:
        """The class with the largest logit."""
        return jnp.argmax(output.logits, axis=-1).astype(jnp.int32)


@dataclasses.dataclass(eq=False)
class ConfiguredClassification(Classification):
    """A classification with options of its own, which are checked when it is made."""

    def __post_init__(self) -> None:
        """Raises UsageError for options that cannot be."""

    def _require(self, valid: bool, what: str) -> None:
        if not valid:
            raise UsageError(f"{type(self).__name__}: {what}, got {self}")

"""Metrics as sums and counts, so that batches, devices and hosts add up to the exact figure of the whole set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from jaxaug.losses.base import cross_entropy

CALIBRATION_BINS = 10
NEVER = np.iinfo(np.int32).max


class Totals(flax.struct.PyTreeNode):
    """sums: name -> (sum, count), added over batches; first_bad: [] int32, the first step with a non-finite loss."""

    sums: Mapping[str, Any]
    first_bad: jax.Array

    def __add__(self, other: Totals) -> Totals:
        sums = jax.tree.map(jnp.add, self.sums, other.sums)
        return Totals(sums, jnp.minimum(self.first_bad, other.first_bad))


def empty_training_totals() -> Totals:
    """The empty sums that `of_training` is added to."""
    number, count = jnp.zeros(()), jnp.zeros((), jnp.int32)
    return Totals({"loss": (number, number), "top1": (count, count)}, jnp.asarray(NEVER, jnp.int32))


def training_totals(loss: jax.Array, logits: jax.Array, labels: jax.Array, step: jax.Array) -> Totals:
    """Loss [] and top-1 of a training batch: logits [B K], labels [B] (-1: not counted)."""
    known = labels >= 0
    right = known & (jnp.argmax(logits, axis=-1) == labels)
    bad = jnp.where(jnp.isfinite(loss), NEVER, step).astype(jnp.int32)
    return Totals({"loss": (loss, jnp.ones(())), "top1": (jnp.sum(right), jnp.sum(known))}, bad)


def empty_search_totals() -> Totals:
    """The empty sums that `of_search` is added to."""
    names = ("search_loss", "search_residual", "search_indefinite")
    return Totals({name: (jnp.zeros(()), jnp.zeros(())) for name in names}, jnp.asarray(NEVER, jnp.int32))


def search_totals(report: Mapping[str, jax.Array], gradient: Any, step: jax.Array) -> Totals:
    """The report of `implicit.hypergradient`: loss on trusted rows, the solver's residual, how often it met a direction
    without positive curvature; and whether a gradient was not finite."""
    figures = {
        "search_loss": report["validation_loss"],
        "search_residual": report["residual"],
        "search_indefinite": (report["curvature"] <= 0).astype(jnp.float32),
    }
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves((gradient, list(figures.values())))]))
    bad = jnp.where(finite, NEVER, step).astype(jnp.int32)
    return Totals({name: (value, jnp.ones(())) for name, value in figures.items()}, bad)


def evaluation_totals(logits: jax.Array, labels: jax.Array) -> Totals:
    """Top-1, top-5, negative log-likelihood and calibration bins: logits [B K], labels [B] (-1: not counted)."""
    num_classes = logits.shape[-1]
    known = labels >= 0
    count = jnp.sum(known)
    best = jax.lax.top_k(logits, min(5, num_classes))[1]
    hit = known[:, None] & (best == labels[:, None])
    nll = cross_entropy(jax.nn.one_hot(labels, num_classes), logits)
    confidence = jnp.max(jax.nn.softmax(logits, axis=-1), axis=-1)
    edges = jnp.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    bins = jnp.searchsorted(edges, confidence, side="left")

    def binned(values: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(jnp.where(known, values, 0.0), bins, CALIBRATION_BINS)

    return Totals(
        {
            "top1": (jnp.sum(hit[:, 0]), count),
            "top5": (jnp.sum(hit), count),
            "nll": (jnp.sum(nll), count),
            "calibration": (
                jnp.stack([binned(hit[:, 0] - confidence), binned(hit[:, 0])]),
                binned(jnp.ones_like(confidence)),
            ),
        },
        jnp.asarray(NEVER, jnp.int32),
    )


def summary(totals: Totals) -> dict[str, float]:
    """The figures: means of the sums, and `ece`, the expected calibration error.

    ece = sum over 10 equal bins (a, b] of confidence of |accuracy - confidence| x the bin's share (Guo et al. 2017).
    """
    found = {}
    for name, (total, count) in jax.device_get(totals.sums).items():
        if name == "calibration":
            found["ece"] = float(np.abs(total[0]).sum() / max(count.sum(), 1))
        else:
            found[name] = float(total / max(count, 1))
    return found


def reliability(totals: Totals) -> dict[str, list[float]]:
    """What a reliability diagram draws, for each bin (b/10, (b+1)/10] of confidence, as plain numbers.

    accuracy and (mean) confidence of the bin's rows, 0 in an empty bin; share of all rows that the bin holds. Then
    ece = sum(share * |accuracy - confidence|).
    """
    sums, count = jax.tree.map(lambda x: np.asarray(x, np.float64), totals.sums["calibration"])
    (gap, hits), rows = sums, np.maximum(count, 1)
    found = {"accuracy": hits / rows, "confidence": (hits - gap) / rows, "share": count / max(count.sum(), 1)}
    return {name: values.tolist() for name, values in found.items()}

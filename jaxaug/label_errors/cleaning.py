"""What a new training takes from the scores of labels: labels without the suspects, weights, soft labels.

With p the probability of the given label and q that of the most probable other class, the score s = q / (p + q) is the
probability that the other one is right if one of the two is. The loss to be expected of the row is then

    (1 - s) cross_entropy(given) + s cross_entropy(other)

of which a soft label takes both terms and a weight of 1 - s the first. A training uses one of the two: with both a
doubt counts twice.
"""

from __future__ import annotations

import csv
import io
import math

import numpy as np

from jaxaug.core.types import MetaParams
from jaxaug.data.label_files import LABEL, OTHERS
from jaxaug.label_errors.reading import Rows
from jaxaug.label_errors.scores import LabelIssues

WITHOUT_SUSPECTS = "without_suspects.csv"
SMOOTHING = 0.1  # that of `learned_targets`, unless told otherwise
LEAST_WEIGHT = 1e-6  # a weight of 0 is softplus of minus infinity


def without_suspects(rows: Rows, issues: LabelIssues, drop: int) -> str:
    """A table for `data.labels`: every row with its given label, the label of the suspects empty, which drops them.

    Rows that were not judged are dropped, too: the labels that their set has may be others.

    Args:
      rows: the images and their labels.
      issues: what `find` says of them.
      drop: how many of the most suspicious ones, 0..N.
    """
    text, suspects = io.StringIO(), {*issues.ranking[:drop].tolist()}
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([rows.key_column, LABEL])
    for row, label in enumerate(rows.label.tolist()):
        writer.writerow([rows.key(row), "" if row in suspects else rows.class_names[label]])
    writer.writerow([OTHERS, ""])
    return text.getvalue()


def learned_from_scores(labels: np.ndarray, issues: LabelIssues, num_classes: int) -> MetaParams:
    """What `learned_weights` and `learned_targets` would have learned, had they learned the scores.

    Args:
      labels: int [N], the given ones.
      issues: of `find` with score="margin".
      num_classes: K.

    Returns:
      per_example "weight" float32 [N], for weights proportional to 1 - s with mean 1; "soft" float32 [N K], for soft
      labels of 1 - s for the given and s for the other class, smoothed by 0.1 as `learned_targets` begins.
    """
    weight = np.maximum(1.0 - issues.score, LEAST_WEIGHT)
    own = {"weight": _raw_weight(weight / weight.mean()), "soft": _offsets(labels, issues, num_classes)}
    return MetaParams(per_example={name: array.astype(np.float32) for name, array in own.items()})


def _raw_weight(weight: np.ndarray) -> np.ndarray:
    """The raw of weight = softplus(raw) / log 2 (`learned_weights`)."""
    return np.log(np.expm1(weight * math.log(2.0)))


def _offsets(labels: np.ndarray, issues: LabelIssues, num_classes: int) -> np.ndarray:
    """[N K]: what makes the smoothed given label, softmax(log of it + offset), the smoothed soft one."""
    whole, floor = 1.0 - SMOOTHING, SMOOTHING / num_classes
    offset, row = np.zeros((len(labels), num_classes)), np.arange(len(labels))
    offset[row, labels] = np.log((whole * (1.0 - issues.score) + floor) / (whole + floor))
    offset[row, issues.other] = np.log((whole * issues.score + floor) / floor)
    return offset

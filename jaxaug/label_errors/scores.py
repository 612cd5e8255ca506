"""How suspicious the label of each row is, from what a model says of it. Plain arrays of any library."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxaug.core.errors import UsageError

_ROUNDING = 1e-3  # by which a softmax in bfloat16 may leave 0..1


class LabelIssues(NamedTuple):
    """What `find` says of N rows.

    Attributes:
      score: float64 [N] in 0..1, the larger the more suspicious: 1 minus the probability of the given label.
      ranking: int [N], the numbers of the rows, the most suspicious first, equal ones in their order.
      suggested: int32 [N], the class that each row probably belongs to, which is the given one where nothing speaks
        against it.
    """

    score: np.ndarray
    ranking: np.ndarray
    suggested: np.ndarray


def find(labels: ArrayLike, probabilities: ArrayLike) -> LabelIssues:
    """Rank rows by how suspicious their labels are.

    Args:
      labels: int [N], the given labels, 0..K-1.
      probabilities: float [N K] in 0..1, of each class, from a model; one that has not trained on a row, such as in
        cross-validation, judges its label best.

    Raises:
      UsageError: arrays of other shapes, kinds or ranges.
    """
    given, said = _checked(np.asarray(labels), np.asarray(probabilities))
    score = 1.0 - np.clip(said[np.arange(len(given)), given], 0.0, 1.0)
    return LabelIssues(score, np.argsort(-score, kind="stable"), suggested_labels(said))


def label_issue_score(probability_of_given: ArrayLike) -> np.ndarray:
    """How suspicious labels are on a scale that tells small probabilities apart: minus their log.

    A learned weight and a learned soft label made the model what it is; as judges of a row they are coarser than it
    (`benchmarks/results/find_label_errors_cpu.json`): their optimiser divides each row's gradient by its own size, so
    that a right label that is hardly in doubt moves as far as a wrong one.

    Args:
      probability_of_given: float [N] in 0..1, of the given label.

    Returns:
      float64 [N], 0 or more, the larger the more suspicious.
    """
    probability = np.asarray(probability_of_given, np.float64)
    return np.abs(np.log(np.clip(probability, np.finfo(np.float32).tiny, 1.0)))


def suggested_labels(probabilities: ArrayLike) -> np.ndarray:
    """The class that each row probably belongs to.

    It is the model's: the largest class of a learned soft label stays the given one for most of the wrong rows.

    Args:
      probabilities: float [N K].

    Returns:
      int32 [N].
    """
    return np.argmax(np.asarray(probabilities), axis=1).astype(np.int32)


def precision(order: ArrayLike, wrong: ArrayLike, count: int) -> dict[str, float]:
    """How many of the most suspicious rows are wrong, where that is known.

    Args:
      order: int [N], row numbers, the most suspicious first.
      wrong: bool [N], whether a row's label is wrong.
      count: of the rows looked at, 1 or more.

    Returns:
      "precision", the share of wrong labels among the first `count`; "recall", that among as many as labels are wrong,
      which is also the share of the wrong labels that are found there. {} where none is wrong.
    """
    ranked = np.asarray(wrong, bool)[np.asarray(order)]
    if not ranked.any():
        return {}
    as_many = ranked[: np.count_nonzero(ranked)]
    return {"precision": float(np.mean(ranked[:count])), "recall": float(np.mean(as_many))}


def _checked(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # Extension types such as bfloat16 are no subtype of numpy's own floats.
    floating = probabilities.dtype.kind not in "iubcOUSMm"
    fits = floating and labels.dtype.kind in "iu" and labels.ndim == 1 and probabilities.ndim == 2
    if fits and len(labels) == len(probabilities):
        said, classes = probabilities.astype(np.float64), probabilities.shape[1]
        # NaN fails every comparison.
        if ((said >= -_ROUNDING) & (said <= 1 + _ROUNDING)).all() and ((labels >= 0) & (labels < classes)).all():
            return labels, said
    raise UsageError(
        f"find: labels must be integers [N] in 0..K-1 and probabilities floats [N K] in 0..1, got {_told(labels)} and "
        f"{_told(probabilities)}"
    )


def _told(array: np.ndarray) -> str:
    numbers = array.size and array.dtype.kind not in "OUSMm"
    return f"{array.dtype}{list(array.shape)}" + (f" in {array.min()}..{array.max()}" if numbers else "")

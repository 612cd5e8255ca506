"""How suspicious the label of each row is, from what a model says of it. Plain arrays of any library."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxaug.core.errors import UsageError
from jaxaug.core.registry import pick
from jaxaug.label_errors.confident import ROUNDING, class_table, confident_joint, estimated_errors
from jaxaug.label_errors.neighbours import neighbour_probabilities
from jaxaug.label_errors.outliers import unlike_others


class LabelIssues(NamedTuple):
    """What `find` says of N rows.

    Attributes:
      score: float64 [N] in 0..1, the larger the more suspicious.
      ranking: int [N], the numbers of the rows, the most suspicious first, equal ones in their order.
      suggested: int32 [N], the class that each row probably belongs to, which is the given one where nothing speaks
        against it.
      other: int32 [N], the most probable class other than the given one.
      errors: how many labels are wrong by estimate, and so how many rows of the ranking to look at first.
      joint: float64 [K K], the distribution of given by true classes, with sum 1, see `confident_joint`.
      classes: the columns of `class_table`: of each class the rows labelled so, and how many of them are wrong.
      unlike: float64 [N], how unlike all others each row is, see `unlike_others`: above 3.5 it may fit no class. None
        where there are no features.
    """

    score: np.ndarray
    ranking: np.ndarray
    suggested: np.ndarray
    other: np.ndarray
    errors: int
    joint: np.ndarray
    classes: dict[str, np.ndarray]
    unlike: np.ndarray | None = None


def find(
    labels: ArrayLike,
    probabilities: ArrayLike | None = None,
    features: ArrayLike | None = None,
    *,
    neighbours: int = 20,
    score: str = "self_confidence",
    prior_rows: float = 0.0,
) -> LabelIssues:
    """Rank rows by how suspicious their labels are.

    Args:
      labels: int [N], the given labels, 0..K-1.
      probabilities: float [N K] in 0..1, of each class, from a model; one that has not trained on a row, such as in
        cross-validation, judges its label best, or the mean over the epochs of a training.
      features: float [N D], of any model, for the labels of a row's nearest neighbours: in place of probabilities, or
        beside them, the probability then being the mean of the two.
      neighbours: how many, 1 or more.
      score: "self_confidence", 1 - p for the probability p of the given label; or "margin", q / (p + q) with q that of
        the most probable other class, which is 0.5 where the two are as probable, and which ranks rows that could be
        several classes by less.
      prior_rows: of the confident joint, for sets with classes of a few rows; see `confident_joint`.

    Raises:
      UsageError: neither is given, or arrays of other shapes, kinds or ranges.
    """
    if probabilities is None and features is None:
        raise UsageError("find: give probabilities [N K], features [N D], or both")
    given, said = np.asarray(labels), None if probabilities is None else np.asarray(probabilities)
    if said is not None:
        given, said = _checked(given, said)
    if features is not None:
        near = _near(given, np.asarray(features), None if said is None else said.shape[1], neighbours)
        said = near if said is None else (said + near) / 2
    assert said is not None
    suspicion = pick("find: score", score, _SCORES)(given, np.clip(said, 0.0, 1.0))
    joint = confident_joint(given, said, prior_rows)
    return LabelIssues(
        suspicion,
        np.argsort(-suspicion, kind="stable"),
        suggested_labels(said),
        suggested_labels(_of_others(given, said)),
        estimated_errors(joint, len(given)),
        joint,
        class_table(joint, len(given)),
        None if features is None else unlike_others(np.asarray(features)),
    )


def given_label_loss(probability_of_given: ArrayLike) -> np.ndarray:
    """How suspicious labels are on a scale that tells small probabilities apart: -log p; `find` says 1 - p.

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
        if ((said >= -ROUNDING) & (said <= 1 + ROUNDING)).all() and ((labels >= 0) & (labels < classes)).all():
            return labels, said
    raise UsageError(
        f"find: labels must be integers [N] in 0..K-1 and probabilities floats [N K] in 0..1, got {_told(labels)} and "
        f"{_told(probabilities)}"
    )


def _self_confidence(given: np.ndarray, said: np.ndarray) -> np.ndarray:
    return 1.0 - said[np.arange(len(given)), given]


def _margin(given: np.ndarray, said: np.ndarray) -> np.ndarray:
    of_given = said[np.arange(len(given)), given]
    others = np.maximum(_of_others(given, said).max(axis=1), 0.0)
    total = of_given + others
    return np.divide(others, total, out=np.full(len(given), 0.5), where=total > 0)


def _of_others(given: np.ndarray, said: np.ndarray) -> np.ndarray:
    """The probabilities [N K] with that of the given label below all others."""
    return np.where(np.arange(said.shape[1]) == given[:, None], -1.0, said)


_SCORES = {"self_confidence": _self_confidence, "margin": _margin}


def _near(given: np.ndarray, features: np.ndarray, classes: int | None, neighbours: int) -> np.ndarray:
    fits = given.dtype.kind in "iu" and given.ndim == 1 and features.ndim == 2 and len(features) == len(given) > 1
    if not (fits and given.min() >= 0 and neighbours >= 1 and np.isfinite(features.astype(np.float32)).all()):
        raise UsageError(
            "find: features must be finite floats [N D], N being 2 or more, for integer labels [N] from 0, and "
            f"neighbours 1 or more; got {_told(features)}, {_told(given)} and {neighbours}"
        )
    return neighbour_probabilities(given, features, classes or int(given.max()) + 1, neighbours)


def _told(array: np.ndarray) -> str:
    numbers = array.size and array.dtype.kind not in "OUSMm"
    return f"{array.dtype}{list(array.shape)}" + (f" in {array.min()}..{array.max()}" if numbers else "")

"""How suspicious the label of each training row is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Found = Mapping[str, np.ndarray]


def label_issue_score(found: Found) -> np.ndarray:
    """[N] float64 >= 0, the larger the more suspicious: minus the log of the probability that the model, trained with
    what was learned, gives the given label. found: `findings.npz`.

    The learned weight and the learned soft label made the model what it is; as judges of a row they are coarser than
    it (`benchmarks/results/find_label_errors_cpu.json`): their optimiser divides each row's gradient by its own size,
    so that a right label that is hardly in doubt moves as far as a wrong one.
    """
    probability = np.asarray(found["says_given"], np.float64)
    return np.abs(np.log(np.clip(probability, np.finfo(np.float32).tiny, 1.0)))


def suggested_labels(found: Found) -> np.ndarray:
    """[N] int32: the class each row probably belongs to, which is the given one where nothing speaks against it.

    It is the model's: the largest class of a learned soft label stays the given one for most of the wrong rows.
    """
    return found["says"]


def precision(order: np.ndarray, found: Found, count: int) -> dict[str, float]:
    """The share of wrong labels among the first `count` suspects and among as many as labels are wrong, where that is
    known; the latter is also the share of the wrong labels that are found there.

    order: [N] row numbers, the most suspicious first; count >= 1.
    """
    if "clean" not in found:
        return {}
    wrong = (found["clean"] != found["given"])[order]
    if not wrong.any():
        return {}
    as_many = wrong[: np.count_nonzero(wrong)]
    return {"suspects_precision": float(np.mean(wrong[:count])), "suspects_recall": float(np.mean(as_many))}

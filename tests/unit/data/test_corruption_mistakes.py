"""Corruptions that cannot be."""

import dataclasses

import numpy as np
import pytest
from helpers.corrupted_data import blank, load_digits

from jaxaug.core.errors import UsageError
from jaxaug.data.corruption import corrupt


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imbalance": 0.5}, "imbalance=0.5 must be 1 or more"),
        ({"imbalance": float("inf")}, "imbalance=inf must be"),
        ({"imbalance": float("nan")}, "imbalance=nan must be"),
        (
            {"imbalance": 1000},
            r"asks for 0 rows of the classes from 5 on, against 5\d\d .* must lie in [\d.]+\.\.5\d\d",
        ),
        ({"noise": 1}, r"noise=1 must be a share from 0 to below 1"),
        ({"noise": -0.1}, "noise=-0.1 must be"),
        ({"subsample": 0}, r"subsample=0 must be a share above 0"),
        ({"subsample": 1.1}, "subsample=1.1 must be"),
        ({"subsample": 0.0001}, "subsample=0.0001 leaves none of the 1047"),
        ({"rows": "all"}, "rows='all' must be one of 'train', 'validation', 'both'"),
        ({"ablation": "over"}, "ablation='over' must be one of '', 'overfit', 'oversplit'"),
        ({"rows": "both", "ablation": "overfit"}, "both say what to train on"),
        ({"seed": -1, "noise": 0.1}, "seed must be 0 or more"),
        ({"seed": 2**32, "noise": 0.1}, r"seed must be 0 or more and below 2\*\*32, got 4294967296"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(UsageError, match=message):
        corrupt(load_digits(), **changes)


def test_refusals_of_sets():
    """What the rows do not allow: too few of the upper half, one half, one class, no validation or no test rows."""
    zeros = np.zeros(20, np.int32)
    few = np.repeat(np.array([0, 1], np.int32), (20, 4))
    plain, own = blank(zeros, 2), blank(few, 2, 6)
    shared = dataclasses.replace(own, test=own.validation)
    for data, changes, message in (
        (blank(few, 2), {"imbalance": 4}, r"asks for 5 rows .* has 4, so the ratio must lie in 5\.\.20"),
        (plain, {"imbalance": 2}, "it has 20 below class 1 and 0 from there on"),
        (blank(zeros + 1, 2), {"imbalance": 2}, "has 0 below class 1 and 20 from there on"),
        (blank(zeros, 1), {"noise": 0.1}, "has one class"),
        (plain, {"rows": "validation"}, "small: rows='validation' needs validation rows, of which it has none"),
        (plain, {"rows": "both"}, "needs validation rows"),
        (shared, {"rows": "both"}, "small: rows='both' needs test rows; it has none of its own"),
        (shared, {"ablation": "oversplit"}, "ablation='oversplit' needs test rows"),
    ):
        with pytest.raises(UsageError, match=message):
            corrupt(data, **changes)
    assert len(corrupt(blank(few, 2), imbalance=5).train) == 24

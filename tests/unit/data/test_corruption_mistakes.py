"""Corruptions that cannot be, and the file by which a run knows its own."""

import dataclasses

import numpy as np
import pytest
from helpers.corrupted_data import blank, load_digits

from jaxaug.core.errors import UsageError
from jaxaug.data.corruption import corrupt, same_rows, save_rows


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


def test_a_run_goes_on_with_its_own_rows_only(tmp_path):
    data, path = load_digits(), tmp_path / "rows.npz"
    few = corrupt(data, noise=0.2, imbalance=5)
    save_rows(path, few)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.npz"]
    assert same_rows(path, corrupt(load_digits(), noise=0.2, imbalance=5))
    for changes in ({"noise": 0.2}, {"noise": 0.2, "imbalance": 5, "seed": 1}, {"noise": 0.1, "imbalance": 5}, {}):
        assert not same_rows(path, corrupt(data, **changes))
    moved = dataclasses.replace(few, validation=data.validation.at(slice(1, None)))
    assert not same_rows(path, moved)
    save_rows(path, moved)
    assert same_rows(path, moved)
    with np.load(path) as content:
        np.testing.assert_array_equal(content["clean_label"], few.clean_label)
        assert {*content.files} == {"train_index", "given_label", "clean_label", "validation_index"}
    path.write_bytes(path.read_bytes()[:100])
    for broken in (path, tmp_path / "none.npz"):
        with pytest.raises(UsageError, match="cannot be read"):
            same_rows(broken, few)

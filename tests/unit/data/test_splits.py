"""The validation cut: exact in size, even over the classes, the same for one seed."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from helpers import dataset_copies as copies
from helpers.published_data import small

from jaxaug.core.errors import UsageError
from jaxaug.data import splits
from jaxaug.data.sources.digits import digits
from jaxaug.data.splits import subset_rows

LABELS = st.lists(st.integers(0, 6), min_size=2, max_size=200).map(lambda values: np.array(values, np.int32))


@hypothesis.settings(deadline=None)
@hypothesis.given(LABELS, st.data())
def test_cut_is_stratified(label, drawn):
    size = drawn.draw(st.integers(0, len(label) - 1))
    seed = drawn.draw(st.integers(0, 2**32 - 1))
    kept, taken = splits.stratified_split(label, size, seed)
    assert (len(kept), len(taken)) == (len(label) - size, size)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, taken])), np.arange(len(label)))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(taken) > 0).all()
    exact = np.bincount(label, minlength=7) * size / len(label)
    assert (np.abs(np.bincount(label[taken], minlength=7) - exact) < 1).all()
    np.testing.assert_array_equal(splits.stratified_split(label, size, seed)[1], taken)


@hypothesis.given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.data())
def test_largest_remainders(counts, drawn):
    size = drawn.draw(st.integers(0, max(sum(counts) - 1, 0)))
    shares = splits.counts_per_class(np.array(counts), size)
    remainders = np.array(counts) * size / max(sum(counts), 1) - shares
    assert shares.sum() == size
    # No class that was rounded down was left more than one that was rounded up had.
    assert remainders.max() <= remainders.min() + 1 + 1e-9


def test_cut_in_assemble():
    train = copies.rows(120, (4, 4, 1), 3)
    data = small(train, validation_size=0.25, seed=3)
    assert (len(data.train), len(data.validation)) == (90, 30)
    np.testing.assert_array_equal(np.bincount(data.validation.label), 10)
    for split in (data.train, data.validation):
        np.testing.assert_array_equal(split.image, train[0][split.index])
        np.testing.assert_array_equal(split.label, train[1][split.index])
    assert data.statistics_source == "computed from the 90 training rows"
    np.testing.assert_array_equal(small(train, validation_size=30, seed=3).validation.index, data.validation.index)
    assert not np.array_equal(small(train, validation_size=30, seed=4).validation.index, data.validation.index)
    assert len(small(train).validation) == 0


def test_a_share_is_a_row_or_more():
    with pytest.raises(UsageError, match=r"validation_size=0.02 of 12 training rows is not one row"):
        small(validation_size=0.02)


@pytest.mark.parametrize("size", [12, 13, -1, 2.5, 12.0, -0.5, float("nan"), float("inf")])
def test_cut_must_leave_rows(size):
    with pytest.raises(UsageError, match="validation_size"):
        small(validation_size=size)


def test_fewer_rows():
    """Each class by its share, the same rows for one seed, the index kept, nothing else touched."""
    data = digits()
    few, again, other = (subset_rows(data, 100, seed) for seed in (3, 3, 4))
    assert len(few.train) == 100
    assert set(np.bincount(few.train.label)) <= {9, 10, 11}
    np.testing.assert_array_equal(few.train.index, again.train.index)
    assert (few.train.index != other.train.index).any()
    np.testing.assert_array_equal(few.train.image, data.train.image[few.train.index])
    assert few.test is data.test
    assert subset_rows(data, 0, 0) is data
    for size in (-1, 1348):
        with pytest.raises(UsageError, match="train_size"):
            subset_rows(data, size, 0)


def test_one_is_a_row_and_less_a_share():
    assert [splits.rows_to_cut(size, 10) for size in (0, 0.5, 1, 2)] == [0, 5, 1, 2]

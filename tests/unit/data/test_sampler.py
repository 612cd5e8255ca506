"""The order of rows in training and evaluation, and taking them on the device."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest
from helpers.published_data import small

from jaxaug.core.errors import UsageError
from jaxaug.data import sampler
from jaxaug.data.dataset import Dataset, Split


@hypothesis.settings(deadline=None)
@hypothesis.given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(0, 60))
def test_resume_anywhere(size, batch_size, seed, start):
    hypothesis.assume(batch_size <= size)
    straight = sampler.training_rows(size, batch_size, seed, 0)
    resumed = sampler.training_rows(size, batch_size, seed, start)
    for _ in range(start):
        next(straight)
    for step in range(start, start + 5):
        (one, rows), (other, same) = next(straight), next(resumed)
        assert one == other == step
        np.testing.assert_array_equal(rows, same)
        assert rows.shape == (batch_size,)


def test_each_row_once_per_epoch():
    stream = sampler.training_rows(10, 3, 0, 0)
    epochs = [np.concatenate([next(stream)[1] for _ in range(3)]) for _ in range(4)]
    assert all(len(set(epoch.tolist())) == 9 for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    order = sampler.epoch_order(5, 2, 100)
    assert sorted(order.tolist()) == list(range(100))
    np.testing.assert_array_equal(order, sampler.epoch_order(5, 2, 100))
    assert not np.array_equal(order, sampler.epoch_order(6, 2, 100))
    for batch_size in (11, 0):
        with pytest.raises(UsageError, match="batch_size"):
            sampler.training_rows(10, batch_size, 0, 0)


@hypothesis.given(st.integers(0, 50), st.integers(1, 20))
def test_evaluation_rows(size, batch_size):
    rows = sampler.evaluation_rows(size, batch_size)
    assert all(batch.shape == (batch_size,) and batch.dtype == np.int32 for batch in rows)
    flat = np.concatenate([*rows, np.zeros(0, np.int32)])
    np.testing.assert_array_equal(flat[:size], np.arange(size))
    assert (flat[size:] == -1).all()
    assert len(flat) - size < batch_size


def test_evaluation_batch_size():
    with pytest.raises(UsageError, match="batch_size"):
        sampler.evaluation_rows(5, 0)


def test_take():
    data = small()
    on_device = jax.tree.map(jax.numpy.asarray, data.train)
    assert isinstance(on_device, Split)
    rows = np.array([3, 0, -1, 11, -1], np.int32)
    taken = jax.jit(sampler.take)(on_device, rows)
    np.testing.assert_array_equal(taken.label[:2], data.train.label[[3, 0]])
    np.testing.assert_array_equal(taken.label[np.array([2, 4])], -1)
    np.testing.assert_array_equal(taken.index, [3, 0, 0, 11, 0])
    np.testing.assert_array_equal(taken.image, data.train.image[np.maximum(rows, 0)])
    assert (taken.image.dtype, taken.label.dtype, taken.index.dtype) == (np.uint8, np.int32, np.int32)
    assert isinstance(data, Dataset)

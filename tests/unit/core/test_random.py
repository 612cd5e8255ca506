"""Random streams: values that decide what a seed means, and generators that differ where their numbers do."""

import hypothesis
import hypothesis.strategies as st
import jax
import numpy as np
import pytest

from jaxaug.core.errors import UsageError
from jaxaug.core.random import DeviceStream, HostStream, numpy_generator

NUMBER = st.integers(0, 2**32 - 1)


def test_values_are_kept():
    """Another value would make another run of the same seed."""
    assert {stream.name: stream.value for stream in HostStream} == {
        "SEARCH_TRAINING_ROWS": 2147483648,
        "SEARCH_VALIDATION_ROWS": 2147483649,
        "POLICY_SEARCH_ITEMS": 2147483650,
        "CUTS": 2147483651,
        "LABELLED_ROWS": 2147483652,
        "UNLABELLED_ROWS": 2147483653,
        "KEPT_UNLABELLED": 4294967289,
        "KEPT_LABELS": 4294967290,
        "SUBSAMPLE": 4294967291,
        "IMBALANCE": 4294967292,
        "NOISY_ROWS": 4294967293,
        "NOISY_LABELS": 4294967294,
        "SPLIT": 4294967295,
    }
    assert {stream.name: stream.value for stream in DeviceStream} == {
        "POLICY_SEARCH": 4294967293,
        "SEARCH": 4294967294,
        "INITIALIZATION": 4294967295,
    }


@hypothesis.given(NUMBER, NUMBER)
def test_a_generator_depends_on_its_numbers(seed, stream):
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, stream)))).integers(2**62)
    assert numpy_generator(seed, stream).integers(2**62) == expected
    assert numpy_generator(seed, (stream + 1) % 2**32).integers(2**62) != expected


@pytest.mark.parametrize("numbers", [(-1, 0), (2**32, 0), (0, 2**32), (0, -1)])
def test_seeds_out_of_range(numbers):
    """A wider number would be read as two, so that two seeds would share their random numbers."""
    with pytest.raises(UsageError, match=r"a seed must be 0 or more and below 2\*\*32, got "):
        numpy_generator(*numbers)


@pytest.mark.parametrize("stream", DeviceStream)
def test_a_stream_is_its_number_on_the_device(stream):
    key = jax.random.key(0)
    eager = jax.random.fold_in(key, stream)
    traced = jax.jit(lambda key: jax.random.fold_in(key, stream))(key)
    expected = jax.random.key_data(jax.random.fold_in(key, stream.value))
    for found in (eager, traced):
        np.testing.assert_array_equal(jax.random.key_data(found), expected)

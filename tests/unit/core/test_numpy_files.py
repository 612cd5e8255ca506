"""NumPy's files that are not what they should be: one message each, and nothing is executed."""

import numpy as np
import pytest
from helpers import damage

from jaxaug.core.errors import UsageError
from jaxaug.core.numpy_files import open_npz, read_npy, read_npz

ARRAY = np.arange(3000, dtype=np.float32)


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "rows.npz", a=ARRAY, b=np.arange(2))
    return tmp_path / "rows.npz"


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "row.npy", ARRAY)
    return tmp_path / "row.npy"


def test_what_is_whole(npz, npy):
    found = read_npz(npz)
    assert found.keys() == {"a", "b"}
    np.testing.assert_array_equal(found["a"], ARRAY)
    with open_npz(npz) as content:
        assert content.files == ["a", "b"]
    np.testing.assert_array_equal(read_npy(npy), ARRAY)
    assert isinstance(read_npy(npy, mapped=True), np.memmap)


@pytest.mark.parametrize("how", damage.WAYS)
def test_damage(npz, how):
    damage.WAYS[how](npz)
    with pytest.raises(UsageError, match=r"rows\.npz cannot be read: "):
        read_npz(npz)


def test_a_short_array(npy):
    damage.cut(npy)
    for mapped in (False, True):
        with pytest.raises(UsageError, match=r"row\.npy cannot be read: "):
            read_npy(npy, mapped=mapped)


def test_one_in_the_place_of_the_other(npz, npy, tmp_path):
    with pytest.raises(UsageError, match=r"row\.npy cannot be read: it is no \.npz"):
        read_npz(npy)
    with pytest.raises(UsageError, match=r"rows\.npz cannot be read: it holds several arrays"):
        read_npy(npz)
    for read in (read_npz, read_npy):
        with pytest.raises(UsageError, match="none: there is no such file"):
            read(tmp_path / "none")


def test_a_pickle_is_not_executed(npz, npy, tmp_path):
    trace = tmp_path / "executed"
    for file, read in ((npz, read_npz), (npy, read_npy)):
        damage.pickled(file, trace)
        with pytest.raises(UsageError, match="cannot be read"):
            read(file)
    assert not trace.exists()
